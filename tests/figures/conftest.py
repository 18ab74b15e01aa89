import dataclasses

import pytest

from superposition.figures import FIGURES, PRESETS, reproduce

TINY = dataclasses.replace(
    PRESETS["quick"],
    sizes=(16, 32),
    ratios=(1 / 4, 1 / 2),
    probabilities=(0.05, 0.1),
    n_steps=60,
    n_held_out=500,
    rug_sizes=(256, 512),
    rug_entries=100_000,
    portrait_size=32,
    portrait_steps=60,
    protocol_sizes=(16,),
)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The figures at a tiny preset, and their folder."""
    folder = tmp_path_factory.mktemp("results")
    return folder, reproduce(FIGURES, TINY, folder)

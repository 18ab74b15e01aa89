import dataclasses
import pickle

import pytest
from filelock import FileLock

from superposition.figures import FIGURES, PRESETS, reproduce
from superposition.figures.presets import Grid, Importances, Rugs

TINY = dataclasses.replace(
    PRESETS["quick"],
    sizes=(16, 32),
    ratios=(1 / 4, 1 / 2),
    probabilities=(0.05, 0.1),
    n_steps=60,
    n_held_out=500,
    rug_sizes=(256, 512),
    rug_entries=100_000,
    portrait_size=16,  # as of figure T2, which has the same model of the paper's protocol
    portrait_steps=60,
    grids=(
        Grid(16, (1 / 4, 1 / 2), (0.05, 0.1), ("default", "paper"), n_steps=60, n_held_out=500),
        Grid(32, (1 / 4, 1 / 2), (0.05, 0.1), n_steps=60, n_held_out=500),
    ),
    importances=Importances(16, 4, 0.1, 0.5, (0.0, 0.5, 1.0), n_steps=60),
    bounds=Rugs(8192, (0.05, 0.1), (0.001, 0.004), 50),
    protocol_sizes=(16,),
)


# Figures D have sizes of their own, and times in their tables: test_decoder_figures makes them.
MADE = tuple(figure for figure in FIGURES if not figure.name.startswith("D"))


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id):
    """The figures at a tiny preset, and their folder: made once, by the first of the processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "figures"
    outcomes = folder / "outcomes.pickle"
    with FileLock(f"{folder}.lock"):
        if not outcomes.exists():
            made = reproduce(MADE, TINY, folder)
            outcomes.write_bytes(pickle.dumps(made))
    return folder, pickle.loads(outcomes.read_bytes())

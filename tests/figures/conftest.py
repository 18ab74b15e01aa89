import contextlib
import dataclasses
import pickle
from operator import attrgetter

import pytest
from filelock import FileLock

import superposition
from superposition.figures import FIGURES, PRESETS, reproduce
from superposition.figures.presets import Grid, Importances, Rugs
from superposition.sweeps import Store, Sweep, run_sweep

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
MADE = tuple(figure for figure in FIGURES if not figure.name.startswith("D") and figure.name != "T4")


# What trains or samples, which cells do and figures do not.
MEASURING = (
    "training.train",
    "training.train_many",
    "diagnostics.held_out_loss",
    "compression.best_at_precision",
    "compression.NestedScheme.sampled_loss",
    "decoders.fit_decoder",
)


class MeasuredError(Exception):
    """Something trained or sampled that was not to."""


@contextlib.contextmanager
def watched(*, refusing=False):
    """Yields the names of what trains or samples, each time that it is called in the block, or refuses to."""
    called = []

    def noted(name, real):
        def call(*given, **options):
            called.append(name)
            if refusing:
                raise MeasuredError(name)
            return real(*given, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in MEASURING:
            patch.setattr(f"superposition.{name}", noted(name, attrgetter(name)(superposition)))
        yield called


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """Returns what a function makes in a folder of a name, made by the first of the processes that run tests."""
    base = tmp_path_factory.getbasetemp()

    def once(name, make):
        folder = (base if worker_id == "master" else base.parent) / name
        file = folder / "made.pickle"
        with FileLock(f"{folder}.lock"):
            if not file.exists():
                found = make(folder)
                file.write_bytes(pickle.dumps(found))
        return pickle.loads(file.read_bytes())

    return once


@pytest.fixture(scope="session")
def watched_while_made(made_once):
    """The figures at a tiny preset, their folder, and what trained or sampled while they were made of their cells."""

    def make(folder):
        cells = tuple(cell for figure in MADE for cell in figure.cells(TINY))
        assert not run_sweep(Sweep(cells), Store(folder / "cells")).missing
        with watched() as called:
            return folder, reproduce(MADE, TINY, folder), called

    return made_once("figures", make)


@pytest.fixture(scope="session")
def made(watched_while_made):
    """The figures at a tiny preset, and their folder."""
    return watched_while_made[:2]

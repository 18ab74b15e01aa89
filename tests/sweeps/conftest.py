import pytest

from superposition._progress import Display
from superposition.sweeps import Store, Sweep, TrainedCell, run_sweep

CELL = TrainedCell(n_features=16, n_hidden=4, probability=0.1, n_steps=30, n_held_out=200)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def complete():
    """Runs a sweep of cells on a store, without a live display."""

    def run(store, *cells, **options):
        with Display() as display:
            return run_sweep(Sweep(cells), store, display=display, **options)

    return run

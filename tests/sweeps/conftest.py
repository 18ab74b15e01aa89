import contextlib
import signal

import pytest

from superposition._progress import Display
from superposition.sweeps import Store, Sweep, TrainedCell, run_sweep

CELL = TrainedCell(n_features=16, n_hidden=4, probability=0.1, n_steps=30, n_held_out=200)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def interrupted(monkeypatch):
    """Returns a context in which training gets Ctrl-C after a step."""
    from superposition.training import loop

    advance = loop.Loop._advance

    @contextlib.contextmanager
    def at(step):
        def advance_and_stop(self):
            advance(self)
            if self.step == step:
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Loop, "_advance", advance_and_stop)
            yield

    return at


@pytest.fixture
def complete():
    """Runs a sweep of cells on a store, without a live display."""

    def run(store, *cells, **options):
        with Display() as display:
            return run_sweep(Sweep(cells), store, display=display, **options)

    return run

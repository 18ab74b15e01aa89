"""Readers of files that the library offers: they return, or raise ValueError or OSError, whatever lies there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(folder: Path) -> Any:
    import superposition as sp

    return sp.load(folder)


def load_with_features(folder: Path) -> Any:
    from superposition.models import load_with_features

    return load_with_features(folder)


def curve(folder: Path) -> Any:
    from superposition.training.storage import read_curve

    return read_curve(folder)


def resume(folder: Path) -> Any:
    import superposition as sp

    features, config = sp.SparseFeatures(8, 0.3), sp.TrainingConfig(n_steps=4, batch_size=4)
    return sp.train(sp.Autoencoder(8, 2, seed=0), features, config, seed=0, folder=folder, resume=True, n_held_out=20)


def _cells(folder: Path) -> Any:
    from superposition.sweeps import read_sweep
    from tests.fuzz.nursery import nursery

    assert folder.name
    return [*read_sweep(nursery() / "sweep.toml").cells, *read_sweep(nursery() / "rugs.toml").cells]


def get(folder: Path) -> Any:
    from superposition.sweeps import Store

    found = [Store(folder).get(cell) for cell in _cells(folder)]
    return [cell.estimate("loss") for cell in found]


def table(folder: Path) -> Any:
    from superposition.sweeps import Store

    cells = _cells(folder)
    return [Store(folder).table([cell for cell in cells if cell.measure == name]) for name in ("trained", "rug")]


def query(folder: Path) -> Any:
    from superposition.sweeps import Store, query as ask

    return ask(Store(folder), "SELECT * FROM trained")


def stored(folder: Path) -> Any:
    from superposition.sweeps import Store, stored_run

    return stored_run(Store(folder), _cells(folder)[0])


def sweep(folder: Path) -> Any:
    from superposition.sweeps import Store, Sweep, run_sweep

    return run_sweep(Sweep(tuple(_cells(folder))), Store(folder))


def redraw(folder: Path) -> Any:
    from superposition.figures import FIGURES, PRESETS, reproduce

    return reproduce([each for each in FIGURES if each.name == "A2"], PRESETS["quick"], folder, redraw=True)


def report(folder: Path) -> Any:
    from superposition.report import write_report

    return write_report(folder)


def claims(folder: Path) -> Any:
    from superposition.claims import ledger

    return ledger(folder)


def description(folder: Path) -> Any:
    from superposition.sweeps import read_sweep

    return read_sweep(folder / "sweep.toml")


# Of each kind of folder: what reads it.
READERS: dict[str, tuple[Callable[[Path], Any], ...]] = {
    "run": (load, load_with_features, curve),
    "rug": (load, load_with_features),
    "linear": (load, load_with_features),
    "unfinished": (resume, resume, load),
    "runs": (get, table, query, stored, sweep),
    "results": (redraw, report, report, claims),
    ".": (description,),
}
BY_NAME = {f"library:{reader.__name__}": reader for readers in READERS.values() for reader in readers}

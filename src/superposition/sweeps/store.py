"""The store: one run folder a cell, named by the cell's key; what is there is not trained again."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superposition import _files
from superposition._progress import Display
from superposition.estimate import Estimate
from superposition.models import Autoencoder, load
from superposition.sweeps.cells import TrainedCell
from superposition.training import train
from superposition.training.storage import RECORD


@dataclass(frozen=True)
class StoredRun:
    """A cell's trained model with the record of its run."""

    cell: TrainedCell
    model: Autoencoder
    record: dict[str, Any]

    @property
    def loss(self) -> Estimate:
        """Held-out loss."""
        return Estimate.from_config(self.record["loss"])


class Store:
    """Trained cells under one folder.

    Args:
        folder: Made when the first cell is trained.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def path(self, cell: TrainedCell) -> Path:
        """Returns the run folder of a cell."""
        return self._folder / cell.key

    def missing(self, cells: Iterable[TrainedCell]) -> list[TrainedCell]:
        """Returns the distinct cells that are not finished yet, in order."""
        return [cell for cell in dict.fromkeys(cells) if not (self.path(cell) / RECORD).exists()]

    def complete(self, cells: Iterable[TrainedCell], display: Display) -> None:
        """Trains the missing cells one after the other; an interrupted one goes on from its checkpoint."""
        missing = self.missing(cells)
        if not missing:
            return
        report = display.task("models")
        for done, cell in enumerate(missing):
            name = f"n={cell.n_features} n_hidden={cell.n_hidden} p={cell.probability:g}"
            report(done, len(missing), "")
            train(
                cell.model(),
                cell.features(),
                cell.config(),
                seed=cell.seed,
                folder=self.path(cell),
                resume=True,
                progress=display.task(name, transient=True),
                n_held_out=cell.n_held_out,
            )
        report(len(missing), len(missing), "")

    def get(self, cell: TrainedCell) -> StoredRun:
        """Returns a finished cell.

        Raises:
            ValueError: It is not there, or its folder is damaged; the message names the folder.
        """
        record = _files.read_json(self.path(cell) / RECORD, "trained cell")
        model = load(self.path(cell))
        if not isinstance(model, Autoencoder):
            raise ValueError(f"{self.path(cell)} must hold an Autoencoder, got {type(model).__name__}: remove it")
        mine = (cell.n_hidden, cell.seed, cell.features().to_config())
        if tuple(record.get(name) for name in ("n_hidden", "seed", "features")) != mine or model.n_hidden != mine[0]:
            raise ValueError(f"{self.path(cell)} must hold the run of {cell}, got another: remove it and run again")
        if record.get("stopped") == "diverged":
            raise ValueError(f"the run of {cell} diverged: remove {self.path(cell)} and use another protocol or seed")
        return StoredRun(cell, model, record)

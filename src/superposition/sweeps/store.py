"""The store: one run folder a cell, named by the cell's key; what is there is not trained again."""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from superposition import _files
from superposition._progress import Display, Report
from superposition.estimate import Estimate
from superposition.models import Autoencoder, load
from superposition.sweeps.cells import TrainedCell
from superposition.training import Curve, train, train_many
from superposition.training.storage import RECORD, open_folder, read_curve, save_run

# Features of models that leave a processor idle one at a time.
_SMALL = 512


@dataclass(frozen=True)
class StoredRun:
    """A cell's trained model with the record and curve of its run."""

    cell: TrainedCell
    model: Autoencoder
    record: dict[str, Any]
    curve: Curve

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
        """Trains the missing cells; what was interrupted goes on from its checkpoint.

        Small cells that see the same batches are trained together, larger ones one after the other.
        """
        missing = self.missing(cells)
        if not missing:
            return
        groups: dict[TrainedCell, list[TrainedCell]] = {}
        for cell in missing:
            same_batches = replace(cell, n_hidden=1)
            groups.setdefault(same_batches if cell.n_features <= _SMALL else cell, []).append(cell)
        report = display.task("models")
        done = 0
        for group in groups.values():
            report(done, len(missing), "")
            name = f"n={group[0].n_features} p={group[0].probability:g}"
            if len(group) == 1:
                self._train(group[0], display.task(f"{name} n_hidden={group[0].n_hidden}", transient=True))
            else:
                self._train_together(group, display.task(f"{name}, {len(group)} models", transient=True))
            done += len(group)
        report(len(missing), len(missing), "")

    def _train(self, cell: TrainedCell, report: Report) -> None:
        train(
            cell.model(),
            cell.features(),
            cell.config(),
            seed=cell.seed,
            folder=self.path(cell),
            resume=True,
            progress=report,
            n_held_out=cell.n_held_out,
        )

    def _train_together(self, group: list[TrainedCell], report: Report) -> None:
        first, names = group[0], " ".join(cell.key for cell in group)
        checkpoints = self._folder / f"together-{hashlib.blake2b(names.encode(), digest_size=10).hexdigest()}"
        runs = train_many(
            [cell.model() for cell in group],
            first.features(),
            first.config(),
            seed=first.seed,
            checkpoints=checkpoints,
            progress=report,
            n_held_out=first.n_held_out,
        )
        for cell, run in zip(group, runs, strict=True):
            with _files.locked(folder := _files.vacant(self.path(cell))):
                save_run(run, open_folder(folder, resume=True))
        shutil.rmtree(checkpoints)

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
        return StoredRun(cell, model, record, read_curve(self.path(cell)))

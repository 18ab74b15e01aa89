"""A cell: everything that decides one row of numbers, and how the row is measured."""

import abc
import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from superposition import _checks
from superposition._progress import Report, silent
from superposition.estimate import Estimate

# What a row may hold; an Estimate becomes three columns, NaN an empty field.
Value = float | int | str | bool | Estimate | None
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Workplace:
    """Where a cell is measured.

    Attributes:
        folder: Files written here are stored with the row; after an interruption they are there again.
        device: Torch device, such as cpu or cuda.
        report: Takes progress.
    """

    folder: Path
    device: str = "cpu"
    report: Report = silent


class Cell(abc.ABC):
    """One point of a sweep. Subclasses are final frozen dataclasses of plain values, and check them when made.

    Attributes:
        measure: Name of what is measured, and of its table; a word.
        version: Raised whenever equal cells would get other rows, so that stored rows are not mistaken for them.
        columns: The type of each column of the row: float, int, str, bool, or Estimate, which becomes three. Any may
            be empty; a row that does not fit is its own cell's failure, and spoils no table.
        headline: Columns of the row to print.
    """

    measure: ClassVar[str]
    version: ClassVar[int]
    columns: ClassVar[Mapping[str, type]]
    headline: ClassVar[tuple[str, ...]]

    def content(self) -> dict[str, Any]:
        """Returns all that decides the row, as plain data: the fields, if a measure does not say otherwise."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    @abc.abstractmethod
    def row(self, place: Workplace) -> Row:
        """Measures; the same row and files wherever it runs, on equal devices and numbers of threads."""

    @property
    def key(self) -> str:
        """A name made of the content: cells that get the same row, and only they, share it."""
        return digest({"measure": self.measure, "version": self.version, **self.content()})

    def fields(self) -> dict[str, Any]:
        """Returns the fields, the first columns of the table."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def _settle(self, **plain: Value) -> None:
        """Sets fields to their checked values, as plain data, when the cell is made."""
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def _settle_counts(self, *names: str, **least: int) -> None:
        """Checks counts, ≥ 1 or as given, and the width of the bottleneck and the seed of a cell that has them."""
        counts = {**dict.fromkeys(names, 1), **least}
        self._settle(**{name: _checks.whole_number(name, getattr(self, name), low=low) for name, low in counts.items()})
        given = vars(self)
        if "n_hidden" in given:
            self._settle(n_hidden=_checks.hidden_width(given["n_hidden"], given["n_features"]))
        if "seed" in given:
            self._settle(seed=_checks.seed(given["seed"]))


class BatchCell(Cell):
    """A cell of which many are measured faster together than one after the other."""

    @abc.abstractmethod
    def batch(self) -> Hashable | None:
        """Returns what cells that are measured together have in common; None for a cell that goes alone."""

    @classmethod
    @abc.abstractmethod
    def prepare(cls, cells: Sequence[Any], places: Sequence[Workplace], shared: Workplace) -> None:
        """Does the common work of a batch, before the row of each cell is measured at its place.

        Args:
            cells: Cells of one batch.
            places: The place of each.
            shared: A folder of all together, for checkpoints; removed when all rows are stored.
        """


def digest(content: Any) -> str:
    """Returns a short digest of plain data, the same everywhere."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=10).hexdigest()

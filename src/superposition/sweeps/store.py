"""The store: one immutable folder a measured cell, whole or absent, for many writers on one disk."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superposition import _files
from superposition.estimate import Estimate
from superposition.sweeps import records
from superposition.sweeps.cell import Cell

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
_MARK, _RECORD = "store.json", "record.json"


@dataclass(frozen=True)
class StoredCell:
    """A measured cell.

    Attributes:
        cell: Which.
        folder: Its folder: record.json and the files that its measure wrote.
        row: Its columns by name: the cell's fields, what was measured, and what ran where.
    """

    cell: Cell
    folder: Path
    row: dict[str, Any]

    def estimate(self, name: str) -> Estimate:
        """Returns a measured column with its standard error."""
        config = {"value": self.row[name], "standard_error": self.row[f"{name}_standard_error"]}
        return Estimate.from_config({**config, "count": self.row[f"{name}_count"]})


class Store:
    """Measured cells under one folder: done/MEASURE/KEY, with failed/, work/ and tables/ beside it.

    A cell's folder is made elsewhere and renamed into its place, so that what is there is whole. It is never changed
    again. Any number of processes may write at a time; one sweep at a time may run (`locked`).

    Args:
        folder: Made when the first cell is measured.
    """

    def __init__(self, folder: str | Path) -> None:
        self.root = Path(folder)

    @property
    def exists(self) -> bool:
        """Whether the folder is a store already."""
        return (self.root / _MARK).exists()

    def folder(self, cell: Cell) -> Path:
        """Returns the place of a cell."""
        return self.root / "done" / cell.measure / cell.key

    def workplace(self, name: str) -> Path:
        """Returns a folder for unfinished work."""
        return self.root / "work" / name

    def has(self, cell: Cell) -> bool:
        """Whether a cell is stored."""
        return (self.folder(cell) / _RECORD).exists()

    def keys(self, measure: str) -> list[str]:
        """Returns the keys of all stored cells of a measure, in the order of the alphabet."""
        return self._names(f"done/{measure}")

    def measures(self) -> list[str]:
        """Returns the names of the measures of which there are cells."""
        return self._names("done")

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Returns the distinct cells that are not stored, in order."""
        distinct = {cell.key: cell for cell in cells}
        done = {measure: set(self.keys(measure)) for measure in {cell.measure for cell in distinct.values()}}
        return [cell for key, cell in distinct.items() if key not in done[cell.measure]]

    def get(self, cell: Cell) -> StoredCell:
        """Returns a stored cell.

        Raises:
            ValueError: It is not there, or its record is damaged; the message names the folder.
        """
        self.check_format()
        folder = self.folder(cell)
        return StoredCell(cell, folder, records.flat(records.read(folder / _RECORD)))

    def table(self, cells: Iterable[Cell]) -> "pa.Table":
        """Returns one row a distinct cell, in order: fields, what was measured, and what ran where.

        Raises:
            ValueError: A cell is not stored, or a record is damaged.
        """
        from superposition.sweeps.tables import table_of

        cells = list(cells)
        self.check_format()
        if missing := self.missing(cells):
            raise ValueError(
                f"{self.root} must hold every cell, but {len(missing)} are missing, the first of them {missing[0]}: "
                "run the sweep first"
            )
        return table_of(self, cells)

    def read(self, measure: str, key: str) -> dict[str, Any]:
        """Returns the columns of a stored cell by its key."""
        return records.flat(records.read(self.root / "done" / measure / key / _RECORD))

    def put(self, cell: Cell, record: dict[str, Any], folder: Path) -> None:
        """Makes a folder, with a record, that of a cell; the first of two writers wins.

        Raises:
            OSError: The disk is full or the folder cannot be written; nothing is stored then.
        """
        _files.write_new_json(folder / _RECORD, record)
        target = self.folder(cell)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            if not self.has(cell):
                raise
            shutil.rmtree(folder)
        self._failure(cell).unlink(missing_ok=True)

    def put_failure(self, cell: Cell, error: Exception, provenance: dict[str, Any]) -> None:
        """Records that a cell raised an error; the next failure replaces it, success removes it."""
        _files.write_json(self._failure(cell), records.compose_failure(cell, error, provenance))

    def failure(self, cell: Cell) -> str | None:
        """Returns the error that a cell raised when it was last tried."""
        path = self._failure(cell)
        return str(_files.read_json(path, "failure").get("error")) if path.exists() else None

    def check_format(self) -> None:
        """Raises ValueError if the store was written by a version that this one cannot read."""
        if not self.exists:
            return
        found = _files.read_json(self.root / _MARK, "store")
        if found.get("format") != FORMAT:
            raise ValueError(
                f"{self.root} must be a store of format {FORMAT}, got {found.get('format')!r}, written by "
                f"superposition {found.get('version')}: install that version or choose another folder"
            )

    def check_place(self) -> None:
        """Raises the errors of `locked` for a folder that is no store and cannot become one; makes nothing."""
        self.check_format()
        _files.vacant(self.root)
        if not self.exists and any(self.root.glob("[!.]*")):
            raise FileExistsError(f"{self.root} holds other files and is no store: choose another folder")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder a store, if it is none yet, and keeps other sweeps out within the block.

        If the block fails before anything is written to a store that it made, no folder is left of it.

        Raises:
            FileExistsError: A sweep is at work there, or the folder holds something else.
            ValueError: The store was written by another version.
            OSError: The folder cannot be made or written.
        """
        self.check_place()
        absent = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        try:
            with _files.locked(self.root), self._marked():
                yield
        except BaseException:
            with contextlib.suppress(OSError):  # of the first one that is not empty
                for folder in absent:
                    folder.rmdir()
            raise

    @contextlib.contextmanager
    def _marked(self) -> Iterator[None]:
        """Makes the folder a store; it is none again if the block fails before anything is written to it."""
        if self.exists:
            yield
            return
        mark = self.root / _MARK
        _files.write_json(mark, {"format": FORMAT, "version": version("superposition")})
        try:
            yield
        except BaseException:
            if list(self.root.glob("[!.]*")) == [mark]:
                mark.unlink()
            raise

    def _names(self, part: str) -> list[str]:
        try:
            return sorted(path.name for path in (self.root / part).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _failure(self, cell: Cell) -> Path:
        return self.root / "failed" / f"{cell.measure}-{cell.key}.json"

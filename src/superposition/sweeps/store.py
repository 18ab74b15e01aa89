"""The store: one immutable folder a measured cell, whole or absent, for many writers on one disk."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superposition import _files, sweeps
from superposition.estimate import Estimate
from superposition.sweeps import records
from superposition.sweeps.cell import Cell
from superposition.sweeps.columns import WORD, flat_columns

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
_MARK, _RECORD = "store.json", "record.json"
# What belongs to a store; other names in it, such as those that file managers leave, are passed over.
_KEY = re.compile(r"[0-9a-f]{20}")
# What file managers leave in any folder, beside hidden files.
_STRAYS = {"Thumbs.db", "desktop.ini"}


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

    The store itself may be a link to another disk, but nothing in it may be one: a link in a store from a stranger
    could lead what is written anywhere. Such folders are refused when written to, and passed over when read.

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
        return self.root.joinpath("done", cell.measure, cell.key)

    def workplace(self, name: str) -> Path:
        """Returns a folder for unfinished work.

        Raises:
            NotADirectoryError: It, or that of all work, is a link.
        """
        return _files.check_inside(self.root / "work" / name, self.root)

    def has(self, cell: Cell) -> bool:
        """Whether a cell is stored."""
        folder = self.folder(cell)
        return (folder / _RECORD).exists() and not folder.is_symlink()

    def keys(self, measure: str) -> list[str]:
        """Returns the keys of all stored cells of a measure, in the order of the alphabet."""
        return _folders(self.root / "done" / measure, _KEY)

    def measures(self) -> list[str]:
        """Returns the names of the measures of which there are cells."""
        return [name for name in _folders(self.root / "done", WORD) if self.keys(name)]

    def unfinished(self) -> list[Path]:
        """Returns the folders of units of work that were begun and not finished, in the order of their names."""
        return [self.root / "work" / name for name in _folders(self.root / "work", _KEY)]

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Returns the distinct cells that are not stored, in order."""
        distinct = {cell.key: cell for cell in cells}
        done = {measure: set(self.keys(measure)) for measure in {cell.measure for cell in distinct.values()}}
        return [cell for key, cell in distinct.items() if key not in done[cell.measure]]

    def get(self, cell: Cell) -> StoredCell:
        """Returns a stored cell.

        Raises:
            ValueError: It is not there, or its record is damaged or another cell's; the message names the folder.
        """
        self.check_format()
        row = records.flat(records.typed(self.read(cell.measure, cell.key), type(cell), self.folder(cell)))
        return StoredCell(cell, self.folder(cell), row)

    def table(self, cells: Iterable[Cell]) -> "pa.Table":
        """Returns one row a distinct cell, in order: fields, what was measured, and what ran where.

        Raises:
            ValueError: A cell is not stored, or a record is damaged or lacks columns that its cell declares.
        """
        cells = list({cell.key: cell for cell in cells}.values())
        self.check_format()
        if missing := self.missing(cells):
            raise ValueError(
                f"{self.root} must hold every cell, but {len(missing)} are missing, the first of them {missing[0]}: "
                "run the sweep first"
            )
        rows, kinds = [], dict[str, type]()
        for cell in cells:
            record = self.read(cell.measure, cell.key)
            rows.append(records.flat(records.typed(record, type(cell), self.folder(cell))))
            kinds |= flat_columns(cell.columns)
        return sweeps.arrow.as_table(rows, kinds)

    def read(self, measure: str, key: str) -> dict[str, Any]:
        """Returns the record of a stored cell by its key; raises ValueError if it is damaged or another cell's."""
        return records.read(self.root.joinpath("done", measure, key, _RECORD), measure, key)

    def digests(self, cells: Iterable[Cell]) -> list[str]:
        """Returns digests of the records of stored cells, in order; raises ValueError if one is not there."""
        return [_files.digest(self.folder(cell) / _RECORD) for cell in cells]

    def put(self, cell: Cell, record: dict[str, Any], folder: Path) -> None:
        """Makes a folder, with a record, that of a cell; the first of two writers wins.

        Raises:
            OSError: The disk is full or the folder cannot be written; nothing is stored then.
        """
        _files.write_new_json(folder / _RECORD, record)
        target = _files.check_inside(self.folder(cell), self.root)
        try:
            _files.publish(folder, target)
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
        if not self.exists and self._contents():
            raise FileExistsError(f"{self.root} holds other files and is no store: choose another folder")

    def keep(self) -> None:
        """Makes the folder a store for good: others may write to it from now on, whatever becomes of this process."""
        _files.make_folder(_files.check_inside(self.root / "work", self.root))

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
                self._tidy()
                yield
        except BaseException:
            with contextlib.suppress(OSError):  # of the first one that is not empty
                for folder in absent:
                    folder.rmdir()
            raise

    def _tidy(self) -> None:
        """Removes what killed processes have left half written."""
        for place in (self.root, self.root / "failed", self.root / "tables"):
            _files.remove_partial(_files.check_inside(place, self.root))

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
            if self._contents() == [mark]:
                mark.unlink()
            raise

    def _contents(self) -> list[Path]:
        """Returns what is in the folder, but for hidden files and those that file managers leave."""
        return [path for path in self.root.glob("[!.]*") if path.name not in _STRAYS]

    def _failure(self, cell: Cell) -> Path:
        folder = _files.check_inside(self.root / "failed", self.root)
        return folder / f"{cell.measure}-{cell.key}.json"


def _folders(place: Path, names: re.Pattern[str]) -> list[str]:
    """Returns the names of folders in a folder, in the order of the alphabet; of none if it is a link."""
    if place.is_symlink():
        return []
    try:
        with os.scandir(place) as entries:
            return sorted(e.name for e in entries if names.fullmatch(e.name) and e.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []

"""A unit of work: cells that are measured in one go, in any process that sees the store."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from superposition import _files
from superposition._progress import Report
from superposition._provenance import commit, processor, provenance
from superposition.sweeps import records
from superposition.sweeps.cell import BatchCell, Cell, Workplace, digest
from superposition.sweeps.store import Store

_MEMBERS, _PREPARED, _SHARED = "members.json", "prepared", "shared"
_BUSY_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    Attributes:
        n_cells: Number of its cells that were not stored before.
        errors: Errors of those that raised one, by key; the others are stored.
    """

    n_cells: int
    errors: dict[str, str]


@dataclass(frozen=True)
class Unit:
    """Cells that are measured in one go, and how: all on which the last bits of their rows depend.

    Attributes:
        cells: One, or more of one batch.
        store: Absolute folder of the store.
        threads: Threads of the numerical libraries.
        device: Torch device.
        only: The one cell of a batch to measure; all if not given.
    """

    cells: tuple[Cell, ...]
    store: Path
    threads: int
    device: str
    only: Cell | None = None

    @property
    def wanted(self) -> tuple[Cell, ...]:
        """The cells to measure."""
        return self.cells if self.only is None else (self.only,)

    @property
    def name(self) -> str:
        """A name made of the cells."""
        return digest([cell.key for cell in self.cells])

    @property
    def title(self) -> str:
        """What it is, for people."""
        first = self.cells[0]
        sizes = " ".join(f"{name}={value}" for name, value in list(first.fields().items())[:3])
        return f"{first.measure} {sizes}" + (f" and {len(self.cells) - 1} more" if len(self.cells) > 1 else "")

    def run(self, report: Report) -> Outcome:
        """Measures the cells that are not stored yet and stores each; what was interrupted goes on.

        Threads are set by whoever calls this.

        Raises:
            OSError: The store cannot be written, or the disk was full in a cell: it would be so in the next ones too.
                What else a cell raises is recorded in the store and returned.
        """
        store = Store(self.store)
        errors: dict[str, str] = {}
        with _kept(store.workplace(self.name)) as folder:
            _files.check_closed(folder)
            missing = [cell for cell in self.wanted if not store.has(cell)]
            if len(self.cells) > 1 and missing:
                _files.write_json(folder / _MEMBERS, {"keys": [cell.key for cell in self.cells]})
            for cell, error in self._measure(missing, store, folder, report):
                store.put_failure(cell, error, self.provenance(0.0))
                errors[cell.key] = records.describe(error)
            if not errors and all(map(store.has, self.cells)):
                shutil.rmtree(folder)
        return Outcome(len(missing), errors)

    def split(self) -> "list[Unit]":
        """Returns a unit for each cell that is not stored, for a batch whose process was killed.

        If it was killed after the common work of the batch, each goes on from that, and gets the row that it would have
        had. If it was killed in it, each cell goes alone: less memory may do for that, and there is no other way to
        find the one that is to blame. Its last bits are then other than in the batch, and `together` is 1 in its row.
        """
        store = Store(self.store)
        missing, folder = store.missing(self.cells), store.workplace(self.name)
        if (folder / _PREPARED).exists():
            return [replace(self, only=cell) for cell in missing]
        shutil.rmtree(folder, ignore_errors=True)  # or the next sweep would begin the batch again
        return [replace(self, cells=(cell,)) for cell in missing]

    def _measure(
        self, missing: Sequence[Cell], store: Store, folder: Path, report: Report
    ) -> Iterator[tuple[Cell, Exception]]:
        """Stores the rows of cells, and yields the cells that raised an error."""
        started = time.monotonic()
        places = {cell: Workplace(folder / cell.key, self.device, report) for cell in self.cells}
        first = self.cells[0]
        if isinstance(first, BatchCell) and len(self.cells) > 1 and missing:
            # All of them, if some are stored already too: the rounding depends on who is there.
            shared = Workplace(folder / _SHARED, self.device, report)
            try:
                first.prepare(self.cells, list(places.values()), shared)
            except Exception as error:
                _check_disk(error, store)
                yield from ((cell, error) for cell in missing)
                return
            (folder / _PREPARED).touch()
        common = (time.monotonic() - started) / len(self.cells)
        for cell in missing:
            started = time.monotonic()
            place = places[cell]
            try:
                place.folder.mkdir(exist_ok=True)
                row = cell.row(place)
                seconds = common + time.monotonic() - started
                record = records.compose(cell, row, self.provenance(seconds))
            except Exception as error:
                _check_disk(error, store)
                yield cell, error
            else:
                store.put(cell, record, place.folder)

    def provenance(self, seconds: float) -> dict[str, Any]:
        """Returns what runs where."""
        return {
            **_environment(),
            "threads": self.threads,
            "device": _device_name(self.device),
            "together": len(self.cells),
            "seconds": seconds,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def unfinished_batches(store: Store) -> list[list[str]]:
    """Returns the keys of the cells of every batch that was begun and not finished."""
    return [keys for folder in store.unfinished() if (keys := _members(folder))]


def remove_finished(store: Store) -> None:
    """Removes the places of work whose cells are all stored: processes were killed before they could."""
    stored = {key for measure in store.measures() for key in store.keys(measure)}
    for folder in store.unfinished():
        begun = set(_members(folder)) | {path.name for path in folder.iterdir() if path.is_dir()} - {_SHARED}
        if begun <= stored:
            # What a worker of an earlier driver is at work on is none of ours.
            with contextlib.suppress(FileExistsError), _files.locked(folder):
                shutil.rmtree(folder)


def _members(folder: Path) -> list[str]:
    """Returns the keys of the batch whose place of work a folder is; none for a cell that goes alone."""
    path = folder / _MEMBERS
    if not path.exists():
        return []
    keys = _files.read_json(path, "batch").get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{path} is damaged: remove {folder}, and its cells begin anew")
    return keys


def _check_disk(error: Exception, store: Store) -> None:
    """Raises OSError if an error is that of the store's disk and not of a cell."""
    fault = _files.disk_fault(error)
    if fault is None or not _is_below(fault.filename, store.root):
        return
    raise _files.UnwritableError(
        f"{store.root} could not be written ({fault.strerror}): free space; the same command goes on"
    ) from error


def _is_below(name: object, root: Path) -> bool:
    """Whether a file is in a folder; one whose name an error does not tell is taken for that."""
    return not isinstance(name, str) or Path(name).resolve().is_relative_to(root.resolve())


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[Path]:
    """Keeps a folder to this process within the block; waits for one that has been left behind by another sweep."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                _files.make_folder(folder, to_disk=False)  # lost in a crash, it is made again
                stack.enter_context(_files.locked(folder))
            except FileExistsError:
                time.sleep(_BUSY_SECONDS)
            else:
                break
        yield folder


@cache
def _environment() -> dict[str, Any]:
    found = provenance()
    return {**found["versions"], "commit": commit(), "processor": processor()}


@cache
def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"

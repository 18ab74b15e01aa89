"""A sweep, and its plan: what is done and what is left, in units of work."""

from dataclasses import dataclass
from typing import Self

from superposition import _checks
from superposition.sweeps.cell import BatchCell, Cell
from superposition.sweeps.columns import check_measure
from superposition.sweeps.store import Store
from superposition.sweeps.unit import Unit, unfinished_batches

MOST_THREADS = 1024


@dataclass(frozen=True)
class Sweep:
    """A frozen description of cells to measure, and of how exactly.

    The last bits of a row depend on the number of threads, so that it belongs here and not to the executor.

    Args:
        cells: Any cells, in the order in which they are measured; repetitions count once.
        threads: Threads of the numerical libraries in each process, in [1, 1024].
        device: Torch device, such as cpu or cuda.

    Raises:
        ValueError: There is no cell, a measure is not well declared, or `threads` is out of range.
    """

    cells: tuple[Cell, ...]
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.cells:
            raise ValueError("`cells` must hold at least one cell, got none")
        object.__setattr__(self, "cells", tuple({cell.key: cell for cell in self.cells}.values()))
        for kind in {type(cell) for cell in self.cells}:
            check_measure(kind)
        _checks.whole_number("threads", self.threads, high=MOST_THREADS)


@dataclass(frozen=True)
class Plan:
    """What a sweep has left to do on a store.

    Attributes:
        cells: All of its cells.
        done: Number of them that are stored.
        units: What is left, in order; the same whichever executor it is for, and after any interruption.
    """

    cells: tuple[Cell, ...]
    done: int
    units: tuple[Unit, ...]

    @property
    def left(self) -> int:
        """Number of cells that are left."""
        return len(self.cells) - self.done

    @classmethod
    def of(cls, sweep: Sweep, store: Store) -> Self:
        """Returns the plan: cells of one batch together, and those of a batch that was begun with the same as then."""
        everything = {cell.key: cell for cell in sweep.cells}
        missing = {cell.key: cell for cell in store.missing(sweep.cells)}
        done = len(everything) - len(missing)
        groups: list[list[Cell]] = []
        for keys in unfinished_batches(store):
            if any(key in missing for key in keys) and all(key in everything for key in keys):
                groups.append([everything[key] for key in keys])
                for key in keys:
                    missing.pop(key, None)
        batches: dict[object, list[Cell]] = {}
        for cell in missing.values():
            batch = cell.batch() if isinstance(cell, BatchCell) else None
            batches.setdefault(cell.key if batch is None else (cell.measure, batch), []).append(cell)
        root = store.root.resolve()
        units = (Unit(tuple(group), root, sweep.threads, sweep.device) for group in [*groups, *batches.values()])
        return cls(sweep.cells, done, tuple(units))

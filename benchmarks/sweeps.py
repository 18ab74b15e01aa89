"""Time that a sweep adds to each cell.

python benchmarks/sweeps.py [N_CELLS]       10000 trivial cells in this process, then the same again, all stored
python benchmarks/sweeps.py N_CELLS WORKERS the same in processes of this machine
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from superposition.sweeps import Cell, Embedded, LocalWorkers, Row, Store, Sweep, Workplace, run_sweep

LIMIT = 5e-3


@final
@dataclass(frozen=True)
class Trivial(Cell):
    """A cell that takes no time."""

    measure: ClassVar[str] = "trivial"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"square": int}
    headline: ClassVar[tuple[str, ...]] = ("square",)

    number: int

    def content(self) -> dict[str, Any]:
        """Returns the field."""
        return asdict(self)

    def row(self, place: Workplace) -> Row:  # noqa: ARG002
        """Returns one number."""
        return {"square": self.number**2}


def main(n_cells: int = 10_000, n_workers: int = 0) -> None:
    """Prints the time of each part, per cell."""
    sweep = Sweep(tuple(Trivial(number) for number in range(n_cells)))
    executor = LocalWorkers(n_workers) if n_workers else Embedded()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs")
        parts = {
            "measure and store": lambda: run_sweep(sweep, store, executor),
            "find all stored": lambda: run_sweep(sweep, store, executor),
            "read the table": lambda: store.table(sweep.cells),
        }
        for name, part in parts.items():
            started = time.perf_counter()
            part()
            seconds = (time.perf_counter() - started) / n_cells
            print(f"{name:20} {1e3 * seconds:8.3f} ms a cell, {seconds / LIMIT:7.2%} of {1e3 * LIMIT:g} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

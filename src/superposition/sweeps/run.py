"""Running a sweep: plan, run what is left, try again, and count what is missing."""

from dataclasses import dataclass

from superposition import _checks
from superposition._progress import Display
from superposition.sweeps.cell import Cell
from superposition.sweeps.executors import Embedded, Executor
from superposition.sweeps.store import Store
from superposition.sweeps.sweep import Plan, Sweep
from superposition.sweeps.tables import compact
from superposition.sweeps.unit import remove_finished


@dataclass(frozen=True)
class Result:
    """How a sweep ended.

    Attributes:
        cells: All of its cells.
        measured: Number of cells measured now; the others were stored before, or are missing.
        missing: Cells that are not stored.
        errors: What each of them raised, by key; a cell that was not reached, or whose process died, has none.
    """

    cells: tuple[Cell, ...]
    measured: int
    missing: tuple[Cell, ...]
    errors: dict[str, str]


def run_sweep(
    sweep: Sweep,
    store: Store,
    executor: Executor | None = None,
    *,
    retries: int = 0,
    display: Display | None = None,
) -> Result:
    """Measures the cells of a sweep that are not in a store yet.

    May be stopped at any time, in any way: the same call goes on. A cell that raises an error is recorded with it
    and does not stop the others.

    Args:
        sweep: What to measure.
        store: Where rows are kept.
        executor: Where to run; this process if not given.
        retries: How often to try again what is missing, ≥ 0.
        display: Shows progress.

    Raises:
        FileExistsError: Another sweep is at work on the store, or its folder holds something else.
        ValueError: The store was written by another version, or the device is not there.
        OSError: The store cannot be written, or the executor cannot be reached.
        KeyboardInterrupt: On SIGINT, after checkpoints are written.
    """
    _checks.whole_number("retries", retries, low=0)
    if display is None:
        with Display() as display:
            return run_sweep(sweep, store, executor, retries=retries, display=display)
    executor = executor or Embedded()
    errors: dict[str, str] = {}
    with store.locked():
        remove_finished(store)
        first = plan = Plan.of(sweep, store)
        report = display.task("cells")
        for _ in range(retries + 1):
            if not plan.units:
                break
            errors, reached = {}, plan.done
            report(reached, len(plan.cells), "")
            for outcome in executor.run(plan.units, display):
                errors.update(outcome.errors)
                reached += outcome.n_cells
                report(reached, len(plan.cells), f"{len(errors)} failed" if errors else "")
            plan = Plan.of(sweep, store)
        # Of a cell that a killed driver had begun alone, and that was measured in a batch now.
        remove_finished(store)
        compact(store, dict.fromkeys(cell.measure for cell in plan.cells), anew=first.left > 0)
        missing = tuple(store.missing(sweep.cells))
    keys = {cell.key for cell in missing}
    errors = {key: error for key, error in errors.items() if key in keys}
    return Result(plan.cells, first.left - len(missing), missing, errors)

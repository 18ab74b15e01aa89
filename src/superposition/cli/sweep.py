"""The commands that run sweeps and look into their stores."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import tyro

import superposition as sp
from superposition._text import complain, say
from superposition.cli import costs
from superposition.cli.command import Command, Count, Executed
from superposition.cli.exit_codes import DONE, FAILED, INTERRUPTED
from superposition.cli.rows import KINDS, save_rows, show_rows

if TYPE_CHECKING:
    from superposition.sweeps import Cell, Result, Store

_SHOWN_ERRORS = 5


@final
@dataclass(frozen=True, kw_only=True)
class RunSweep(Executed):
    """Measure a grid of models, described in a TOML file; what is stored already is not measured again.

    It may be stopped at any time, in any way: the same command goes on. Exit code 1 means that a cell is missing.
    """

    sweep: tyro.conf.Positional[Path]
    """TOML file with a measure and its cells."""
    out: Path = Path("runs")
    """Folder of the store."""
    dry_run: bool = False
    """Show what is done and what is left, and stop."""
    retries: Count = 0
    """How often to try again what is missing."""

    def run(self) -> int:
        """Plans, measures, and shows what is stored."""
        sp._checks.whole_number("retries", self.retries, low=0)
        sweep, store = sp.sweeps.read_sweep(self.sweep), sp.sweeps.Store(self.out)
        executor = self.executor(sweep.device)
        store.check_place()
        plan = sp.sweeps.Plan.of(sweep, store)
        if self.is_here and not self.dry_run:
            groups = [unit.cells for unit in plan.units]
            costs.of_cells(groups, self.workers or 1).refuse(force=self.force, device=sweep.device)
        say(f"{len(plan.cells)} cells: {plan.done} done, {plan.left} left")
        if self.dry_run:
            return DONE
        try:
            result = sp.sweeps.run_sweep(sweep, store, executor, retries=self.retries)
        except KeyboardInterrupt:
            left = len(store.missing(sweep.cells))
            complain(f"superposition: interrupted with {left} cells left; the same command goes on")
            return INTERRUPTED
        except sp.sweeps.ClusterLostError as error:
            complain(f"superposition: {error}")
            return FAILED
        missing = {cell.key for cell in result.missing}
        show_cells(store, [cell for cell in sweep.cells if cell.key not in missing])
        return _report(result, self.out)


@final
@dataclass(frozen=True, kw_only=True)
class Query(Command):
    """Ask the store of a sweep in SQL; each measure is a table: SELECT ratio, loss FROM trained ORDER BY ratio."""

    sql: tyro.conf.Positional[str]
    """The query, DuckDB's SQL."""
    out: Path = Path("runs")
    """Folder of the store."""
    save: Path | None = None
    """File for the rows, .parquet or .csv; they are printed if not given. In CSV, text that a spreadsheet would run,
    such as =1+1, gets an apostrophe before it."""

    def run(self) -> int:
        """Prints or saves what the query finds."""
        if self.save is not None:
            if self.save.suffix not in KINDS:
                raise ValueError(f"`save` must end in {' or '.join(KINDS)}, got {self.save}")
            sp._files.refuse_existing(self.save)
        found = sp.sweeps.query(sp.sweeps.Store(self.out), self.sql)
        if self.save is None:
            show_rows(found)
            return DONE
        save_rows(found, self.save)
        say(f"{found.num_rows} rows saved in {self.save}")
        return DONE


def show_cells(store: "Store", cells: "list[Cell]") -> None:
    """Prints the rows of cells: the fields in which they differ, and the numbers that matter most."""
    for kind in dict.fromkeys(type(cell) for cell in cells):
        mine = [cell for cell in cells if type(cell) is kind]
        rows = store.table(mine)
        fields = [name for name in mine[0].fields() if len({cell.fields()[name] for cell in mine}) > 1]
        names = [name for name in (*fields, *kind.headline) if name in rows.column_names]
        show_rows(rows.select(list(dict.fromkeys(names))), title=kind.measure)


def _report(result: "Result", out: Path) -> int:
    """Says what is missing, and returns the exit code."""
    done = len(result.cells) - len(result.missing)
    say(f"{done} of {len(result.cells)} cells are in {out}, {result.measured} of them new")
    if not result.missing:
        return DONE
    reasons: dict[str, int] = {}
    for cell in result.missing:
        reason = result.errors.get(cell.key, "not reached")
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in list(reasons.items())[:_SHOWN_ERRORS]:
        complain(f"superposition: {count} cells are missing: {reason}")
    complain(f"superposition: tracebacks are in {out / 'failed'}; the same command tries again")
    return FAILED

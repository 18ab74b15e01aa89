"""The commands that run sweeps and look into their stores."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import tyro

from superposition._text import complain
from superposition.cli.command import Command, Count, Spread
from superposition.cli.exit_codes import FAILED, INTERRUPTED
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from superposition.sweeps import Cell, Result, Store

_SHOWN_ROWS, _SHOWN_COLUMNS, _SHOWN_ERRORS = 20, 12, 5


@final
@dataclass(frozen=True, kw_only=True)
class Sweep(Spread):
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
        from superposition import _checks
        from superposition.sweeps import Plan, SchedulerLostError, Store, read_sweep, run_sweep

        _checks.whole_number("retries", self.retries, low=0)
        sweep, store = read_sweep(self.sweep), Store(self.out)
        executor = self.executor(sweep.device)
        store.check_place()
        plan = Plan.of(sweep, store)
        print(f"{len(plan.cells)} cells: {plan.done} done, {plan.left} left", flush=True)
        if self.dry_run:
            return 0
        try:
            result = run_sweep(sweep, store, executor, retries=self.retries)
        except KeyboardInterrupt:
            left = len(store.missing(sweep.cells))
            complain(f"superposition: interrupted with {left} cells left; the same command goes on")
            return INTERRUPTED
        except SchedulerLostError as error:
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
    """File for the rows, .parquet or .csv; they are printed if not given."""

    def run(self) -> int:
        """Prints or saves what the query finds."""
        from superposition import _files
        from superposition.sweeps import Store, query

        kinds = (".parquet", ".csv")
        if self.save is not None and self.save.suffix not in kinds:
            raise ValueError(f"`save` must end in {' or '.join(kinds)}, got {self.save}")
        if self.save is not None:
            _files.refuse_existing(self.save)
        found = query(Store(self.out), self.sql)
        if self.save is None:
            _show_rows(found)
            return 0
        import pyarrow.csv
        import pyarrow.parquet

        write = pyarrow.parquet.write_table if self.save.suffix == ".parquet" else pyarrow.csv.write_csv
        with _files.replacing(self.save) as temporary:
            write(found, temporary)
        print(f"{found.num_rows} rows saved in {self.save}")
        return 0


def show_cells(store: "Store", cells: "list[Cell]") -> None:
    """Prints the rows of cells: the fields in which they differ, and the numbers that matter most."""
    for kind in dict.fromkeys(type(cell) for cell in cells):
        mine = [cell for cell in cells if type(cell) is kind]
        rows = store.table(mine)
        fields = [name for name in mine[0].fields() if len({cell.fields()[name] for cell in mine}) > 1]
        names = [name for name in (*fields, *kind.headline) if name in rows.column_names]
        _show_rows(rows.select(list(dict.fromkeys(names))), title=kind.measure)


def _show_rows(rows: "pa.Table", title: str = "") -> None:
    """Prints the first rows; many columns stand below one another."""
    if rows.num_columns > _SHOWN_COLUMNS:
        first = rows.slice(0, _SHOWN_COLUMNS // 3).to_pylist()
        table = new_table("", *(str(index + 1) for index in range(len(first))), title=title)
        for name in rows.column_names:
            table.add_row(name, *(_text(row[name]) for row in first))
        _show(table, rows.num_rows - len(first))
        return
    table = new_table(*rows.column_names, title=title)
    first = rows.slice(0, _SHOWN_ROWS).to_pylist()
    for row in first:
        table.add_row(*map(_text, row.values()))
    _show(table, rows.num_rows - len(first))


def _show(table: "Table", n_more: int) -> None:
    show(table)
    if n_more > 0:
        print(f"and {n_more} more: see superposition query")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _report(result: "Result", out: Path) -> int:
    """Says what is missing, and returns the exit code."""
    done = len(result.cells) - len(result.missing)
    print(f"{done} of {len(result.cells)} cells are in {out}, {result.measured} of them new")
    if not result.missing:
        return 0
    reasons: dict[str, int] = {}
    for cell in result.missing:
        reason = result.errors.get(cell.key, "not reached")
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in list(reasons.items())[:_SHOWN_ERRORS]:
        complain(f"superposition: {count} cells are missing: {reason}")
    complain(f"superposition: tracebacks are in {out / 'failed'}; the same command tries again")
    return FAILED

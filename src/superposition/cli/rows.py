"""Rows of a store, for people and for files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from superposition import _files
from superposition._text import say, visible
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

_SHOWN_ROWS, _SHOWN_COLUMNS, _SHOWN_LETTERS = 20, 12, 200
KINDS = (".parquet", ".csv")
# With what a cell begins that a spreadsheet runs, or strips to find one that it does.
_RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def show_rows(rows: "pa.Table", title: str = "") -> None:
    """Prints the first rows; many columns stand below one another."""
    names = [visible(name) for name in rows.column_names]
    is_wide = rows.num_columns > _SHOWN_COLUMNS
    first = rows.slice(0, _SHOWN_COLUMNS // 3 if is_wide else _SHOWN_ROWS)
    columns = [[_shown(value) for value in values(column)] for column in first.columns]
    if is_wide:
        table = new_table("", *(str(index + 1) for index in range(first.num_rows)), title=title)
        for name, column in zip(names, columns, strict=True):
            table.add_row(name, *column)
    else:
        table = new_table(*names, title=title)
        for row in zip(*columns, strict=True):
            table.add_row(*row)
    _show(table, rows.num_rows - first.num_rows)


def save_rows(rows: "pa.Table", path: Path) -> None:
    """Writes rows to a Parquet file as they are, or to a CSV file.

    In CSV, text with which a spreadsheet would begin a formula gets an apostrophe before it, and what is neither a
    number, a truth, a date nor text is written as text.

    Raises:
        ValueError: Parquet has no type for a column.
        OSError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    with _files.replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".csv":
            plain = [_plain(column) for column in rows.columns]
            pa.csv.write_csv(pa.table(plain, names=[harmless(name) for name in rows.column_names]), file)
            return
        try:
            pa.parquet.write_table(rows, file)
        except pa.ArrowException as error:
            raise ValueError(f"`save` must be a .csv file for such columns, got {path.name}: {error}") from None


def harmless(text: str) -> str:
    """Returns text that no spreadsheet runs: with an apostrophe before what begins like a formula and is no number.

    >>> harmless("=1+1"), harmless("-1.5"), harmless("completed")
    ("'=1+1", '-1.5', 'completed')
    """
    return f"'{text}" if text.startswith(_RUN) and not _is_number(text) else text


def values(column: "pa.ChunkedArray") -> list[Any]:
    """Returns the values of a column, those that Python has no type for as Arrow writes them."""
    import pyarrow as pa

    try:
        found: list[Any] = column.to_pylist()
    except (pa.ArrowException, ArithmeticError, LookupError, ValueError):  # dates after 9999, zones without a table
        found = column.cast(pa.string()).to_pylist()
    return found


def _plain(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_null(kind) or types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return column
    if types.is_decimal(kind) or types.is_date(kind) or types.is_timestamp(kind) or types.is_time(kind):
        return column
    return pa.chunked_array([[None if each is None else harmless(str(each)) for each in values(column)]], pa.string())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _show(table: "Table", n_more: int) -> None:
    show(table)
    if n_more > 0:
        say(f"and {n_more} more: see superposition query")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else visible(str(value))
    return text if len(text) <= _SHOWN_LETTERS else f"{text[: _SHOWN_LETTERS - 1]}…"

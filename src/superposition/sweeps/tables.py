"""Rows of a store as Arrow tables, made of its records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from superposition import _files
from superposition.sweeps import records
from superposition.sweeps.cell import Cell
from superposition.sweeps.columns import KINDS, flat_columns
from superposition.sweeps.store import Store

_ARROW = {float: pa.float64(), int: pa.int64(), str: pa.string(), bool: pa.bool_(), type(None): pa.null()}


def all_rows(store: Store, measure: str) -> pa.Table:
    """Returns the rows of all stored cells of a measure, whoever wrote them.

    Every record is read. A table that was compacted before could be trusted only after a look at every record, and
    that is what takes the time.

    Raises:
        ValueError: A record is damaged, or holds a word where another has a number; the message names it.
    """
    return as_table([records.flat(store.read(measure, key)) for key in store.keys(measure)])


def table_of(store: Store, cells: Iterable[Cell]) -> pa.Table:
    """Returns one row a distinct cell, in order; all are stored.

    Raises:
        ValueError: A record is damaged, or does not have the columns that its cell declares.
    """
    distinct = {cell.key: cell for cell in cells}
    kinds: dict[str, type] = {}
    rows = []
    for key, cell in distinct.items():
        rows.append(records.flat(records.typed(store.read(cell.measure, key), type(cell), store.folder(cell))))
        kinds |= flat_columns(cell.columns)
    return as_table(rows, kinds)


def compact(store: Store, measures: Iterable[str], *, anew: bool) -> None:
    """Writes the rows of measures to tables/MEASURE.parquet, for other programs: this one reads records.

    A measure with a record that cannot be read has no table, until that is mended.

    Args:
        store: Whose.
        measures: Which.
        anew: Whether to write tables that are there already.
    """
    for measure in measures:
        path = _files.check_inside(store.root / "tables", store.root) / f"{measure}.parquet"
        if path.exists() and not anew:
            continue
        try:
            rows = all_rows(store, measure)
        except ValueError:  # which whoever asks for that cell is told
            path.unlink(missing_ok=True)
            continue
        with _files.replacing(path) as temporary:
            pq.write_table(rows, temporary, write_page_checksum=True)


def as_table(rows: Sequence[dict[str, Any]], kinds: Mapping[str, type] = {}) -> pa.Table:
    """Returns rows as a table with every column that any of them has, in the order of first sight.

    Args:
        rows: With a key each.
        kinds: Types of columns, if they are known; of others it is that of their values.

    Raises:
        ValueError: Rows differ in the type of a column.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column(name, rows, kinds.get(name)) for name in names})


def _column(name: str, rows: Sequence[dict[str, Any]], kind: type | None) -> pa.Array:
    values = [row.get(name) for row in rows]
    found = {type(value) for value in values} - {type(None)}
    if found == {int, float}:
        values = [None if value is None else float(value) for value in values]
        found = {float}
    if len(found) > 1:
        first = {type(row[name]): row for row in reversed(rows) if row.get(name) is not None}
        where = " but ".join(f"{KINDS[one]} in {row['key']} ({row[name]!r:.40})" for one, row in first.items())
        raise ValueError(f"`{name}` must be of one type in all cells of a measure, got {where}: remove the wrong ones")
    return pa.array(values, _ARROW[kind or next(iter(found), type(None))])

"""Rows as an Arrow table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from superposition.sweeps.columns import KINDS

_ARROW = {float: pa.float64(), int: pa.int64(), str: pa.string(), bool: pa.bool_(), type(None): pa.null()}


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

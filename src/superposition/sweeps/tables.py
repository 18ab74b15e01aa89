"""Rows of a store as Arrow tables: those compacted to Parquet, and the records that came after."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from superposition import _files
from superposition.sweeps.cell import Cell
from superposition.sweeps.store import Store


def all_rows(store: Store, measure: str) -> pa.Table:
    """Returns the rows of all stored cells of a measure, whoever wrote them.

    Raises:
        ValueError: A record is damaged.
    """
    keys = store.keys(measure)
    compacted = _compacted(store, measure)
    known = set(compacted.column("key").to_pylist()) if compacted is not None else set()
    fresh = [store.read(measure, key) for key in keys if key not in known]
    if compacted is None:
        return as_table(fresh)
    if known - set(keys):  # whose folders were removed
        compacted = compacted.filter(pc.is_in(compacted.column("key"), pa.array(keys, pa.string())))
    return pa.concat_tables([compacted, as_table(fresh)], promote_options="permissive") if fresh else compacted


def table_of(store: Store, cells: Iterable[Cell]) -> pa.Table:
    """Returns one row a distinct cell, in order; all are stored."""
    wanted = {cell.key: cell.measure for cell in cells}
    found = pa.concat_tables(
        [all_rows(store, measure) for measure in dict.fromkeys(wanted.values())], promote_options="permissive"
    )
    place = {key: index for index, key in enumerate(found.column("key").to_pylist())}
    return found.take(pa.array([place[key] for key in wanted], pa.int64()))


def compact(store: Store) -> None:
    """Writes the rows of each measure to tables/MEASURE.parquet, from which they are read faster; records stay."""
    for measure in store.measures():
        compacted = _compacted(store, measure)
        known = set() if compacted is None else set(compacted.column("key").to_pylist())
        if known != set(store.keys(measure)):
            with _files.replacing(_path(store, measure)) as temporary:
                pq.write_table(all_rows(store, measure), temporary, write_page_checksum=True)


def as_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Returns rows as a table with every column that any of them has, in the order of first sight."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _path(store: Store, measure: str) -> Path:
    return store.root / "tables" / f"{measure}.parquet"


def _compacted(store: Store, measure: str) -> pa.Table | None:
    """Returns the table that records were compacted to; None if there is none that can be read: it is made again."""
    try:
        found = pq.read_table(_path(store, measure), page_checksum_verification=True)
        return found if "key" in found.column_names else None
    except (OSError, ValueError, pa.ArrowException):
        return None

"""A record: one cell's fields, what was measured and what ran where, with a digest of it all."""

import traceback
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from superposition import _files
from superposition.estimate import Estimate
from superposition.sweeps.cell import Cell, Row, Value, digest


def compose(cell: Cell, row: Row, provenance: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a measured cell.

    Raises:
        ValueError: Two columns of the flat row would have one name.
    """
    record: dict[str, Any] = {
        "measure": cell.measure,
        "measure_version": cell.version,
        "key": cell.key,
        "cell": {name: _plain(value) for name, value in cell.fields().items()},
        "row": _columns(row),
        "provenance": provenance,
    }
    parts = [set(record[name]) for name in ("cell", "row", "provenance")]
    if len(set.union(*parts)) < sum(map(len, parts)):
        raise ValueError(f"the columns of {cell.measure} must have distinct names, got {sorted(record['row'])}")
    return {**record, "digest": digest(record)}


def read(path: Path) -> dict[str, Any]:
    """Returns a record from its file.

    Raises:
        ValueError: It is missing or damaged.
    """
    record = _files.read_json(path, "measured cell")
    found = record.pop("digest", None)
    if found != digest(record):
        raise ValueError(f"{path} is damaged (its digest does not match): remove {path.parent} and run the sweep again")
    return record


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record as the columns of one row."""
    head = {name: record[name] for name in ("key", "measure_version")}
    return {**head, **record["cell"], **record["row"], **record["provenance"]}


def compose_failure(cell: Cell, error: Exception, provenance: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a cell that raised an error."""
    return {
        "measure": cell.measure,
        "key": cell.key,
        "cell": {name: _plain(value) for name, value in cell.fields().items()},
        "error": describe(error),
        "traceback": "".join(traceback.format_exception(error)),
        "provenance": provenance,
    }


def describe(error: Exception) -> str:
    """Returns an error as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _columns(row: Row) -> dict[str, Any]:
    """Returns a row with an Estimate as three columns, and None for what is not finite."""
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Estimate):
            columns[name], columns[f"{name}_standard_error"] = _plain(value.value), _plain(value.standard_error)
            columns[f"{name}_count"] = value.count
        else:
            columns[name] = _plain(value)
    return columns


def _plain(value: Value | np.generic) -> Any:
    """Returns a value for JSON, which has no NaN: None stands for it."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not isfinite(plain) else plain

"""A record: one cell's fields, what was measured and what ran where, with a digest of it all."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from superposition import _files
from superposition.sweeps import columns
from superposition.sweeps.cell import Cell, digest

# The parts of a record, of which the last three hold columns of the table.
_PARTS = {"measure": str, "measure_version": int, "key": str, "cell": dict, "row": dict, "provenance": dict}
_COLUMNS = ("cell", "row", "provenance")


def compose(cell: Cell, row: Mapping[str, Any], provenance: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a measured cell, of whose row nothing is known yet.

    Raises:
        ValueError: A value of the row is not of its column's type or its column is not declared, a field of the cell
            is neither a number nor a word, or two columns of the flat row would have one name.
    """
    record: dict[str, Any] = {
        "measure": cell.measure,
        "measure_version": cell.version,
        "key": cell.key,
        "cell": {name: columns.plain(value) for name, value in cell.fields().items()},
        "row": columns.fitted(row, cell.columns),
        "provenance": provenance,
    }
    if found := _problem(record):
        raise ValueError(f"{cell.measure} must have rows that a table can hold, but {found}")
    return {**record, "digest": digest(record)}


def read(path: Path, measure: str, key: str) -> dict[str, Any]:
    """Returns a record from its file.

    Raises:
        ValueError: It is missing or damaged, or that of another cell than its folder says.
    """
    record = _files.read_json(path, "measured cell")
    claimed = record.pop("digest", None)
    found = _problem(record) or ("its digest does not match" if claimed != digest(record) else None)
    if found:
        raise ValueError(f"{path} is damaged ({found}): remove {path.parent} and run the sweep again")
    if (record["measure"], record["key"]) != (measure, key):
        raise ValueError(
            f"{path} must be the record of {measure} {key}, but is that of {record['measure']} {record['key']}: "
            f"remove {path.parent} and run the sweep again"
        )
    return record


def typed(record: dict[str, Any], kind: type[Cell], folder: Path) -> dict[str, Any]:
    """Returns a record whose row has the columns that its measure declares, in their order.

    Raises:
        ValueError: A value is of another type, or the record of another version.
    """
    if record["measure_version"] != kind.version:
        version = record["measure_version"]
        raise ValueError(f"{folder} must hold version {kind.version} of {kind.measure}, got {version}: remove it")
    try:
        return {**record, "row": columns.fitted(record["row"], columns.flat_columns(kind.columns))}
    except ValueError as error:
        raise ValueError(f"{folder} is damaged or foreign ({error}): remove it and run the sweep again") from None


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record as the columns of one row."""
    head = {name: record[name] for name in ("key", "measure_version")}
    return {**head, **record["cell"], **record["row"], **record["provenance"]}


def compose_failure(cell: Cell, error: Exception, provenance: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a cell that raised an error."""
    return {
        "measure": cell.measure,
        "key": cell.key,
        "cell": {name: columns.plain(value) for name, value in cell.fields().items()},
        "error": describe(error),
        "traceback": "".join(traceback.format_exception(error)),
        "provenance": provenance,
    }


def describe(error: Exception) -> str:
    """Returns an error as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _problem(record: dict[str, Any]) -> str | None:
    """Returns why a record is none, if so."""
    if set(record) != set(_PARTS):
        return f"it has {', '.join(sorted(record))} and not {', '.join(sorted(_PARTS))}"
    for part, kind in _PARTS.items():
        if type(record[part]) is not kind:
            return f"its {part} is a {type(record[part]).__name__}"
    heads = [("measure_version", record["measure_version"]), ("key", record["key"])]
    cells = [*heads, *(item for part in _COLUMNS for item in record[part].items())]
    if len(dict(cells)) < len(cells):
        return f"columns share a name among {', '.join(sorted(name for name, _ in cells))}"
    for name, value in cells:
        if found := columns.problem(value):
            return f"{name} {found}"
    return None

"""The columns of a measure: what each holds, and whether a row fits them."""

import contextlib
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from superposition.estimate import Estimate
from superposition.sweeps.cell import Cell

KINDS: Mapping[type, str] = {float: "a number", int: "a whole number", str: "a word", bool: "True or False"}
# Of a measure, which names a folder and a table.
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Of whole numbers in tables.
_LEAST, _MOST = -(2**63), 2**63 - 1


def check_measure(kind: type[Cell]) -> None:
    """Raises ValueError unless a class of cells says what it measures, and the type of each column."""
    measure, columns = getattr(kind, "measure", None), getattr(kind, "columns", None)
    if not isinstance(measure, str) or not WORD.fullmatch(measure):
        raise ValueError(f"`measure` of {kind.__name__} must be a word of letters, digits and _, got {measure!r}")
    known = (*KINDS, Estimate)
    if not isinstance(columns, Mapping) or not all(column in known for column in columns.values()):
        names = ", ".join(one.__name__ for one in known)
        raise ValueError(
            f"`columns` of {kind.__name__} must give the type of each column of its row, one of {names}, "
            f'got {columns!r}: such as columns = {{"loss": Estimate}}'
        )


def flat_columns(columns: Mapping[str, type]) -> dict[str, type]:
    """Returns the columns of a table, where an Estimate has three."""
    flat: dict[str, type] = {}
    for name, kind in columns.items():
        if kind is Estimate:
            flat |= {name: float, f"{name}_standard_error": float, f"{name}_count": int}
        else:
            flat[name] = kind
    return flat


def fitted(row: Mapping[str, Any], columns: Mapping[str, type]) -> dict[str, Any]:
    """Returns a row as plain data: every declared column in order, None for what is not finite or not there.

    Raises:
        ValueError: A value is not of its column's type, or its column is not declared.
    """
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Estimate):
            flat |= {name: value.value, f"{name}_standard_error": value.standard_error, f"{name}_count": value.count}
        else:
            flat[name] = value
    declared = flat_columns(columns)
    if unknown := [name for name in flat if name not in declared]:
        raise ValueError(
            f"`columns` must declare every column that `row` returns, got {', '.join(unknown)} without a type"
        )
    return {name: _as(name, plain(flat.get(name)), kind) for name, kind in declared.items()}


def plain(value: Any) -> Any:
    """Returns a value for JSON, which has no NaN: None stands for it."""
    found = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(found, float) and not isfinite(found) else found


def problem(value: Any) -> str | None:
    """Returns why a value can be in no column, if so."""
    kind = type(value)
    if kind is float:
        return None if isfinite(value) else "is not finite"
    if kind is int:
        return None if _LEAST <= value <= _MOST else "is a whole number of more than 64 bits"
    if kind is str:
        # Half of a pair of surrogates, which JSON can spell.
        return None if value.isascii() or _is_text(value) else "is no text"
    return None if value is None or kind is bool else f"is a {kind.__name__}, neither a number nor a word"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as(name: str, value: Any, kind: type) -> Any:
    """Returns a value of a column's type, or None; raises ValueError if it is of another."""
    if value is None:
        return None
    # True is an int to Python, but no number in a table.
    found = value
    if kind is bool or not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if isinstance(value, kind) or (kind is float and isinstance(value, int)):
                found = kind(value)  # of a derived class, say, or whole
    if type(found) is not kind or problem(found):
        raise ValueError(f"`{name}` must be {KINDS[kind]} or None in every row, as `columns` says, got {value!r:.80}")
    return found

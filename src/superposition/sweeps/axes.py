"""Axes of a grid in a sweep file: values, lists and ranges, checked strictly, with errors that say where."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import pydantic

_Ends = Annotated[list[float], pydantic.Field(min_length=2, max_length=2)]
MOST_CELLS = 100_000
_Count = Annotated[int, pydantic.Field(ge=2, le=MOST_CELLS)]


@dataclass(frozen=True)
class Place:
    """Where in a file a value stands, for messages."""

    path: Path
    key: str = ""

    def at(self, key: str) -> "Place":
        """Returns a place within."""
        return Place(self.path, f"{self.key}.{key}" if self.key else key)

    def refuse(self, problem: str) -> ValueError:
        """Returns the error to raise."""
        return ValueError(f"{self.path}: `{self.key}` {problem}" if self.key else f"{self.path}: {problem}")


class _Log(pydantic.BaseModel, extra="forbid", strict=True):
    log: _Ends
    count: _Count

    def values(self) -> list[float]:
        low, high = self.log
        return [low, *np.geomspace(low, high, self.count)[1:-1].tolist(), high]


class _Linear(pydantic.BaseModel, extra="forbid", strict=True):
    linear: _Ends
    count: _Count

    def values(self) -> list[float]:
        low, high = self.linear
        return [low, *np.linspace(low, high, self.count)[1:-1].tolist(), high]


_RANGES: dict[str, type[_Log] | type[_Linear]] = {"log": _Log, "linear": _Linear}


def axis(value: Any, kind: Any, place: Place) -> list[Any]:
    """Returns the values of an axis: the one given, those of a list, or those of a range, both ends included.

    Args:
        value: As it stands in the file.
        kind: Type of each value; the values of a range of whole numbers are rounded.
        place: Where it stands.

    Raises:
        ValueError: It is none of these, or a value is not of the type.
    """
    if isinstance(value, dict):
        form = next((_RANGES[name] for name in value if name in _RANGES), None)
        if form is None:
            raise place.refuse(f"must be a value, a list, or a range {{ log = [a, b], count = n }}, got {value}")
        check_names(value, list(form.model_fields), place)
        found = validated(form, value, place)
        if isinstance(found, _Log) and not min(found.log) > 0:
            raise place.at("log").refuse(f"must be between positive numbers, got {found.log}")
        values = found.values()
        is_whole = int in (kind, *get_args(kind))
        return list(dict.fromkeys(round(each) for each in values)) if is_whole else values
    values = value if isinstance(value, list) else [value]
    if not values:
        raise place.refuse("must have at least one value, got none")
    return [validated(kind, each, place) for each in values]


def validated(kind: Any, value: Any, place: Place) -> Any:
    """Returns a value that is strictly of a type.

    Raises:
        ValueError: It is not; the message names the file, the key and the value.
    """
    is_model = isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)
    try:
        config = None if is_model else pydantic.ConfigDict(strict=True)
        return pydantic.TypeAdapter(kind, config=config).validate_python(value)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if is_model:
            for name in first["loc"]:
                place = place.at(str(name))
        problem = "is missing" if first["type"] == "missing" else f"is not valid, got {first['input']!r}"
        raise place.refuse(f"{problem}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def check_names(given: Mapping[str, Any], known: Sequence[str], place: Place) -> None:
    """Raises ValueError if a key is not known, and names the nearest that is."""
    for name in given:
        if name not in known:
            raise place.at(name).refuse(
                f"must be one of {', '.join(known)}: there is no such key{nearest(name, known)}"
            )


def nearest(name: str, known: Sequence[str]) -> str:
    """Returns the end of a message, which suggests what a misspelt name may mean."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""

"""Axes of a grid in a sweep file: values, lists and ranges, checked strictly."""

import math
from typing import Annotated, Any, get_args

import numpy as np
import pydantic

from superposition._toml import Place, check_names, validated

_Ends = Annotated[list[pydantic.FiniteFloat], pydantic.Field(min_length=2, max_length=2)]
MOST_CELLS = 100_000
_Count = Annotated[int, pydantic.Field(ge=2, le=MOST_CELLS)]


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
        if isinstance(found, _Linear) and not math.isfinite(found.linear[1] - found.linear[0]):
            raise place.at("linear").refuse(f"must be ends whose difference is finite, got {found.linear}")
        values = found.values()
        is_whole = int in (kind, *get_args(kind))
        return list(dict.fromkeys(round(each) for each in values)) if is_whole else values
    values = value if isinstance(value, list) else [value]
    if not values:
        raise place.refuse("must have at least one value, got none")
    return [validated(kind, each, place) for each in values]

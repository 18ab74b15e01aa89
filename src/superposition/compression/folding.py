"""A group of features in one code, pair within pair."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Value = TypeVar("Value")


def fold(features: Sequence[Value], encode: Callable[[Value, Value], Value]) -> Value:
    """Returns the code of a group: the last feature, into which the others are encoded from right to left."""
    code = features[-1]
    for feature in features[-2::-1]:
        code = encode(feature, code)
    return code


def unfold(code: Value, size: int, decode: Callable[[Value], tuple[Value, Value]]) -> list[Value]:
    """Returns the features of a group from its code, from left to right."""
    features = []
    for _ in range(size - 1):
        feature, code = decode(code)
        features.append(feature)
    return [*features, code]

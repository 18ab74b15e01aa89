"""Argument checks, in one wording: "`name` must …, got …"."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Of a count of anything: what fits the index types of all libraries.
_LARGEST = 2**31 - 1


def real_array(name: str, value: npt.ArrayLike) -> FloatArray:
    """Returns `value` as a float64 array; raises ValueError if it is not made of real numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor that requires grad
        raise ValueError(f"`{name}` must be a real number or an array of them, got {value!r}") from None


def in_interval(
    name: str,
    value: npt.ArrayLike,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
    hint: str = "",
) -> FloatArray:
    """Returns `value` as float64; raises ValueError naming the first entry outside the interval (or NaN)."""
    array = real_array(name, value)
    above = array > low if open_low else array >= low
    below = array < high if open_high else array <= high
    inside = above & below  # False for NaN
    if not inside.all():
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        where = f" at index {_first_false(inside)}" if array.ndim else ""
        got = float(array[~inside].flat[0]) if array.ndim else float(array)
        raise ValueError(f"`{name}` must be in {interval}, got {got:g}{where}{hint and f': {hint}'}")
    return array


def probability(value: npt.ArrayLike, name: str = "probability") -> FloatArray:
    """Returns a probability of being active, checked to be in (0, 1]."""
    return in_interval(name, value, 0.0, 1.0, open_low=True)


def ratio(value: npt.ArrayLike) -> FloatArray:
    """Returns a compression ratio n_hidden / n_features, checked to be in (0, 1]."""
    return in_interval("ratio", value, 0.0, 1.0, open_low=True, hint="ratio = n_hidden / n_features")


def finite(name: str, value: npt.ArrayLike, *, non_negative: bool = False) -> FloatArray:
    """Returns `value` as float64, checked to be finite (and not negative, if asked)."""
    array = real_array(name, value)
    good = np.isfinite(array) & (array >= 0) if non_negative else np.isfinite(array)
    if not good.all():
        kind = "finite and not negative" if non_negative else "finite"
        raise ValueError(
            f"`{name}` must be {kind}, got {float(array[~good].flat[0]) if array.ndim else float(array):g}"
        )
    return array


def whole_number(name: str, value: Any, *, low: int = 1, high: int = _LARGEST, hint: str = "") -> int:
    """Returns `value` as int; raises ValueError unless it is a whole number in [low, high]."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (is_whole and low <= value <= high):
        bounds = f"in [{low}, {high}]" if high < _LARGEST or (is_whole and value > high) else f"of at least {low}"
        raise ValueError(f"`{name}` must be a whole number {bounds}, got {value!r}{hint and f': {hint}'}")
    return int(value)


def hidden_width(n_hidden: Any, n_features: int) -> int:
    """Returns the bottleneck's width, checked to be in [1, n_features]."""
    return whole_number("n_hidden", n_hidden, high=n_features, hint="the bottleneck cannot be wider than the features")


def _first_false(mask: npt.NDArray[np.bool_]) -> int | tuple[int, ...]:
    index = tuple(int(i) for i in np.argwhere(~mask)[0])
    return index[0] if len(index) == 1 else index

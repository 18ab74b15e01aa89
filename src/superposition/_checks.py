"""Argument checks, in one wording: "`name` must …, got …"."""

from collections.abc import Collection
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
# Of what the mean-field theory predicts: below it the slopes at the optimum are differences that float64 does not
# resolve.
LEAST_PROBABILITY = 1e-15

# Its square times any variance and over any ratio is a number of float64.
_MOST_HIDDEN_NOISE = 1e15

# Of a count of anything: what fits the index types of all libraries.
_LARGEST = 2**31 - 1
# Of a value in a message: characters, and bits of a whole number, whose digits Python may refuse to print.
_SHOWN, _SHOWN_BITS = 200, 512

Kind = TypeVar("Kind")


def real_array(name: str, value: npt.ArrayLike) -> FloatArray:
    """Returns `value` as a float64 array; raises ValueError if it is not made of real numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or np.ma.is_masked(value):
            raise TypeError
        with np.errstate(over="ignore"):  # a longer type's number that is infinite in float64
            return array.astype(np.float64)
    # Of torch and NumPy on what they cannot turn into an array: RuntimeError, say, for a tensor that requires grad.
    except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError):
        raise ValueError(f"`{name}` must be a real number or an array of them, got {shown(value)}") from None


def one(name: str, value: FloatArray) -> float:
    """Returns a checked value as float; raises ValueError if it is an array of some shape."""
    if value.ndim:
        raise ValueError(f"`{name}` must be one number, got an array of shape {value.shape}")
    return float(value)


def choice(name: str, value: Any, known: Collection[str]) -> Any:
    """Returns `value`; raises ValueError unless it is one of the known words."""
    if not (isinstance(value, str) and value in known):
        raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {shown(value)}")
    return value


def flag(name: str, value: Any) -> bool:
    """Returns `value`; raises ValueError unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False, got {shown(value)}")
    return bool(value)


def instance(name: str, value: Any, kind: type[Kind], what: str) -> Kind:
    """Returns `value`; raises ValueError, saying what it must be, unless it is of a kind."""
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be {what}, got {shown(value)}")
    return value


def sequence(name: str, value: Any, what: str) -> list[Any]:
    """Returns the members of a list, tuple or the like; raises ValueError, saying of what, if it is none."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return list(value)
    except TypeError:
        raise ValueError(f"`{name}` must be a sequence of {what}, got {shown(value)}") from None


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


def hidden_noise(value: npt.ArrayLike) -> FloatArray:
    """Returns standard deviations of noise over those of hidden units, checked to be in [0, 1e15]."""
    return in_interval("hidden_noise", finite("hidden_noise", value, non_negative=True), 0, _MOST_HIDDEN_NOISE)


def finite(name: str, value: npt.ArrayLike, *, non_negative: bool = False) -> FloatArray:
    """Returns `value` as float64, checked to be finite (and not negative, if asked)."""
    array = real_array(name, value)
    good = np.isfinite(array) & (array >= 0) if non_negative else np.isfinite(array)
    if not good.all():
        kind = "finite and not negative" if non_negative else "finite"
        where = f" at index {_first_false(good)}" if array.ndim else ""
        raise ValueError(
            f"`{name}` must be {kind}, got {float(array[~good].flat[0]) if array.ndim else float(array):g}{where}"
        )
    return array


def broadcast(**values: FloatArray) -> tuple[FloatArray, ...]:
    """Returns the values broadcast to one shape; raises ValueError naming the shapes if they have none."""
    try:
        return np.broadcast_arrays(*values.values())
    except ValueError:
        names = " and ".join(f"`{name}`" for name in values)
        shapes = " and ".join(str(value.shape) for value in values.values())
        raise ValueError(f"{names} must broadcast to one shape, got shapes {shapes}") from None


def whole_number(name: str, value: Any, *, low: int = 1, high: int = _LARGEST, hint: str = "") -> int:
    """Returns `value` as int; raises ValueError unless it is a whole number in [low, high]."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (is_whole and low <= value <= high):
        bounds = f"in [{low}, {high}]" if high < _LARGEST or (is_whole and value > high) else f"of at least {low}"
        raise ValueError(f"`{name}` must be a whole number {bounds}, got {shown(value)}{hint and f': {hint}'}")
    return int(value)


def hidden_width(n_hidden: Any, n_features: int) -> int:
    """Returns the bottleneck's width, checked to be in [1, n_features]."""
    return whole_number("n_hidden", n_hidden, high=n_features, hint="the bottleneck cannot be wider than the features")


def seed(value: Any) -> int:
    """Returns a seed of random streams, checked to be in [0, 2⁶³ − 1]."""
    return whole_number("seed", value, low=0, high=2**63 - 1)


def shown(value: Any) -> str:
    """Returns what a message says of a value: one line, and not a long one."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever a foreign object does when it is asked for its name
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _first_false(mask: npt.NDArray[np.bool_]) -> int | tuple[int, ...]:
    index = tuple(int(i) for i in np.argwhere(~mask)[0])
    return index[0] if len(index) == 1 else index

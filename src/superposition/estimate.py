"""A measured number together with its standard error."""

from dataclasses import asdict, dataclass
from math import copysign, inf, isfinite, nan, sqrt
from typing import Any

import numpy.typing as npt

from superposition import _checks


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo mean with its standard error.

    Attributes:
        value: The mean; NaN or infinite where that is what was measured, of a model that diverged, say.
        standard_error: One standard deviation of `value`, ≥ 0; NaN if `count` is 1.
        count: Number of independent samples behind it, ≥ 1.

    Raises:
        ValueError: A field is no number, or out of range.

    >>> print(Estimate(0.0048558, 0.0000031, 100_000))
    0.0048558 ± 0.0000031
    """

    value: float
    standard_error: float
    count: int

    def __post_init__(self) -> None:
        for name in ("value", "standard_error"):
            number = _checks.one(name, _checks.real_array(name, getattr(self, name)))
            object.__setattr__(self, name, number)
        if self.standard_error < 0:
            raise ValueError(f"`standard_error` must not be negative, got {self.standard_error:g}")
        object.__setattr__(self, "count", _checks.whole_number("count", self.count, high=2**63 - 1))

    @classmethod
    def from_sums(cls, total: float, total_of_squares: float, count: int) -> "Estimate":
        """Returns the estimate of a mean from Σ y and Σ y² over `count` independent samples."""
        count = _checks.whole_number("count", count, high=2**63 - 1)
        total, squares = (_checks.one("total", _checks.real_array("total", sum_)) for sum_ in (total, total_of_squares))
        mean = total / count
        if count == 1:
            return cls(mean, nan, 1)
        # Of sums that are infinite or NaN the error is too: max keeps its first argument.
        variance = max(squares / count - mean * mean, 0.0) * count / (count - 1)
        return cls(mean, sqrt(variance / count), count)

    @classmethod
    def from_samples(cls, values: npt.ArrayLike) -> "Estimate":
        """Returns the estimate of a mean from independent values, such as losses of several seeds.

        >>> print(Estimate.from_samples([0.1, 0.2, 0.3]))
        0.200 ± 0.058
        """
        array = _checks.real_array("values", values)
        if array.ndim != 1 or not array.size:
            raise ValueError(f"`values` must be a sequence of at least one number, got shape {array.shape}")
        if array.size == 1:
            return cls(float(array[0]), nan, 1)
        return cls(float(array.mean()), float(array.std(ddof=1)) / sqrt(array.size), array.size)

    def to_config(self) -> dict[str, float | int | None]:
        """Returns plain data for JSON, which has no NaN: None stands for it."""
        return {name: value if isfinite(value) else None for name, value in asdict(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Estimate":
        """Returns the estimate that `to_config` described."""
        if not isinstance(config, dict) or set(config) != {"value", "standard_error", "count"}:
            raise ValueError(
                f"an estimate must have a value, a standard_error and a count, got {_checks.shown(config)}"
            )
        value, error = (nan if config[name] is None else config[name] for name in ("value", "standard_error"))
        return cls(value, error, config["count"])

    def z_score(self, expected: float) -> float:
        """Returns how many standard errors the value lies above `expected`."""
        difference = self.value - expected
        if self.standard_error == 0:
            return copysign(inf, difference) if difference else nan
        return difference / self.standard_error

    def __str__(self) -> str:
        if not (isfinite(self.value) and isfinite(self.standard_error) and self.standard_error > 0):
            return f"{self.value:.7g} (no error bar from {self.count} samples)"
        last = int(f"{self.standard_error:e}".split("e")[1]) - 1
        first = int(f"{self.value:e}".split("e")[1])
        if first >= -3:
            digits = max(0, -last)
            return f"{self.value:.{digits}f} ± {self.standard_error:.{digits}f}"
        return f"{self.value:.{max(0, first - last)}e} ± {self.standard_error:.1e}"

"""Piecewise-linear functions of one variable, with jumps where two knots coincide."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from superposition._checks import FloatArray


@final
@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """A function that is linear between knots; the outermost pieces go on beyond the ends.

    Attributes:
        knots: Not decreasing, shape (n,), n ≥ 2; two equal ones are a jump, at which the right value holds.
        values: Values at the knots, shape (n,) or (n, outputs).

    >>> step = PiecewiseLinear(np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    >>> step(np.array([0.2, 0.5])).tolist(), step.slopes.tolist()
    ([0.0, 1.0], [0.0, inf, 0.0])
    """

    knots: FloatArray
    values: FloatArray

    def __call__(self, at: npt.ArrayLike) -> FloatArray:
        """Returns values, of the shape of `at` (and outputs)."""
        at = np.asarray(at, np.float64)
        piece = np.clip(np.searchsorted(self.knots, at, side="right") - 1, 0, len(self.knots) - 2)
        left, width = self.knots[piece], self.knots[piece + 1] - self.knots[piece]
        share = np.divide(at - left, width, out=np.zeros_like(at), where=width > 0)
        if self.values.ndim > 1:
            share = share[..., None]
        # Both ends are met exactly, unlike by value + slope · distance.
        return np.asarray(self.values[piece] * (1 - share) + self.values[piece + 1] * share)

    @property
    def widths(self) -> FloatArray:
        """Widths of the pieces, shape (n − 1,)."""
        return np.diff(self.knots)

    @property
    def slopes(self) -> FloatArray:
        """Slopes of the pieces, infinite at a jump; shape (n − 1,) or (n − 1, outputs)."""
        rise = np.diff(self.values, axis=0)
        width = self.widths if rise.ndim == 1 else self.widths[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(rise == 0, 0.0, rise / width))


def staircase(levels: int, ramp_start: FloatArray, ramp_width: float, end: float) -> PiecewiseLinear:
    """Returns the staircase 0, 1 … levels − 1 on [0, end], whose ramps start at ramp_start, shape (levels − 1,).

    Ramps of width 0 are jumps.
    """
    ramps = np.stack([ramp_start, ramp_start + ramp_width], axis=1).ravel()
    return PiecewiseLinear(np.concatenate([[0.0], ramps, [end]]), np.repeat(np.arange(levels, dtype=np.float64), 2))

"""The papers' law."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features.laws.base import Law
from superposition.features.laws.panels import panel_nodes

if TYPE_CHECKING:
    from superposition.features.smoothing import Smoothed

# A Gaussian of more than half the law's length makes integrands that few nodes resolve to float64.
_WIDE = 0.5
_FEW_NODES, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(10)


@final
@dataclass(frozen=True)
class Uniform(Law):
    """Uniform on [low, high], 0 ≤ low < high; the papers' law is Uniform().

    >>> Uniform().second_moment
    0.3333333333333333
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(_checks.finite("low", self.low, non_negative=True)))
        object.__setattr__(self, "high", float(_checks.finite("high", self.high)))
        if not self.high > self.low:
            raise ValueError(f"`high` must exceed `low` = {self.low:g}, got {self.high:g}: use Constant for one value")

    @property
    def mean(self) -> float:
        """E u = (low + high) / 2."""
        return (self.low + self.high) / 2

    @property
    def second_moment(self) -> float:
        """E u² = (low² + low·high + high²) / 3."""
        return (self.low**2 + self.low * self.high + self.high**2) / 3

    @property
    def variance(self) -> float:
        """Var u = (high − low)² / 12."""
        return (self.high - self.low) ** 2 / 12

    @property
    def landmarks(self) -> FloatArray:
        """[low, high]."""
        return np.array([self.low, self.high])

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Gauss–Legendre: panels of a few widths around the kink and long ones elsewhere, or one if all is wide."""
        kink, width = np.broadcast_arrays(np.asarray(kink, float), np.asarray(width, float))
        length = self.high - self.low
        if (width >= _WIDE * length).all():
            shape = (*kink.shape, len(_FEW_NODES))
            values = self.low + length * (1 + _FEW_NODES) / 2
            return np.broadcast_to(values, shape), np.broadcast_to(_FEW_WEIGHTS / 2, shape)
        values, weights = panel_nodes(self.landmarks, kink, width)
        return values, weights / length

    def smoothed(self, threshold: FloatArray, width: FloatArray) -> "Smoothed":
        """Closed form where the noise is narrow, few nodes where the integrands are smooth across the law."""
        from superposition.features.smoothing import Smoothed

        narrow = self._has_closed_form(threshold, width)
        if narrow.all():
            return Smoothed.uniform(self.low, self.high, threshold, width)
        if not narrow.any():
            return super().smoothed(threshold, width)
        closed = Smoothed.uniform(self.low, self.high, threshold[narrow], width[narrow])
        return closed.interleaved(super().smoothed(threshold[~narrow], width[~narrow]), narrow)

    def silent_second_moment(self, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Closed form where the noise is narrow, few nodes elsewhere."""
        from superposition.features.smoothing import interleave, silent_uniform

        narrow = self._has_closed_form(threshold, width)
        closed = silent_uniform(self.low, self.high, threshold[narrow], width[narrow])
        return interleave(closed, super().silent_second_moment(threshold[~narrow], width[~narrow]), narrow)

    def _has_closed_form(self, threshold: FloatArray, width: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether the closed form neither cancels (a law or threshold far from 0) nor divides by zero."""
        length = self.high - self.low
        moderate = (np.abs(threshold) <= 100 * length) & (self.low <= length)
        return np.asarray(moderate & (width <= _WIDE * length) & (width >= 1e-12 * length))

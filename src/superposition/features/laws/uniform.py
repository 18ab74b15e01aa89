"""The papers' law."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from superposition import _checks, features
from superposition._checks import FloatArray
from superposition.features.laws.base import Law, magnitude, parameter
from superposition.features.laws.panels import panel_nodes
from superposition.features.laws.tilted import Tilted

if TYPE_CHECKING:
    import torch

    from superposition.features.smoothing import Smoothed
    from superposition.features.source import Source

# A Gaussian of more than half the law's length makes integrands that few nodes resolve to float64.
_WIDE = 0.5
# Shares of the length that bound the closed form. Terms of a threshold further from 0 cancel to the cube of it, 1e3
# roundings. Noise below the least adds 1e-24 to a second moment, and σ = 0 would be divided by.
_FAR, _NARROW = 10.0, 1e-12
_FEW_NODES, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(10)


@final
@dataclass(frozen=True)
class Uniform(Law):
    """Uniform on [low, high], 0 ≤ low < high; the papers' law is Uniform().

    >>> Uniform().second_moment
    0.3333333333333333
    """

    kind: ClassVar[str] = "Uniform"

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        low, high = parameter("low", _checks.finite("low", self.low, non_negative=True)), parameter("high", self.high)
        if not high > low:
            raise ValueError(f"`high` must exceed `low` = {low:g}, got {high:g}: use Constant for one value")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", magnitude("high", high))

    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns low + (high − low) U."""
        return source.uniforms(n, dtype).mul_(self.high - self.low).add_(self.low)

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

    @property
    def _wide(self) -> float:
        return _WIDE * (self.high - self.low)

    @property
    def _rule(self) -> tuple[FloatArray, FloatArray]:
        return self.low + (self.high - self.low) * (1 + _FEW_NODES) / 2, _FEW_WEIGHTS / 2

    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns Gauss–Legendre nodes of panels around the kink."""
        values, weights = panel_nodes(self.landmarks, kink, width)
        return values, weights / (self.high - self.low)

    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """Nodes of a Gaussian around z cut at both ends."""
        log_density = -np.log(self.high - self.low)
        return Tilted.gaussian(z, width, (self.low, self.high), lambda u: np.full_like(u, log_density))

    def smoothed(self, threshold: FloatArray, width: FloatArray) -> "Smoothed":
        """Closed form where the noise is narrow, few nodes where the integrands are smooth across the law."""
        narrow = self._has_closed_form(threshold, width)
        if narrow.all():
            return features.smoothing.Smoothed.uniform(self.low, self.high, threshold, width)
        if not narrow.any():
            return super().smoothed(threshold, width)
        closed = features.smoothing.Smoothed.uniform(self.low, self.high, threshold[narrow], width[narrow])
        return closed.interleaved(super().smoothed(threshold[~narrow], width[~narrow]), narrow)

    def silent_second_moment(self, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Closed form where the noise is narrow, few nodes elsewhere."""
        narrow = self._has_closed_form(threshold, width)
        closed = features.smoothing.silent_uniform(self.low, self.high, threshold[narrow], width[narrow])
        return features.smoothing.interleave(
            closed, super().silent_second_moment(threshold[~narrow], width[~narrow]), narrow
        )

    def distortion(self, slope: FloatArray, offset: FloatArray, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Closed form where the noise is narrow, few nodes elsewhere."""
        narrow = self._has_closed_form(threshold, width)
        a, b = slope[narrow], offset[narrow]
        closed = features.smoothing.Smoothed.uniform(self.low, self.high, threshold[narrow], width[narrow])
        near = a**2 * closed.active_uu - 2 * a * b * closed.active_u + b**2 * closed.active
        return features.smoothing.interleave(
            near, super().distortion(*(x[~narrow] for x in (slope, offset, threshold, width))), narrow
        )

    def _has_closed_form(self, threshold: FloatArray, width: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether the closed form neither cancels (a law or threshold far from 0) nor divides by zero."""
        length = self.high - self.low
        moderate = (np.abs(threshold) <= _FAR * length) & (self.low <= length)
        return np.asarray(moderate & (width <= _WIDE * length) & (width >= _NARROW * length))

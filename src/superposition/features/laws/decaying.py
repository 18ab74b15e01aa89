"""Laws on the half-line, of one scale: exponential and half-normal."""

import abc
from dataclasses import dataclass
from functools import cache
from math import hypot, inf, log, pi, sqrt
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from superposition._checks import FloatArray
from superposition.features.laws.base import Law, magnitude, parameter
from superposition.features.laws.panels import Density
from superposition.features.laws.tilted import Tilted

if TYPE_CHECKING:
    import torch

    from superposition.features.source import Source

# A kink or a width beyond it, in units of the scale, is as far as any.
_FARTHEST = 1e290


class _Decaying(Law):
    """A law on the half-line of one scale: its panels are those of the law of scale 1, multiplied."""

    scale: float

    def __post_init__(self) -> None:
        scale = parameter("scale", self.scale)
        if not scale > 0:
            raise ValueError(f"`scale` must be positive, got {scale:g}: use Constant for one value")
        object.__setattr__(self, "scale", magnitude("scale", scale))

    @property
    def landmarks(self) -> FloatArray:
        """Panel edges, from 0 to where only 1e-26 of the mass lies beyond."""
        return self.scale * self._unit.edges

    @property
    @abc.abstractmethod
    def _unit(self) -> Density:
        """The density at scale 1."""

    @property
    def _rule(self) -> tuple[FloatArray, FloatArray]:
        values, weights = self._unit.rule
        return self.scale * values, weights

    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        with np.errstate(over="ignore"):
            kink, width = (np.clip(x / self.scale, -_FARTHEST, _FARTHEST) for x in (kink, width))
        values, weights = self._unit.panels(kink, width)
        return self.scale * values, weights


@final
@dataclass(frozen=True)
class Exponential(_Decaying):
    """Exponential with density exp(−u/scale)/scale on u ≥ 0, scale > 0.

    >>> Exponential(2.0).second_moment
    8.0
    """

    kind: ClassVar[str] = "Exponential"

    scale: float = 1.0

    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns scale times exponential numbers."""
        return source.exponentials(n).mul_(self.scale).to(dtype)

    @property
    def mean(self) -> float:
        """E u = scale."""
        return self.scale

    @property
    def second_moment(self) -> float:
        """E u² = 2 scale²."""
        return 2 * self.scale**2

    @property
    def variance(self) -> float:
        """Var u = scale²."""
        return self.scale**2

    @property
    def _wide(self) -> float:
        return 6 * self.scale

    @property
    def _unit(self) -> Density:
        return _unit_exponential()

    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """Nodes of a Gaussian cut at 0: the law shifts its centre below z."""
        centre = z - width * (width / self.scale)
        return Tilted.gaussian(centre, width, (0.0, inf), lambda u: -u / self.scale - log(self.scale))


@final
@dataclass(frozen=True)
class HalfNormal(_Decaying):
    """Absolute value of a Gaussian of mean 0 and standard deviation scale > 0.

    >>> HalfNormal(3.0).second_moment
    9.0
    """

    kind: ClassVar[str] = "HalfNormal"

    scale: float = 1.0

    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns scale times the size of normal numbers."""
        return source.normals(n).abs_().mul_(self.scale).to(dtype)

    @property
    def mean(self) -> float:
        """E u = √(2/π) scale."""
        return sqrt(2 / pi) * self.scale

    @property
    def second_moment(self) -> float:
        """E u² = scale²."""
        return self.scale**2

    @property
    def variance(self) -> float:
        """Var u = (1 − 2/π) scale²."""
        return (1 - 2 / pi) * self.scale**2

    @property
    def _wide(self) -> float:
        return 2 * self.scale

    @property
    def _unit(self) -> Density:
        return _unit_half_normal()

    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """Nodes of the Gaussian that is the product of the law's and the noise's, cut at 0."""
        share = self.scale / hypot(self.scale, width)
        log_height = log(sqrt(2 / pi) / self.scale)
        return Tilted.gaussian(
            z * share**2, width * share, (0.0, inf), lambda u: log_height - 0.5 * _bounded(u / self.scale) ** 2
        )


def _bounded(u: FloatArray) -> FloatArray:
    """Returns u, held where its square is a number of float64: the density is 0 long before."""
    return np.minimum(u, 1e150)


@cache
def _unit_exponential() -> Density:
    return Density.on(0.0, 60.0, lambda u: np.exp(-u))


@cache
def _unit_half_normal() -> Density:
    return Density.on(0.0, 11.0, lambda u: sqrt(2 / pi) * np.exp(-u * u / 2))

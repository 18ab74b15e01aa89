"""Laws on the half-line, of one scale: exponential and half-normal."""

from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from typing import final

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features.laws.base import Law
from superposition.features.laws.panels import Density


@final
@dataclass(frozen=True)
class Exponential(Law):
    """Exponential with density exp(−u/scale)/scale on u ≥ 0, scale > 0.

    >>> Exponential(2.0).second_moment
    8.0
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _scale(self.scale))

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
    def landmarks(self) -> FloatArray:
        """Panel edges from 0 to 60 scales, beyond which lie 1e-26 of the mass."""
        return self.scale * _unit_exponential().edges

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Gauss–Legendre panels, or a Gauss rule of their nodes if all is wide."""
        return _scaled_nodes(_unit_exponential(), self.scale, kink, width)


@final
@dataclass(frozen=True)
class HalfNormal(Law):
    """Absolute value of a Gaussian of mean 0 and standard deviation scale > 0.

    >>> HalfNormal(3.0).second_moment
    9.0
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _scale(self.scale))

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
    def landmarks(self) -> FloatArray:
        """Panel edges from 0 to 11 scales, beyond which lie 1e-27 of the mass."""
        return self.scale * _unit_half_normal().edges

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Gauss–Legendre panels, or a Gauss rule of their nodes if all is wide."""
        return _scaled_nodes(_unit_half_normal(), self.scale, kink, width)


@cache
def _unit_exponential() -> Density:
    return Density.on(0.0, 60.0, lambda u: np.exp(-u), wide=6.0)


@cache
def _unit_half_normal() -> Density:
    return Density.on(0.0, 11.0, lambda u: sqrt(2 / pi) * np.exp(-u * u / 2), wide=2.0)


def _scaled_nodes(
    unit: Density, scale: float, kink: npt.ArrayLike, width: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    values, weights = unit.nodes(np.asarray(kink) / scale, np.asarray(width) / scale)
    return scale * values, weights


def _scale(value: float) -> float:
    scale = float(_checks.finite("scale", value))
    if not scale > 0:
        raise ValueError(f"`scale` must be positive, got {scale:g}: use Constant for one value")
    return scale

"""A law weighted by how likely each of its values makes a noisy observation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from superposition._checks import FloatArray
from superposition.features.laws.panels import KINK, legendre

# A Gaussian at this many standard deviations, and an exponential at half its square many scales, count as zero.
REACH = 9.0
_LARGE = 1e300


@dataclass(frozen=True)
class Tilted:
    """A law given an observation z = u + ν, ν ~ N(0, σ²): nodes of E f(u) exp(((z − anchor)² − (z − u)²)/2σ²).

    All is relative to an anchor of about the greatest weight, so that nothing vanishes however far z is from the
    law, and no offset is lost in the rounding of its value.

    Attributes:
        anchor: Shape (k,).
        offsets: Nodes u − anchor, shape (k, m).
        weights: Of the nodes, in a unit of their own.
        log_unit: Logarithm of this unit, shape (k,).
    """

    anchor: FloatArray
    offsets: FloatArray
    weights: FloatArray
    log_unit: FloatArray

    @classmethod
    def gaussian(
        cls,
        centre: FloatArray,
        width: float,
        support: tuple[float, float],
        log_density: Callable[[FloatArray], FloatArray],
    ) -> Self:
        """Returns it for the Gaussian of the given centre and width cut at the support's ends.

        Args:
            centre: Shape (k,).
            width: > 0.
            support: Its ends.
            log_density: log of the law's density, taken at the anchor.
        """
        low, high = support
        anchor = np.clip(centre, low, high)
        with np.errstate(over="ignore"):
            outside = np.clip((centre - anchor) / width, -_LARGE, _LARGE)
            room = (low - anchor) / width, (high - anchor) / width
        around = fall(outside)[:, None] * KINK / REACH
        t, weights = legendre(np.clip(around, room[0][:, None], room[1][:, None]))
        weights = weights * np.exp(t * (outside[:, None] - t / 2))
        return cls(anchor, width * t, weights, log_density(anchor) + np.log(width))

    @classmethod
    def atoms(cls, values: FloatArray, weights: FloatArray, z: FloatArray, width: float) -> Self:
        """Returns it for a law of finitely many values, sorted, of positive weights."""
        nearest = values[np.searchsorted((values[:-1] + values[1:]) / 2, z)]
        with np.errstate(over="ignore"):
            distance = np.clip((values - nearest[:, None]) / width, -_LARGE, _LARGE)
            outside = np.clip((z - nearest) / width, -_LARGE, _LARGE)
            log_weights = distance * (outside[:, None] - distance / 2) + np.log(weights)
        best = np.argmax(log_weights, axis=1)
        largest = np.take_along_axis(log_weights, best[:, None], axis=1)
        anchor = values[best]
        return cls(anchor, values - anchor[:, None], np.exp(log_weights - largest), np.log(weights[best]))

    @cached_property
    def log_mass(self) -> FloatArray:
        """The logarithm of E exp(((z − anchor)² − (z − u)²)/2σ²)."""
        return self.log_unit + np.log(self._total)

    @property
    def mean(self) -> FloatArray:
        """E[u | z]."""
        return self.anchor + self._offset

    @cached_property
    def variance(self) -> FloatArray:
        """Var[u | z]."""
        return _sum(self.weights, (self.offsets - self._offset[:, None]) ** 2) / self._total

    @cached_property
    def _total(self) -> FloatArray:
        return np.asarray(self.weights.sum(axis=1))

    @cached_property
    def _offset(self) -> FloatArray:
        return _sum(self.weights, self.offsets) / self._total


def fall(outside: npt.ArrayLike) -> FloatArray:
    """Returns how far, in standard deviations, a Gaussian falls to nothing from a point that far off its centre."""
    distance = np.abs(outside)
    return np.asarray(REACH**2 / (distance + np.hypot(distance, REACH)))


def _sum(weights: FloatArray, function: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("zk,zk->z", weights, function))

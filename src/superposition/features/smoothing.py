"""Gaussian-smoothed moments of a law: every mean-field integral is a combination of them."""

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from superposition._checks import FloatArray

_INVERSE_SQRT_TAU = 0.3989422804014327
# Beyond ±38 both Gaussian tails are zero in float64.
_FAR = 38.5


@dataclass(frozen=True)
class Smoothed:
    """Moments with z = (u + β)/σ, u drawn from the law; each without cancellation, of one shape.

    Attributes:
        active: E Φ(z), the probability of being above the threshold −β after the noise.
        active_u: E u Φ(z).
        active_uu: E u² Φ(z).
        density: E φ(z).
        density_u: E u φ(z).
    """

    active: FloatArray
    active_u: FloatArray
    active_uu: FloatArray
    density: FloatArray
    density_u: FloatArray

    @classmethod
    def by_quadrature(cls, values: FloatArray, weights: FloatArray, threshold: FloatArray, width: FloatArray) -> Self:
        """Returns the moments from a law's nodes; values and weights have one axis more, the last."""
        z = standardised(values + threshold[..., None], width[..., None])
        active, density = ndtr(z), normal_density(z)
        weighted = weights * values
        first, first_density = _sum(weights, active), _sum(weights, density)
        active_u, density_u = _sum(weighted, active), _sum(weighted, density)
        weighted *= values
        return cls(first, active_u, _sum(weighted, active), first_density, density_u)

    @classmethod
    def uniform(cls, low: float, high: float, threshold: FloatArray, width: FloatArray) -> Self:
        """Returns the moments of Uniform(low, high) in closed form; accurate for width ≤ (high − low)/2.

        With u = σz − β they are integrals of z^k Φ(z) and z^k φ(z), whose antiderivatives are polynomials
        times Φ and φ.
        """
        t, s = threshold / width, width / (high - low)
        z_low, z_high = (low + threshold) / width, (high + threshold) / width
        below, above = ndtr(z_low), ndtr(z_high)
        density_low, density_high = normal_density(z_low), normal_density(z_high)
        active = [
            one - other
            for one, other in zip(
                _active_integrals(z_high, above, density_high),
                _active_integrals(z_low, below, density_low),
                strict=True,
            )
        ]
        # The mass between the edges, as a difference of the smaller tails.
        mass = above - below
        upper = below > 0.5
        if upper.any():
            mass[upper] = ndtr(-z_low[upper]) - ndtr(-z_high[upper])
        return cls(
            s * active[0],
            s * width * (active[1] - t * active[0]),
            s * width**2 * (active[2] - t * (2 * active[1] - t * active[0])),
            s * mass,
            s * width * (density_low - density_high - t * mass),
        )

    def interleaved(self, other: "Smoothed", mine: npt.NDArray[np.bool_]) -> "Smoothed":
        """Returns moments of the mask's shape: own ones where `mine` is true, the other's elsewhere, in order."""
        names = [field.name for field in dataclasses.fields(self)]
        return Smoothed(*(interleave(getattr(self, name), getattr(other, name), mine) for name in names))


def distortion_by_quadrature(
    values: FloatArray,
    weights: FloatArray,
    threshold: FloatArray,
    width: FloatArray,
    slope: FloatArray,
    offset: FloatArray,
) -> FloatArray:
    """Returns E (slope · u − offset)² Φ(z) from a law's nodes: no difference of large moments."""
    z = standardised(values + threshold[..., None], width[..., None])
    return _sum(weights * (slope[..., None] * values - offset[..., None]) ** 2, ndtr(z))


def silent_by_quadrature(
    values: FloatArray, weights: FloatArray, threshold: FloatArray, width: FloatArray
) -> FloatArray:
    """Returns E u² Φ(−z), the second moment that falls below the threshold, from a law's nodes."""
    return _sum(weights * values**2, ndtr(-standardised(values + threshold[..., None], width[..., None])))


def silent_uniform(low: float, high: float, threshold: FloatArray, width: FloatArray) -> FloatArray:
    """Returns E u² Φ(−z) of Uniform(low, high), taken from the upper tails so that nothing cancels there."""
    t = threshold / width
    edges = []
    for edge in (low, high):
        z = (edge + threshold) / width
        rest, density = ndtr(-z), normal_density(z)
        zz = z * z
        zeroth, first = density - z * rest, (z * density - (zz - 1) * rest) / 2
        second = ((zz + 2) * density - zz * z * rest) / 3
        edges.append(second - t * (2 * first - t * zeroth))
    return np.asarray(width**3 / (high - low) * (edges[0] - edges[1]))


def interleave(mine: FloatArray, other: FloatArray, mask: npt.NDArray[np.bool_]) -> FloatArray:
    """Returns an array of the mask's shape from the entries for its true and for its false places."""
    joined = np.empty(mask.shape)
    joined[mask], joined[~mask] = mine, other
    return joined


def _active_integrals(z: FloatArray, mass: FloatArray, density: FloatArray) -> tuple[FloatArray, ...]:
    """Returns ∫ w^k Φ(w) from −∞ to z for k = 0, 1, 2."""
    zz = z * z
    return z * mass + density, ((zz - 1) * mass + z * density) / 2, (zz * z * mass + (zz + 2) * density) / 3


def _sum(weights: FloatArray, function: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("...k,...k->...", weights, function))


def standardised(mean: FloatArray, std: FloatArray) -> FloatArray:
    """Returns mean/std clipped to where Φ and φ differ from their limits; std 0 means no noise."""
    with np.errstate(over="ignore"):
        z = np.asarray(mean / np.maximum(std, 1e-300))
    return np.minimum(np.maximum(z, -_FAR, out=z), _FAR, out=z)


def normal_density(z: FloatArray) -> FloatArray:
    """Returns φ(z); at least 4e-305, for subnormal numbers are several times slower."""
    density = np.asarray(-0.5 * z)
    density *= z
    np.maximum(density, -700.0, out=density)
    np.exp(density, out=density)
    density *= _INVERSE_SQRT_TAU
    return density

"""The Bayes denoiser of a sparse feature in Gaussian noise, and the two ceilings that it sets."""

from dataclasses import dataclass
from math import log, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law, Uniform
from superposition.theory.shapes import broadcast, plain

# Panels of the observation around the spike and the law's edges, in units of σ: half a σ each, for the passage
# from "inactive" to "active" is several times narrower than σ at small p.
_AROUND = np.arange(-9.0, 9.25, 0.5)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_BLOCK = 2048


@dataclass(frozen=True)
class Posterior:
    """What an observation z = x + ν tells of x.

    Attributes:
        mean: η(z) = E[x | z], feature units.
        variance: Var[x | z] = σ² η′(z) (Tweedie), squared feature units.
    """

    mean: Any
    variance: Any


def bayes_denoiser(
    z: npt.ArrayLike, noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None
) -> Posterior:
    """Posterior mean and variance of x given z = x + ν, x = c u, c ~ Bernoulli(p), ν ~ N(0, σ²) (exact).

    The mean is the best elementwise decoder.

    Args:
        z: Observation, feature units.
        noise_std: σ > 0, feature units; broadcast with `z`.
        probability: Probability of being active, in (0, 1]; broadcast.
        law: Law of active values; Uniform() if not given.

    Returns:
        Posterior of the broadcast shape.

    Raises:
        ValueError: An argument is out of range or not finite.

    Reference: The Persian Rug, eq. 27-28 (the active part); Tweedie's formula.

    >>> round(bayes_denoiser(0.6, 0.1, 0.045).mean, 6)
    0.599986
    """
    law = law or Uniform()
    z, sigma, p = broadcast(
        z=_checks.finite("z", z), noise_std=_positive(noise_std), probability=_checks.probability(probability)
    )
    mean, variance = np.empty(z.size), np.empty(z.size)
    settings, which = np.unique(np.stack([sigma.ravel(), p.ravel()]), axis=1, return_inverse=True)
    for index, (one_sigma, one_p) in enumerate(settings.T):
        here = np.flatnonzero(which == index)
        for start in range(0, here.size, 4096):
            part = here[start : start + 4096]
            active = _ActivePart.of(z.ravel()[part], float(one_sigma), law)
            mean[part], variance[part] = active.mixed_with_spike(float(one_p))
    return Posterior(plain(mean.reshape(z.shape)), plain(variance.reshape(z.shape)))


def bayes_loss(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Loss of the Bayes denoiser, E Var[x | x + ν]: a bound from below for every elementwise decoder (exact).

    It holds at equal noise ν ~ N(0, σ²), independent of x.

    Args:
        noise_std: σ ≥ 0, feature units.
        probability: Probability of being active, in (0, 1]; broadcast with `noise_std`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range or not finite.

    >>> round(bayes_loss(0.2085216, 0.045), 7)
    0.0044803
    """
    return _integrated(noise_std, probability, law or Uniform(), knows_support=False)


def oracle_support_loss(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Loss of a decoder that is told which features are active, p E Var[u | u + ν] (exact).

    A bound from below at equal noise for every elementwise decoder and every filter (the text of appendix E.2
    has the inequality reversed).

    Args:
        noise_std: σ ≥ 0, feature units.
        probability: Probability of being active, in (0, 1]; broadcast with `noise_std`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range or not finite.

    Reference: The Persian Rug, eq. 25-26.

    >>> round(oracle_support_loss(0.2085216, 0.045), 7)
    0.0012204
    """
    return _integrated(noise_std, probability, law or Uniform(), knows_support=True)


@dataclass(frozen=True)
class _ActivePart:
    """An active feature given observations z at one σ: arrays of the shape of z.

    Attributes:
        z: Observations.
        sigma: σ.
        log_density: log of the density of u + ν at z.
        mean: E[u | z].
        variance: Var[u | z].
    """

    z: FloatArray
    sigma: float
    log_density: FloatArray
    mean: FloatArray
    variance: FloatArray

    @classmethod
    def of(cls, z: FloatArray, sigma: float, law: Law) -> "_ActivePart":
        """Integrates over the law; the Gaussian of u is centred at z, or falls off from the law's edge."""
        low, high = law.support
        nearest = np.clip(z, low, high)
        # Far outside the law the Gaussian is an exponential of scale σ²/distance at the edge, to be resolved over
        # some 40 scales where 9 do for a Gaussian.
        width = sigma / np.maximum(1.0, np.abs(z - nearest) / (4.5 * sigma))
        u, weights = law.nodes(nearest, width)
        exponent = -0.5 * ((z[:, None] - u) / sigma) ** 2
        largest = exponent.max(axis=1, keepdims=True)
        density = weights * np.exp(exponent - largest)
        total = density.sum(axis=1)
        mean = (density * u).sum(axis=1) / total
        variance = (density * (u - mean[:, None]) ** 2).sum(axis=1) / total
        log_density = np.log(total) + largest[:, 0] - log(sigma * sqrt(2 * pi))
        return cls(z, sigma, log_density, mean, variance)

    def log_spike(self) -> FloatArray:
        """Returns the log density of ν at z."""
        return -0.5 * (self.z / self.sigma) ** 2 - log(self.sigma * sqrt(2 * pi))

    def mixed_with_spike(self, p: float) -> tuple[FloatArray, FloatArray]:
        """Returns mean and variance of x, by the probability that the feature is active given z."""
        if p == 1:
            return self.mean, self.variance
        log_odds = log(p) - np.log1p(-p) + self.log_density - self.log_spike()
        on, off = expit(log_odds), expit(-log_odds)
        return on * self.mean, on * self.variance + on * off * self.mean**2


def _integrated(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law, *, knows_support: bool) -> Any:
    """Integrates the posterior variance over the observation, entry by entry."""
    sigma, p = broadcast(
        noise_std=_checks.finite("noise_std", noise_std, non_negative=True),
        probability=_checks.probability(probability),
    )
    losses = np.zeros(sigma.size)
    for index, (one_sigma, one_p) in enumerate(zip(sigma.ravel(), p.ravel(), strict=True)):
        if one_sigma > 0:
            losses[index] = _loss(float(one_sigma), float(one_p), law, knows_support=knows_support)
    return plain(losses.reshape(sigma.shape))


def _loss(sigma: float, p: float, law: Law, *, knows_support: bool) -> float:
    z, weights = _observations(sigma, law)
    blocks = np.array_split(np.arange(z.size), -(-z.size // _BLOCK))
    return sum(_loss_of(z[part], weights[part], sigma, p, law, knows_support=knows_support) for part in blocks)


def _loss_of(z: FloatArray, weights: FloatArray, sigma: float, p: float, law: Law, *, knows_support: bool) -> float:
    """Returns the part of the loss that a block of observations bears."""
    active = _ActivePart.of(z, sigma, law)
    density = np.exp(active.log_density)
    if knows_support:
        return float(p * (weights * density * active.variance).sum())
    variance = active.mixed_with_spike(p)[1]
    return float((weights * (p * density + (1 - p) * np.exp(active.log_spike())) * variance).sum())


def _observations(sigma: float, law: Law) -> tuple[FloatArray, FloatArray]:
    """Returns nodes and weights of ∫ dz: fine panels where the posterior turns, the law's own panels between."""
    turns = np.unique(np.concatenate([[0.0], law.landmarks]))
    # Landmarks closer than half a σ share their panels.
    turns = turns[np.unique(np.floor(2 * turns / sigma), return_index=True)[1]]
    edges = np.unique(np.concatenate([(turns[:, None] + sigma * _AROUND).ravel(), turns]))
    half, centre = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (centre + half * _NODES).ravel(), (half * _WEIGHTS).ravel()


def _positive(noise_std: npt.ArrayLike) -> FloatArray:
    sigma = _checks.finite("noise_std", noise_std)
    if not (sigma > 0).all():
        raise ValueError(f"`noise_std` must be positive, got {float(sigma.min()):g}: without noise x is z itself")
    return sigma

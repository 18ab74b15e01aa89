"""The Bayes denoiser of a sparse feature in Gaussian noise, and the two ceilings that it sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law
from superposition.features.laws.tilted import Tilted
from superposition.theory.shapes import broadcast, law_or_default, plain

# Panels of the observation: half a σ each around the spike and the law's edges, and four e-folds of the odds each
# around the observation at which active and inactive are as likely; one of their densities halves these e-folds.
_AROUND = np.arange(-9.0, 9.25, 0.5)
_PASSAGE = np.arange(-80.0, 81.0, 4.0)
_SECTIONS = 33
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
# Nodes taken together.
_BLOCK = 2**20
# Of z and σ, so that their squares are numbers of float64.
_LEAST_NOISE, _LARGEST = 1e-120, 1e150
# Of a passage's edges, which are cut at those of the integral.
_FARTHEST = 1e300


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
        z: Observation, in [−1e150, 1e150], feature units.
        noise_std: σ > 0, in [1e-120, 1e150], feature units; broadcast with `z`.
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
    law = law_or_default(law)
    z, sigma, p = broadcast(
        z=_observation(z), noise_std=_noise(noise_std), probability=_checks.probability(probability)
    )
    mean, variance = np.empty(z.size), np.empty(z.size)
    settings, which = np.unique(np.stack([sigma.ravel(), p.ravel()]), axis=1, return_inverse=True)
    for index, (one_sigma, one_p) in enumerate(settings.T):
        here = np.flatnonzero(which == index)
        for part in blocks(here.size, float(one_sigma), law):
            active = ActivePart.of(z.ravel()[here[part]], float(one_sigma), law)
            mean[here[part]], variance[here[part]] = active.mixed_with_spike(float(one_p))
    return Posterior(plain(mean.reshape(z.shape)), plain(variance.reshape(z.shape)))


def bayes_loss(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Loss of the Bayes denoiser, E Var[x | x + ν]: a bound from below for every elementwise decoder (exact).

    It holds at equal noise ν ~ N(0, σ²), independent of x.

    Args:
        noise_std: σ, 0 or in [1e-120, 1e150], feature units.
        probability: Probability of being active, in (0, 1]; broadcast with `noise_std`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range or not finite.

    >>> round(bayes_loss(0.2085216, 0.045), 7)
    0.0044803
    """
    return _integrated(noise_std, probability, law_or_default(law), knows_support=False)


def oracle_support_loss(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Loss of a decoder that is told whether its feature is active, p E Var[u | u + ν] (exact).

    A bound from below at equal noise for every elementwise decoder, and for every filter that knows whether its own
    feature is active and nothing of the others (the text of appendix E.2 has the inequality reversed).

    Args:
        noise_std: σ, 0 or in [1e-120, 1e150], feature units.
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
    return _integrated(noise_std, probability, law_or_default(law), knows_support=True)


@dataclass(frozen=True)
class ActivePart:
    """An active feature given observations z at one σ: arrays of the shape of z.

    Attributes:
        z: Observations.
        sigma: σ.
        tilted: The law given z.
    """

    z: FloatArray
    sigma: float
    tilted: Tilted

    @classmethod
    def of(cls, z: FloatArray, sigma: float, law: Law) -> "ActivePart":
        """Returns it for observations of shape (k,)."""
        return cls(z, sigma, law.tilted(z, sigma))

    @cached_property
    def density(self) -> FloatArray:
        """Density of u + ν at z."""
        with np.errstate(over="ignore"):
            outside = np.clip((self.z - self.tilted.anchor) / self.sigma, -_LARGEST, _LARGEST)
        return np.asarray(np.exp(self.tilted.log_mass - 0.5 * outside**2) / (self.sigma * sqrt(2 * pi)))

    def log_odds(self, p: float) -> FloatArray:
        """Returns the log odds that the feature is active."""
        anchor = self.tilted.anchor
        with np.errstate(over="ignore"):
            ratio = np.clip(anchor / self.sigma, 0, 1e150) * np.clip((self.z - anchor / 2) / self.sigma, -1e150, 1e150)
        return np.asarray(log(p) - np.log1p(-p) + self.tilted.log_mass + ratio)

    def mixed_with_spike(self, p: float) -> tuple[FloatArray, FloatArray]:
        """Returns mean and variance of x, by the probability that the feature is active given z."""
        mean, variance = self.tilted.mean, self.tilted.variance
        if p == 1:
            return mean, variance
        on, off = expit(self.log_odds(p)), expit(-self.log_odds(p))
        return on * mean, on * (variance + off * mean**2)


def _integrated(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law, *, knows_support: bool) -> Any:
    """Integrates the posterior variance over the observation, entry by entry."""
    sigma, p = broadcast(noise_std=_noise(noise_std, or_none=True), probability=_checks.probability(probability))
    losses = np.zeros(sigma.size)
    for index, (one_sigma, one_p) in enumerate(zip(sigma.ravel(), p.ravel(), strict=True)):
        if one_sigma > 0:
            losses[index] = _loss(float(one_sigma), float(one_p), law, knows_support=knows_support)
    return plain(losses.reshape(sigma.shape))


def _loss(sigma: float, p: float, law: Law, *, knows_support: bool) -> float:
    """Returns E Var[x | z] = p ∫ density · (Var[u | z] + P(inactive | z) E[u | z]²) dz; with support the first term."""
    spiked = p < 1 and not knows_support
    z, weights = observations(sigma, [p] if spiked else [], law)
    total = 0.0
    for part in blocks(z.size, sigma, law):
        active = ActivePart.of(z[part], sigma, law)
        error = active.tilted.variance
        if spiked:
            error = error + expit(-active.log_odds(p)) * active.tilted.mean**2
        total += float((weights[part] * active.density * error).sum())
    return p * total


def observations(sigma: float, probabilities: Sequence[float], law: Law) -> tuple[FloatArray, FloatArray]:
    """Returns nodes and weights of ∫ dz: fine panels where the posterior turns, the law's own panels between.

    Args:
        sigma: σ.
        probabilities: In (0, 1): of each the passage from inactive to active is resolved, and of those within some
            40 e-folds of its odds.
        law: Law of active values.
    """
    turns = np.unique(np.concatenate([[0.0], law.landmarks]))
    # Landmarks closer than half a σ share their panels.
    turns = turns[np.unique(np.floor(2 * turns / sigma), return_index=True)[1]]
    edges = np.concatenate([(turns[:, None] + sigma * _AROUND).ravel(), turns])
    passages = [np.clip(_passage(sigma, p, law), edges.min(), edges.max()) for p in probabilities]
    edges = np.unique(np.concatenate([edges, *passages]))
    half, centre = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (centre + half * _NODES).ravel(), (half * _WEIGHTS).ravel()


def _passage(sigma: float, p: float, law: Law) -> FloatArray:
    """Returns panel edges around the z at which the odds of being active, which rise with z, are even."""
    low, high = _AROUND[0] * sigma, law.support[1] + _AROUND[-1] * sigma
    while True:
        z = np.linspace(low, high, _SECTIONS)
        active = ActivePart.of(z, sigma, law)
        above = int(np.searchsorted(active.log_odds(p), 0.0))
        if above in (0, _SECTIONS):
            return np.empty(0)
        # d log odds / dz = E[u | z]/σ²
        scale = min(sigma * (sigma / float(active.tilted.mean[above])), _FARTHEST)
        low, high = float(z[above - 1]), float(z[above])
        if high - low <= scale or not low < (low + high) / 2 < high:
            return high + scale * _PASSAGE


def blocks(size: int, sigma: float, law: Law) -> Iterator[slice]:
    """Yields slices of so many observations at a time as memory is meant for."""
    step = max(1, _BLOCK // law.tilted(np.zeros(1), sigma).weights.size)
    return (slice(start, start + step) for start in range(0, size, step))


def _observation(z: npt.ArrayLike) -> FloatArray:
    return _checks.in_interval("z", _checks.finite("z", z), -_LARGEST, _LARGEST)


def _noise(noise_std: npt.ArrayLike, *, or_none: bool = False) -> FloatArray:
    sigma = _checks.finite("noise_std", noise_std, non_negative=or_none)
    if not (or_none or (sigma > 0).all()):
        raise ValueError(f"`noise_std` must be positive, got {float(sigma.min()):g}: without noise x is z itself")
    _checks.in_interval("noise_std", np.where(sigma > 0, sigma, 1.0), _LEAST_NOISE, _LARGEST)
    return sigma

"""The best scale and bias at given interference, and the symmetric optimum of the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import elementwise

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law, Uniform
from superposition.theory.linear import minimal_noise_variance
from superposition.theory.rectified import Problem
from superposition.theory.shapes import broadcast, plain

# The scan of t = β/σ. Rectifying optima lie between −√(2 log 1/p) − 5, of which these are shares, and 10; beyond
# lies only the linear one, at t ≈ σ E x / Var x.
_NEGATIVE_SCAN = np.array([1, 0.7, 0.55, 0.42, 0.3, 0.2, 0.1, 0.02])
_POSITIVE_SCAN = np.array([0.5, 1.5, 3, 6, 10])
_LINEAR_SCAN = np.geomspace(0.05, 1.0, 3)
# Of t; the loss feels it in second order only.
_TOLERANCES = {"xatol": 1e-10, "xrtol": 1e-10}
# Below it the slopes at the optimum are differences that float64 does not resolve.
_LEAST_PROBABILITY = 1e-15
_CHUNK = 2048


@dataclass(frozen=True)
class Optimum:
    """The three macroscopic parameters at their best, and the loss they give.

    Attributes:
        loss: Mean-field loss per feature, squared feature units.
        scale: a, the diagonal of W.
        bias: b in feature units, with the mean of the interference absorbed.
        noise_std: σ, standard deviation of the interference ν, feature units.
    """

    loss: Any
    scale: Any
    bias: Any
    noise_std: Any


def optimal_relu(noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Optimum:
    """Best a and b of ReLU(a(x + ν) + b), ν ~ N(0, σ²): the global optimum (exact given Gaussian ν).

    The optimal a is closed-form (eq. 13). The loss as a function of β = b/a can have two minima; both are
    found as roots of its derivative and the lower one is returned.

    Args:
        noise_std: σ ≥ 0, in feature units.
        probability: Probability of being active, in [1e-15, 1]; broadcast with `noise_std`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Optimum of the broadcast shape; at σ = 0 it is the identity, with loss 0.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 5 and appendix B.

    >>> round(optimal_relu(0.20852, 0.045).scale, 4)
    1.2892
    """
    law = law or Uniform()
    sigma, p = broadcast(
        noise_std=_checks.finite("noise_std", noise_std, non_negative=True),
        probability=_checks.in_interval("probability", probability, _LEAST_PROBABILITY, 1),
    )
    loss, scale, bias = np.zeros(sigma.size), np.ones(sigma.size), np.zeros(sigma.size)
    noisy = np.flatnonzero(sigma > 0)
    for start in range(0, noisy.size, _CHUNK):
        chunk = noisy[start : start + _CHUNK]
        loss[chunk], scale[chunk], bias[chunk] = _optimise(Problem(sigma.ravel()[chunk], p.ravel()[chunk], law))
    return Optimum(*(plain(value.reshape(sigma.shape)) for value in (loss, scale, bias, sigma.copy())))


def symmetric_optimum(ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Optimum:
    """The optimum over all statistically symmetric weights: least σ (eq. 6), then best a and b (eq. 5).

    Exact within mean field (Gaussian interference, n → ∞). Finite trained models can be better than this.

    Args:
        ratio: n_hidden / n_features, in (0, 1].
        probability: Probability of being active, in [1e-15, 1]; broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Optimum of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 5, 6 and 13.

    >>> round(symmetric_optimum(ratio=0.25, probability=0.045).loss, 9)
    0.004855798
    """
    r, p = broadcast(ratio=_checks.ratio(ratio), probability=_checks.probability(probability))
    return optimal_relu(np.sqrt(minimal_noise_variance(r, p, law)), p, law)


def _optimise(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns loss, scale and bias at the global optimum of problems of shape (k,)."""
    sigma, p, law = problem.noise_std, problem.probability, problem.law
    mean, variance = p * law.mean, law.sparse_variance(p)
    # Var x = 0 (a constant that is always on) has no linear regime to look for.
    linear = np.where(variance > 0, sigma * mean / np.where(variance > 0, variance, 1.0), 0.0)
    negative = -(5 + np.sqrt(-2 * np.log(p)))[:, None] * _NEGATIVE_SCAN
    positive = np.broadcast_to(_POSITIVE_SCAN, (sigma.size, _POSITIVE_SCAN.size))
    beyond = _POSITIVE_SCAN[-1] + (10 + 2 * linear[:, None]) * _LINEAR_SCAN
    t = np.hstack([negative, positive, beyond])

    def slope(t: FloatArray, sigma: FloatArray, p: FloatArray) -> FloatArray:
        return Problem(sigma, p, law).best_scale_and_slope(t * sigma)[1]

    slopes = slope(t, *(np.broadcast_to(x[:, None], t.shape) for x in (sigma, p)))
    # A minimum is where the slope turns from negative to positive; the scan's ends are minima if it never does.
    turns = (slopes[:, :-1] < 0) & (slopes[:, 1:] >= 0)
    first, last = np.argmax(turns, axis=1), turns.shape[1] - 1 - np.argmax(turns[:, ::-1], axis=1)
    ends = np.where(slopes[:, -1] < 0, t[:, -1], t[:, 0])

    def solve(index: npt.NDArray[np.intp], left: npt.NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray]:
        here = Problem(sigma[index], p[index], law)
        found = turns[index, left]
        bracket = np.where(found, t[index, left], -1.0), np.where(found, t[index, left + 1], 1.0)
        root = elementwise.find_root(slope, bracket, args=(here.noise_std, here.probability), tolerances=_TOLERANCES)
        threshold = np.where(found, root.x, ends[index]) * here.noise_std
        scale = here.best_scale_and_slope(threshold)[0]
        return here.loss(scale, scale * threshold), scale, scale * threshold

    best = solve(np.arange(sigma.size), first)
    several = np.flatnonzero(last > first)
    if several.size:
        other = solve(several, last[several])
        better = other[0] < best[0][several]
        for mine, theirs in zip(best, other, strict=True):
            mine[several[better]] = theirs[better]
    return best

"""The best scale and bias at given interference, and the symmetric optimum of the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import elementwise

from superposition import _checks
from superposition._checks import LEAST_PROBABILITY, FloatArray
from superposition.features import Law
from superposition.theory.linear import minimal_noise_variance, noisy_ratio
from superposition.theory.rectified import Problem
from superposition.theory.shapes import broadcast, law_or_default, plain

# The scan of t = β/σ. Rectifying optima lie between −√(2 log 1/p) − 5, of which these are shares, and 10; beyond
# the ReLU is never off in float64, and the linear optimum, at t = σ E x / Var x, has a closed form.
_NEGATIVE_SCAN = np.array([1, 0.7, 0.55, 0.42, 0.3, 0.2, 0.1, 0.02])
_POSITIVE_SCAN = np.array([0.5, 1.5, 3, 6, 12])
# Of t; the loss feels it in second order only.
_TOLERANCES = {"xatol": 1e-10, "xrtol": 1e-10}
# Its square is a number of float64.
_MOST_NOISE = 1e150
# Of two losses, relative: no difference. Each is a sum of six terms, products of up to five factors good to 2 ulp.
_SAME = 1e-14
_CHUNK = 2048
# Of β and σ where squares of their sums are integrated, and how many σ below the threshold values may be: beyond it
# moments of the ReLU cancel.
_MOST_SCALED, _HEARD = 1e100, 10.0


@dataclass(frozen=True)
class Optimum:
    """The three macroscopic parameters at their best, and the loss they give.

    Attributes:
        loss: Mean-field loss per feature, squared feature units.
        scale: a, the diagonal of W; 0 where Var x = 0 and there is noise, for then the constant E x is best.
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
    found as roots of its derivative and the lower one is returned. It is never above the best affine decoder.

    Args:
        noise_std: σ in [0, 1e150], feature units.
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
    law = law_or_default(law)
    sigma, p = broadcast(
        noise_std=_checks.in_interval(
            "noise_std", _checks.finite("noise_std", noise_std, non_negative=True), 0, _MOST_NOISE
        ),
        probability=_checks.in_interval("probability", probability, LEAST_PROBABILITY, 1),
    )
    loss, scale, bias = np.zeros(sigma.size), np.ones(sigma.size), np.zeros(sigma.size)
    noisy = np.flatnonzero(sigma > 0)
    for start in range(0, noisy.size, _CHUNK):
        chunk = noisy[start : start + _CHUNK]
        loss[chunk], scale[chunk], bias[chunk] = _optimise(Problem(sigma.ravel()[chunk], p.ravel()[chunk], law))
    return Optimum(*(plain(value.reshape(sigma.shape)) for value in (loss, scale, bias, sigma.copy())))


def optimal_scale(
    threshold: npt.ArrayLike, noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None
) -> Any:
    """Best scale a of a ReLU(x + ν + β) at given β = b/a (exact given Gaussian ν).

    It is E x ReLU(x + ν + β)/E ReLU(x + ν + β)², the root of dL/da = −2 E (x − a y) y, y = ReLU(x + ν + β), for
    the loss is a parabola in a. It is positive.

    Args:
        threshold: β in [−1e100, 1e100], feature units, and at least −(u + 10σ), u the law's largest value.
        noise_std: σ in [0, 1e100], standard deviation of the interference ν, feature units.
        probability: Probability of being active, in (0, 1]; all three are broadcast.
        law: Law of active values; Uniform() if not given.

    Returns:
        a, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range, or the ReLU is never on.

    Reference: The Persian Rug, eq. 12 and 13.

    >>> best = optimal_relu(0.2, 0.045)
    >>> round(optimal_scale(best.bias / best.scale, 0.2, 0.045) / best.scale, 9)
    1.0
    """
    law = law_or_default(law)
    beta, sigma, p = broadcast(
        threshold=_checks.in_interval("threshold", threshold, -_MOST_SCALED, _MOST_SCALED),
        noise_std=_checks.in_interval("noise_std", noise_std, 0, _MOST_SCALED),
        probability=_checks.probability(probability),
    )
    largest = law.support[1]
    if not (beta + largest + _HEARD * sigma > 0).all():
        raise ValueError(
            "`threshold` must leave the ReLU on for some values, which needs more than "
            f"−(u + {_HEARD:g}σ), u = {largest:g} the law's largest value, got {float(beta.min()):g}"
        )
    scale = Problem(sigma.ravel(), p.ravel(), law).best_scale_and_slope(beta.ravel())[0]
    return plain(scale.reshape(beta.shape))


def symmetric_optimum(
    ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None, *, hidden_noise: npt.ArrayLike = 0.0
) -> Optimum:
    """The optimum over all statistically symmetric weights: least σ (eq. 6), then best a and b (eq. 5).

    Exact within mean field (Gaussian interference, n → ∞). Finite trained models can be better than this. With noise ω
    on the hidden units it is the optimum at the ratio r/(1 + ω²) without.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in [1e-15, 1]; broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.
        hidden_noise: ω in [0, 1e15]: standard deviation of noise on every hidden unit, over that of the units without
            it (root mean square over units).

    Returns:
        Optimum of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 5, 6 and 13; with noise, docs/theory.md, §4.

    >>> round(symmetric_optimum(ratio=0.25, probability=0.045).loss, 9)
    0.004855798
    """
    p = _checks.in_interval("probability", _checks.probability(probability), LEAST_PROBABILITY, 1)
    r, p, noise = broadcast(ratio=noisy_ratio(ratio), probability=p, hidden_noise=_checks.hidden_noise(hidden_noise))
    return optimal_relu(np.sqrt(minimal_noise_variance(r, p, law, hidden_noise=noise)), p, law)


def _optimise(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns loss, scale and bias at the global optimum of problems of shape (k,)."""
    sigma, p, law = problem.noise_std, problem.probability, problem.law
    negative = -(5 + np.sqrt(-2 * np.log(p)))[:, None] * _NEGATIVE_SCAN
    t = np.hstack([negative, np.broadcast_to(_POSITIVE_SCAN, (sigma.size, _POSITIVE_SCAN.size))])

    def slope(t: FloatArray, sigma: FloatArray, p: FloatArray) -> FloatArray:
        return Problem(sigma, p, law).best_scale_and_slope(t * sigma)[1]

    slopes = slope(t, *(np.broadcast_to(x[:, None], t.shape) for x in (sigma, p)))
    # A minimum is where the slope turns from negative to positive; the scan's ends are minima if it never does.
    turns = (slopes[:, :-1] < 0) & (slopes[:, 1:] >= 0)
    first, last = np.argmax(turns, axis=1), turns.shape[1] - 1 - np.argmax(turns[:, ::-1], axis=1)
    ends = np.where(slopes[:, -1] < 0, t[:, -1], t[:, 0])

    def solve(index: npt.NDArray[np.intp], left: npt.NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray]:
        here = Problem(sigma[index], p[index], law)
        found, best_t = turns[index, left], ends[index]
        best_t[found] = root(index[found], left[found])
        threshold = best_t * here.noise_std
        scale = here.best_scale_and_slope(threshold)[0]
        return here.loss(scale, scale * threshold), scale, scale * threshold

    def root(index: npt.NDArray[np.intp], left: npt.NDArray[np.intp]) -> FloatArray:
        bracket, args = (t[index, left], t[index, left + 1]), (sigma[index], p[index])
        within = elementwise.find_root(slope, bracket, args=args, tolerances=_TOLERANCES)
        # An end that is a root but for rounding may have another sign now.
        nearer = np.where(-slopes[index, left] < slopes[index, left + 1], *bracket)
        return np.where(within.success, within.x, nearer)

    best = solve(np.arange(sigma.size), first)
    several = np.flatnonzero(last > first)
    if several.size:
        other = solve(several, last[several])
        _keep_better(best, several, other)
    affine = _affine(problem)
    # Derivatives depend on a and b, of which two losses that are the same within rounding say nothing. Where the loss
    # still falls at the scan's end it has a minimum beyond, the affine one, taken then; else it has none there.
    beyond = slopes[:, -1] < 0
    alike = affine[0] <= best[0] * np.where(beyond, 1 + _SAME, 1 - _SAME)
    loss, scale, bias = (np.where(alike, theirs, mine) for mine, theirs in zip(best, affine, strict=True))
    return np.minimum(loss, affine[0]), scale, bias


def _affine(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns loss, scale and bias of the best affine decoder, which rectifying makes no worse."""
    sigma, p, law = problem.noise_std, problem.probability, problem.law
    variance = law.sparse_variance(p)
    with np.errstate(divide="ignore", over="ignore"):
        noise, signal = sigma / np.sqrt(variance), np.sqrt(variance) / sigma
        return variance / (1 + signal**2), 1 / (1 + noise**2), p * law.mean / (1 + signal**2)


def _keep_better(
    best: tuple[FloatArray, ...], index: npt.NDArray[np.intp], other: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    """Puts the other loss, scale and bias in the place of the best so far at `index`, where the loss is lower."""
    better = other[0] < best[0][index]
    for mine, theirs in zip(best, other, strict=True):
        mine[index[better]] = theirs[better]

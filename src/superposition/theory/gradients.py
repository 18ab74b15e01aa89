"""Derivatives of the optimal loss, by the envelope theorem: what capacity and sparsity are worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import elementwise

from superposition import _checks
from superposition._checks import LEAST_PROBABILITY, FloatArray
from superposition.features import Law
from superposition.theory.linear import noisy_ratio, zero_ratio_loss
from superposition.theory.optimum import Optimum, symmetric_optimum
from superposition.theory.rectified import Problem, Rectified
from superposition.theory.shapes import broadcast, law_or_default, plain

_FAR = 38.0


@dataclass(frozen=True)
class Gradients:
    """Derivatives of the symmetric optimum.

    Attributes:
        optimum: Where they are taken.
        ratio: dL/dr ≤ 0, squared feature units; −dL/dr is the price of capacity.
        probability: dL/dp, squared feature units.
        importance: dL/dM at M = 1, the loss itself: with a common importance M the loss is M L.
    """

    optimum: Optimum
    ratio: Any
    probability: Any
    importance: Any


def loss_gradients(ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Gradients:
    """Derivatives of the symmetric optimum with respect to ratio, probability and importance (exact).

    At the optimum the loss does not change with a and b to first order, so only the explicit dependence
    counts: dL/dr = −(v/r²) ∂L/∂σ² and dL/dp = L_on − L_off + (1/r − 1) v′(p) ∂L/∂σ², v = Var x.

    Where two minima have the same loss within rounding (1e-14 of it), one of them that of the best affine decoder, the
    derivatives are those of the latter. At r = 1, where loss and σ are 0, dL/dr is that from below: ∂L/∂σ² tends to
    the least of (1 − p) E ReLU(g + t)² + p (1 + κ t²) over t = b/σ, κ = Var u/E u².

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in [1e-15, 1); broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Gradients of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    >>> round(loss_gradients(0.25, 0.045).ratio, 6)
    -0.024472
    """
    law = law_or_default(law)
    r, p = broadcast(
        ratio=noisy_ratio(ratio),
        probability=_checks.in_interval("probability", probability, LEAST_PROBABILITY, 1, open_high=True),
    )
    best = symmetric_optimum(r, p, law)
    scale, bias, sigma = (np.ravel(value) for value in (best.scale, best.bias, best.noise_std))
    problem = Problem(sigma, p.ravel(), law)
    noisy = sigma > 0
    price = np.empty(r.size)
    price[noisy] = Problem(sigma[noisy], problem.probability[noisy], law).noise_price(scale[noisy], bias[noisy])
    price[~noisy] = _first_price(problem.probability[~noisy], law)
    difference = (problem.loss_on(scale, bias) - problem.loss_off(scale, bias)).reshape(r.shape)
    variance_slope = law.second_moment - 2 * p * law.mean**2
    # The price falls as r² where r is small: neither factor leaves float64.
    by_ratio = -(np.asarray(zero_ratio_loss(p, law)) / r) * (price.reshape(r.shape) / r)
    by_probability = difference + (1 / r - 1) * price.reshape(r.shape) * variance_slope
    return Gradients(best, plain(by_ratio), plain(by_probability), best.loss)


def _first_price(probability: FloatArray, law: Law) -> FloatArray:
    """Returns ∂L/∂(σ²) at σ = 0: the least of (1 − p) E ReLU(g + t)² + p (1 + κ t²).

    With a = 1 + cσ, an active feature loses σ² E (cu + t)² besides the noise, of which the best c leaves σ² κ t².
    Values of 0 are as good as inactive.
    """
    values, weights = law.nodes(0.0, 0.0)
    share = float(weights[values > 0].sum())
    p, kappa = probability * share, max(0.0, 1 - law.mean**2 / (share * law.second_moment))
    ones = np.ones(p.size)

    def slope(t: FloatArray, p: FloatArray) -> FloatArray:
        return np.asarray((1 - p) * Rectified.of(t, np.ones_like(t)).first + p * kappa * t)

    # It rises, to (1 − p) φ(0) at 0. Where κ is 0, and all values alike, it vanishes at −∞: where Φ does in float64.
    far = -_FAR * ones
    t = far
    if p.size:
        t = np.where(slope(far, p) < 0, elementwise.find_root(slope, (far, 0.0 * ones), args=(p,)).x, far)
    return np.asarray((1 - p) * Rectified.of(t, ones).second + p * (1 + kappa * t**2))

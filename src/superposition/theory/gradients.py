"""Derivatives of the optimal loss, by the envelope theorem: what capacity and sparsity are worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import LEAST_PROBABILITY
from superposition.features import Law
from superposition.theory.linear import LEAST_RATIO, noisy_ratio, zero_ratio_loss
from superposition.theory.optimum import Optimum, symmetric_optimum
from superposition.theory.rectified import Problem
from superposition.theory.shapes import broadcast, law_or_default, plain


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
    derivatives are those of the latter.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1).
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
        ratio=_checks.in_interval("ratio", noisy_ratio(ratio), LEAST_RATIO, 1, open_high=True),
        probability=_checks.in_interval("probability", probability, LEAST_PROBABILITY, 1, open_high=True),
    )
    best = symmetric_optimum(r, p, law)
    scale, bias, sigma = (np.ravel(value) for value in (best.scale, best.bias, best.noise_std))
    problem = Problem(sigma, p.ravel(), law)
    price = problem.noise_price(scale, bias).reshape(r.shape)
    difference = (problem.loss_on(scale, bias) - problem.loss_off(scale, bias)).reshape(r.shape)
    variance_slope = law.second_moment - 2 * p * law.mean**2
    # The price falls as r² where r is small: neither factor leaves float64.
    by_ratio = -(np.asarray(zero_ratio_loss(p, law)) / r) * (price / r)
    by_probability = difference + (1 / r - 1) * price * variance_slope
    return Gradients(best, plain(by_ratio), plain(by_probability), best.loss)

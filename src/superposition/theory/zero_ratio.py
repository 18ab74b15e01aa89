"""The limit of no width: the scale and the loss of a ReLU whose interference overwhelms the signal."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law
from superposition.features.smoothing import normal_density
from superposition.theory.shapes import broadcast, law_or_default, plain

# Of σ and of |β|: the squares of their ratios are numbers of float64.
_LEAST_NOISE, _LARGEST = 1e-75, 1e75
# Below −9 the tail's series has terms of 1e-16 before it diverges, above it cancellation leaves some 1e-12.
_SERIES_FROM, _TERMS = 9.0, 36


@dataclass(frozen=True)
class ZeroRatio:
    """A ReLU in interference that overwhelms the signal.

    Attributes:
        scale: a of eq. 8, to leading order in 1/σ.
        loss: Loss per feature in the limit σ → ∞ at this threshold over σ, squared feature units.
    """

    scale: Any
    loss: Any


def zero_ratio_relu(
    noise_std: npt.ArrayLike, threshold: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None
) -> ZeroRatio:
    """Best scale of a ReLU(x + ν + β) as r → 0, a = p E u E ReLU(ν + β)/E ReLU(ν + β)², and its loss there.

    To leading order in 1/σ at fixed β/σ; the remainder is O(σ⁻²), and not O(σ⁻¹), which a itself is. The loss,
    p E u² − (p E u)² (E ReLU(g + t))²/E ReLU(g + t)² with t = β/σ and g a standard normal, falls with t from p E u²
    to the best constant's, `zero_ratio_loss`.

    Args:
        noise_std: σ in [1e-75, 1e75], standard deviation of the interference ν, feature units.
        threshold: β = b/a in [−1e75, 1e75], feature units: the b of eq. 8 is divided by a.
        probability: Probability of being active, in (0, 1]; all three are broadcast.
        law: Law of active values; Uniform() if not given.

    Returns:
        ZeroRatio of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 8 and section 4.3.1; docs/theory.md, §7.3.

    >>> found = zero_ratio_relu(noise_std=10.0, threshold=0.0, probability=0.045)
    >>> round(found.scale, 8), round(found.loss, 8)
    (0.00179524, 0.01483886)
    """
    law = law_or_default(law)
    sigma, beta, p = broadcast(
        noise_std=_checks.in_interval("noise_std", noise_std, _LEAST_NOISE, _LARGEST),
        threshold=_checks.in_interval("threshold", threshold, -_LARGEST, _LARGEST),
        probability=_checks.probability(probability),
    )
    ratio, spread = _rectified_normal(beta / sigma)
    mean = p * law.mean
    return ZeroRatio(plain(mean / sigma * ratio), plain(law.sparse_variance(p) + mean**2 * spread))


def _rectified_normal(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns E y/E y² and Var y/E y² of y = ReLU(g + t), g a standard normal, each to full relative precision."""
    first, second, variance = np.empty(t.shape), np.empty(t.shape), np.empty(t.shape)
    far, above = t < -_SERIES_FROM, t >= 0
    near = ~far & ~above
    # Divided by φ(t): ∫ wⁿ exp(−w²/2 − |t| w) dw, in powers of 1/t².
    u, term = 1 / t[far] ** 2, np.ones(int(far.sum()))
    first[far], second[far] = 0.0, 0.0
    for k in range(_TERMS):
        first[far] += (2 * k + 1) * term
        second[far] += (2 * k + 1) * (2 * k + 2) * term
        term = -term * (2 * k + 1) * u
    first[far] *= u
    second[far] *= u / np.abs(t[far])
    variance[far] = second[far]  # the mean's square is exp(−t²/2) of it
    mass, density = ndtr(t[near]), normal_density(t[near])
    first[near] = density + t[near] * mass
    second[near] = (t[near] ** 2 + 1) * mass + t[near] * density
    variance[near] = second[near] - first[near] ** 2
    # By what is missing from g + t.
    mass, density = ndtr(-t[above]), normal_density(t[above])
    missing, missing_square = density - t[above] * mass, (t[above] ** 2 + 1) * mass - t[above] * density
    first[above] = t[above] + missing
    second[above] = t[above] ** 2 + 1 - missing_square
    variance[above] = 1 - missing_square - 2 * t[above] * missing - missing**2
    return first / second, variance / second

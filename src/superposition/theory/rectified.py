"""The mean-field loss of ReLU(a(x + ν) + b) with Gaussian interference ν, without cancellation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law, Uniform

_INVERSE_SQRT_TAU = 0.3989422804014327


@dataclass(frozen=True)
class Rectified:
    """Moments of ReLU(y) for y ~ N(mean, std²), elementwise.

    Attributes:
        active: P(y > 0) = Φ(mean/std).
        density: φ(mean/std).
        first: E ReLU(y), in units of y.
        second: E ReLU(y)², in units of y².
    """

    active: FloatArray
    density: FloatArray
    first: FloatArray
    second: FloatArray

    @classmethod
    def of(cls, mean: FloatArray, std: FloatArray) -> "Rectified":
        """Returns the moments; std ≥ 0, and 0 means no noise."""
        # Beyond ±40 both tails are zero in float64; the clip keeps squares finite, also for std = 0.
        with np.errstate(over="ignore"):
            t = np.clip(mean / np.maximum(std, 1e-300), -40.0, 40.0)
        active = ndtr(t)
        density = _INVERSE_SQRT_TAU * np.exp(-t * t / 2)
        first = mean * active + std * density
        second = (mean**2 + std**2) * active + mean * std * density
        return cls(active, density, first, second)


def loss_and_slope(
    scale: FloatArray, bias: FloatArray, noise_std: FloatArray, probability: FloatArray, law: Law
) -> tuple[FloatArray, FloatArray]:
    """Returns L(a, b, σ) and ½ ∂L/∂b, both as sums of terms that do not cancel; scale > 0, arguments broadcast."""
    std = scale * noise_std
    off = Rectified.of(bias, std)
    values, weights = law.nodes(-bias / scale, noise_std)
    on = Rectified.of(scale[..., None] * values + bias[..., None], std[..., None])
    # The error of an active feature: all of u if the ReLU is off, else miss − std·g with g > −mean/std.
    mean = scale[..., None] * values + bias[..., None]
    miss = values - mean
    spread = std[..., None]
    error = values**2 * (1 - on.active) + (miss**2 + spread**2) * on.active - (2 * miss + mean) * spread * on.density
    loss_on = (weights * error).sum(-1)
    slope_on = (weights * (spread * on.density - miss * on.active)).sum(-1)
    loss = (1 - probability) * np.maximum(off.second, 0) + probability * loss_on
    slope = (1 - probability) * np.maximum(off.first, 0) + probability * slope_on
    return loss, slope


def best_scale(threshold: FloatArray, noise_std: FloatArray, probability: FloatArray, law: Law) -> FloatArray:
    """Returns the optimal a of a·ReLU(x + ν + β) at a given β = b/a (eq. 13); arguments broadcast."""
    off = Rectified.of(threshold, noise_std)
    values, weights = law.nodes(-threshold, noise_std)
    on = Rectified.of(values + threshold[..., None], noise_std[..., None])
    correlation = probability * (weights * values * on.first).sum(-1)
    power = (1 - probability) * np.maximum(off.second, 0) + probability * (weights * on.second).sum(-1)
    return np.asarray(correlation / np.maximum(power, 1e-300))


def relu_loss(
    scale: npt.ArrayLike,
    bias: npt.ArrayLike,
    noise_std: npt.ArrayLike,
    probability: npt.ArrayLike,
    law: Law | None = None,
) -> Any:
    """Mean-field loss per feature, E (x − ReLU(a(x + ν) + b))² with ν ~ N(0, σ²) (exact given Gaussian ν).

    Args:
        scale: Diagonal a of W, > 0.
        bias: b, with the mean of the interference absorbed; in feature units.
        noise_std: σ ≥ 0, standard deviation of the interference ν, in feature units.
        probability: Probability of being active, in (0, 1].
        law: Law of active values; Uniform() if not given.

    Returns:
        Loss in squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range or not finite.

    Reference: The Persian Rug, eq. 5.

    >>> round(relu_loss(1.28921, -0.44583, 0.20852, 0.045), 8)
    0.00485573
    """
    a = _checks.finite("scale", scale)
    if not (a > 0).all():
        raise ValueError(f"`scale` must be positive, got {float(a.min()):g}: the mean-field form needs a > 0")
    b = _checks.finite("bias", bias)
    sigma = _checks.finite("noise_std", noise_std, non_negative=True)
    a, b, sigma, p = np.broadcast_arrays(a, b, sigma, _checks.probability(probability))
    loss = loss_and_slope(a, b, sigma, p, law or Uniform())[0]
    return float(loss) if loss.ndim == 0 else loss

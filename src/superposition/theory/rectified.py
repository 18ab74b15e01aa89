"""The mean-field loss of ReLU(a(x + ν) + b) with Gaussian interference ν, without cancellation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law
from superposition.features.smoothing import normal_density, standardised
from superposition.theory.shapes import broadcast, law_or_default, plain

# Of σ, b, a σ and a u, whose squares are numbers of float64; its square, of b/a, which has none.
_MOST = 1e150
# A density below it is that of nowhere.
_NO_DENSITY = 1e-300


@dataclass(frozen=True)
class Rectified:
    """Moments of ReLU(y) for y ~ N(mean, std²), elementwise.

    Attributes:
        active: P(y > 0).
        first: E ReLU(y), in units of y.
        second: E ReLU(y)², in units of y².
    """

    active: FloatArray
    first: FloatArray
    second: FloatArray

    @classmethod
    def of(cls, mean: FloatArray, std: FloatArray) -> "Rectified":
        """Returns the moments; std ≥ 0, and 0 means no noise."""
        t = standardised(mean, std)
        active, density = ndtr(t), normal_density(t)
        first = mean * active + std * density
        second = (mean**2 + std**2) * active + mean * std * density
        # In the far lower tail the two terms cancel to less than rounding; both moments are positive.
        return cls(active, np.maximum(first, 0.0), np.maximum(second, 0.0))


@dataclass(frozen=True)
class Problem:
    """The mean-field problem at given interference: arrays of one shape with at least one axis.

    Attributes:
        noise_std: σ, feature units.
        probability: p.
        law: Law of active values.
    """

    noise_std: FloatArray
    probability: FloatArray
    law: Law

    def best_scale_and_slope(self, threshold: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns the optimal a at β = b/a (eq. 13), and ½ ∂L/∂b there."""
        off, on = Rectified.of(threshold, self.noise_std), self.law.smoothed(threshold, self.noise_std)
        p, std = self.probability, self.noise_std
        correlation = on.active_uu + threshold * on.active_u + std * on.density_u
        power = (
            on.active_uu
            + 2 * threshold * on.active_u
            + (threshold**2 + std**2) * on.active
            + std * (on.density_u + threshold * on.density)
        )
        scale = p * correlation / np.maximum((1 - p) * off.second + p * power, 1e-300)
        slope = scale * (std * on.density + threshold * on.active) - (1 - scale) * on.active_u
        return scale, (1 - p) * scale * off.first + p * slope

    def loss(self, scale: FloatArray, bias: FloatArray) -> FloatArray:
        """Returns L(a, b, σ) as a sum of terms that do not cancel."""
        return (1 - self.probability) * self.loss_off(scale, bias) + self.probability * self.loss_on(scale, bias)

    def noise_price(self, scale: FloatArray, bias: FloatArray) -> FloatArray:
        """Returns ∂L/∂(σ²) at fixed a and b: what one unit of interference variance costs.

        By the heat equation ∂E f(m + s g)/∂(s²) = ½ E f″, f(y) = (x − ReLU(y))²; f″ is 2 where y > 0, and the
        kink adds −2x δ(y).
        """
        std = scale * self.noise_std
        on = self.law.smoothed(np.asarray(bias / scale), self.noise_std)
        off = Rectified.of(bias, std).active
        p = self.probability
        return np.asarray(scale**2 * ((1 - p) * off + p * (on.active - on.density_u / std)))

    def loss_off(self, scale: FloatArray, bias: FloatArray) -> FloatArray:
        """Returns E ReLU(aν + b)², the loss of an inactive feature."""
        return Rectified.of(bias, scale * self.noise_std).second

    def loss_on(self, scale: FloatArray, bias: FloatArray) -> FloatArray:
        """Returns the loss of an active feature, E_r + E_ν.

        It is u² where the ReLU is off, and (m − s g)² where it is on, with m = (1 − a)u − b missed even without
        noise, s = aσ, and g the noise, above −(au + b)/s.
        """
        return self.loss_silent(scale, bias) + self.loss_heard(scale, bias)

    def loss_silent(self, scale: FloatArray, bias: FloatArray) -> FloatArray:
        """Returns E[u²; silent], of an active feature whose ReLU is off."""
        return self.law.silent_second_moment(np.asarray(bias / scale), self.noise_std)

    def loss_heard(self, scale: FloatArray, bias: FloatArray) -> FloatArray:
        """Returns E[(m − s g)²; on], of an active feature whose ReLU is on."""
        s, threshold = scale * self.noise_std, np.asarray(bias / scale)
        on = self.law.smoothed(threshold, self.noise_std)
        distorted = self.law.distortion(1 - scale, bias, threshold, self.noise_std)
        # The density is never quite 0, and a bias may be of any size.
        density = np.where(on.density > _NO_DENSITY, on.density, 0.0)
        return distorted + s * (s * on.active - (2 - scale) * on.density_u + bias * density)


@dataclass(frozen=True)
class LossParts:
    """The mean-field loss by where it comes from: L = (1 − p) off + p (rectified + noise), squared feature units.

    Attributes:
        off: E ReLU(aν + b)², of an inactive feature.
        rectified: E_r = E[u²; the ReLU is off], of an active one: what the ReLU cuts off.
        noise: E_ν = E[(u − a(u + ν) − b)²; the ReLU is on]: what the interference, scale and bias do.
    """

    off: Any
    rectified: Any
    noise: Any

    @property
    def ratio(self) -> Any:
        """E_r/E_ν; NaN where an active feature has no error at all."""
        rectified, noise = np.asarray(self.rectified, float), np.asarray(self.noise, float)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return plain(rectified / noise)


def relu_loss(
    scale: npt.ArrayLike,
    bias: npt.ArrayLike,
    noise_std: npt.ArrayLike,
    probability: npt.ArrayLike,
    law: Law | None = None,
) -> Any:
    """Mean-field loss per feature, E (x − ReLU(a(x + ν) + b))² with ν ~ N(0, σ²) (exact given Gaussian ν).

    Args:
        scale: Diagonal a of W, > 0; a σ and a times the largest value of the law at most 1e150, |b|/a at most 1e300.
        bias: b in [−1e150, 1e150], with the mean of the interference absorbed; in feature units.
        noise_std: σ in [0, 1e150], standard deviation of the interference ν, in feature units.
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
    a, b, problem = _problem(scale, bias, noise_std, probability, law)
    return plain(problem.loss(a.ravel(), b.ravel()).reshape(a.shape))


def loss_parts(
    scale: npt.ArrayLike,
    bias: npt.ArrayLike,
    noise_std: npt.ArrayLike,
    law: Law | None = None,
) -> LossParts:
    """The parts of `relu_loss`: of inactive features, of what the ReLU cuts off, and of noise (exact given Gaussian ν).

    At a = 1 the last two are E_r and E_ν of the paper, the error of an active feature that comes of the ReLU and of the
    interference. At small σ, with b = −τσ and the law Uniform(0, 1), E_r ≈ σ³ E(τ + g)₊³/3 and E_ν ≈ σ² (1 + τ²):
    E_r/E_ν vanishes with τσ.

    Args:
        scale: Diagonal a of W, > 0; as for `relu_loss`.
        bias: b in [−1e150, 1e150], with the mean of the interference absorbed; in feature units.
        noise_std: σ in [0, 1e150], standard deviation of the interference ν, in feature units.
        law: Law of active values; Uniform() if not given.

    Returns:
        LossParts of the broadcast shape.

    Raises:
        ValueError: An argument is out of range or not finite.

    Reference: The Persian Rug, appendix C (E_r and E_ν) and E.1 (off term).

    >>> parts = loss_parts(1.0, -0.4, 0.2)
    >>> round(parts.rectified, 5), round(parts.noise, 5), round(parts.ratio, 3)
    (0.03726, 0.08805, 0.423)
    """
    a, b, problem = _problem(scale, bias, noise_std, 1.0, law)
    of = (problem.loss_off, problem.loss_silent, problem.loss_heard)
    return LossParts(*(plain(np.asarray(part(a.ravel(), b.ravel())).reshape(a.shape)) for part in of))


def _problem(
    scale: npt.ArrayLike, bias: npt.ArrayLike, noise_std: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None
) -> tuple[FloatArray, FloatArray, Problem]:
    """Returns checked scale and bias of one shape, and the problem, flat."""
    a = _checks.finite("scale", scale)
    if not (a > 0).all():
        raise ValueError(f"`scale` must be positive, got {float(a.min()):g}: the mean-field form needs a > 0")
    law = law_or_default(law)
    b = _checks.in_interval("bias", _checks.finite("bias", bias), -_MOST, _MOST)
    sigma = _checks.in_interval("noise_std", _checks.finite("noise_std", noise_std, non_negative=True), 0, _MOST)
    a, b, sigma, p = broadcast(scale=a, bias=b, noise_std=sigma, probability=_checks.probability(probability))
    with np.errstate(over="ignore"):
        derived = {"scale times noise_std": a * sigma, "scale times the largest value": a * law.support[1]}
        threshold = b / a
    for name, value in derived.items():
        _checks.in_interval(name, value, 0, _MOST)
    _checks.in_interval("bias over scale", threshold, -(_MOST**2), _MOST**2)
    return a, b, Problem(sigma.ravel(), p.ravel(), law)

"""Explicit bounds of the symmetric optimum, and its scaling at high sparsity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law
from superposition.features.smoothing import normal_density
from superposition.theory.linear import minimal_noise_variance
from superposition.theory.optimum import symmetric_optimum
from superposition.theory.posterior import bayes_loss, oracle_support_loss
from superposition.theory.rectified import LossParts, relu_loss
from superposition.theory.shapes import broadcast, plain

# Of σ and b, whose squares are numbers of float64.
_MOST = 1e150


def upper_bound(ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Loss of the ansatz a = 1, b = −σ√(2 log 1/p) at the least noise: a bound from above, valid everywhere.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in (0, 1]; broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, appendices C and E.1, eq. 9.

    >>> upper_bound(0.25, 0.045) > symmetric_optimum(0.25, 0.045).loss
    True
    """
    r, p = broadcast(ratio=_checks.ratio(ratio), probability=_checks.probability(probability))
    sigma = np.sqrt(minimal_noise_variance(r, p, law))
    return relu_loss(1.0, -sigma * np.sqrt(-2 * np.log(p)), sigma, p, law)


def explicit_upper_bound(ratio: npt.ArrayLike, probability: npt.ArrayLike) -> Any:
    """Upper bound in elementary functions, p σ² (2λ + 3/2) + p σ³ (τ³ + 3τ + √(2/π))/3, for Uniform(0, 1) values.

    λ = log(1/p), τ = √(2λ), σ² the least variance of the interference. It is the paper's O(p²/r log(1/p)) with its
    constants, holds for all p and r, and is above `upper_bound`, the loss of the ansatz itself. Where it exceeds the
    loss of the constant prediction it says nothing.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in (0, 1]; broadcast with `ratio`.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: docs/theory.md, eq. 12; The Persian Rug, eq. 9, 14 and 24.

    >>> round(explicit_upper_bound(0.25, 0.045), 6), round(upper_bound(0.25, 0.045), 6)
    (0.018296, 0.007915)
    """
    r, p = broadcast(ratio=_checks.ratio(ratio), probability=_checks.probability(probability))
    sigma = np.sqrt(minimal_noise_variance(r, p))
    tau = np.sqrt(-2 * np.log(p))
    cut = sigma**3 / 3 * (tau**3 + 3 * tau + np.sqrt(2 / np.pi))
    return plain(np.asarray(p * (sigma**2 * (tau**2 + 1.5) + cut)))


def loss_parts_bound(noise_std: npt.ArrayLike, bias: npt.ArrayLike) -> LossParts:
    """The paper's bounds of the parts of the loss at a = 1 and b ≤ 0, for Uniform(0, 1) values.

    E ReLU(ν + b)² ≤ σ²/2 exp(−b²/2σ²); E_r ≤ ∫ u² du up to 2|b|, where the mean is cut off, + (1 − 2|b|) Φ(−|b|/σ), the
    tail at all other values; E_ν ≤ σ² + b². Each holds for all σ and b ≤ 0.

    Args:
        noise_std: σ in [0, 1e150], feature units.
        bias: b in [−1e150, 0], feature units; broadcast with `noise_std`.

    Returns:
        LossParts of bounds, of the broadcast shape; see `loss_parts`.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 22 and appendix C.

    >>> bound = loss_parts_bound(0.2, -0.4)
    >>> round(bound.off, 5), round(bound.rectified, 5), round(bound.noise, 5)
    (0.00271, 0.17522, 0.2)
    """
    sigma, b = broadcast(
        noise_std=_checks.in_interval("noise_std", noise_std, 0, _MOST),
        bias=_checks.in_interval("bias", bias, -_MOST, 0),
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        steps = np.where(b < 0, -b / sigma, 0.0)  # infinite without noise
        tail, decay = ndtr(-steps), np.exp(-(steps**2) / 2)
    end = np.minimum(-2 * b, 1.0)
    return LossParts(
        plain(np.asarray(sigma**2 / 2 * decay)),
        plain(np.asarray(end**3 / 3 + (1 - end) * tail)),
        plain(np.asarray(sigma**2 + b**2)),
    )


def lower_bound(noise_std: npt.ArrayLike, probability: npt.ArrayLike) -> Any:
    """The paper's explicit bound from below, p C σ² P[σ ≤ u + ν ≤ 1 − σ], for Uniform(0, 1) values.

    C = P[|g| ≤ 1] Var[g | |g| ≤ 1] = 0.1987 for a standard normal g. It is below `oracle_support_loss`, and 0
    for σ ≥ ½.

    Args:
        noise_std: σ ≥ 0, feature units.
        probability: Probability of being active, in (0, 1]; broadcast with `noise_std`.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 29-33.

    >>> lower_bound(0.2, 0.045) < 0.0012
    True
    """
    sigma, p = broadcast(
        noise_std=_checks.finite("noise_std", noise_std, non_negative=True),
        probability=_checks.probability(probability),
    )
    inside = 1 - 2 * normal_density(np.array(1.0)) / (2 * ndtr(1.0) - 1)
    constant = (2 * ndtr(1.0) - 1) * inside
    # Below 1e-100 the mass is 1, and 1/σ has a square.
    safe = np.clip(np.where(sigma > 0, sigma, 0.5), 1e-100, 0.5)
    # ∫ Φ(y/σ) − Φ((y − 1)/σ) over y in [σ, 1 − σ], by the antiderivative σ(zΦ + φ).
    high, low = (1 - safe) / safe, np.ones_like(safe)
    mass = safe * (_ramp(high) - _ramp(low) - _ramp(-low) + _ramp(-high))
    return plain(np.where(sigma < 0.5, p * constant * np.minimum(sigma, 0.5) ** 2 * mass, 0.0))


@dataclass(frozen=True)
class Scaling:
    """The symmetric optimum beside its predicted scaling.

    Attributes:
        loss: Loss per feature over the grid, squared feature units.
        p2_over_r: p²/r.
        p2_over_r_log: p²/r log(1/p), the order of the upper bound.
        probability_exponent: ∂ log loss / ∂ log p, least squares over the grid; NaN for one probability.
        ratio_exponent: ∂ log loss / ∂ log r, likewise.
        spread: Root mean square deviation of log loss from the fit.
    """

    loss: FloatArray
    p2_over_r: FloatArray
    p2_over_r_log: FloatArray
    probability_exponent: float
    ratio_exponent: float
    spread: float


def scaling(probability: npt.ArrayLike, ratio: npt.ArrayLike, law: Law | None = None) -> Scaling:
    """Loss, p²/r and p²/r·log(1/p) over a grid, with fitted exponents; the claim is loss ~ p²/r for p ≪ r ≪ 1.

    Args:
        probability: Probabilities, in [1e-15, 1).
        ratio: Ratios, in [1e-100, 1); broadcast with `probability` (give them crossed axes for a grid).
        law: Law of active values; Uniform() if not given.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, section 4.3 and appendix I.

    >>> import numpy as np
    >>> found = scaling(np.geomspace(1e-4, 1e-3, 4)[:, None], np.geomspace(0.05, 0.1, 4))
    >>> round(found.probability_exponent, 1), round(found.ratio_exponent, 1)
    (1.9, -1.1)
    """
    p, r = broadcast(
        probability=_checks.in_interval("probability", probability, 0, 1, open_low=True, open_high=True),
        ratio=_checks.in_interval("ratio", ratio, 0, 1, open_low=True, open_high=True),
    )
    if not p.size:
        raise ValueError(f"`probability` and `ratio` must not be empty, got shape {p.shape}")
    loss = np.asarray(symmetric_optimum(r, p, law).loss)
    columns = {"p": np.log(p).ravel(), "r": np.log(r).ravel()}
    varied = [name for name, values in columns.items() if np.ptp(values) > 0]
    design = np.column_stack([np.ones(p.size), *(columns[name] for name in varied)])
    solution = np.linalg.lstsq(design, np.log(loss).ravel(), rcond=None)[0]
    exponents = dict(zip(varied, solution[1:], strict=True))
    residual = np.log(loss).ravel() - design @ solution
    return Scaling(
        loss=loss,
        p2_over_r=p**2 / r,
        p2_over_r_log=p**2 / r * np.log(1 / p),
        probability_exponent=float(exponents.get("p", np.nan)),
        ratio_exponent=float(exponents.get("r", np.nan)),
        spread=float(np.sqrt(np.mean(residual**2))),
    )


@dataclass(frozen=True)
class LossBounds:
    """The symmetric optimum between its bounds, at the least noise: each at most the next, but for the first two.

    Attributes:
        lower: The paper's explicit bound (E.2), 0 where the noise is ½ or more.
        oracle_support: Of a decoder that knows which features are active.
        bayes: Of the best elementwise decoder.
        mean_field: Of the ReLU with the best scale and bias.
        upper: Of an explicit scale and bias (E.1).
    """

    lower: Any
    oracle_support: Any
    bayes: Any
    mean_field: Any
    upper: Any


def loss_bounds(ratio: npt.ArrayLike, probability: npt.ArrayLike) -> LossBounds:
    """Returns all bounds for Uniform(0, 1) values, loss per feature in squared feature units.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in [1e-15, 1]; broadcast with `ratio`.

    Raises:
        ValueError: An argument is out of range.

    >>> bounds = loss_bounds(0.25, 0.045)
    >>> bounds.lower < bounds.oracle_support < bounds.bayes < bounds.mean_field < bounds.upper
    True
    """
    best = symmetric_optimum(ratio, probability)
    return LossBounds(
        lower_bound(best.noise_std, probability),
        oracle_support_loss(best.noise_std, probability),
        bayes_loss(best.noise_std, probability),
        best.loss,
        upper_bound(ratio, probability),
    )


def welch_bound(n_features: int, n_hidden: int) -> float:
    """Least possible largest coherence of n_features unit vectors in n_hidden dimensions (bound from below).

    √((n − m)/(m (n − 1))); attained by equiangular tight frames only.

    Raises:
        ValueError: A size is not valid.

    >>> round(welch_bound(512, 128), 5)
    0.07662
    """
    n = _checks.whole_number("n_features", n_features)
    m = _checks.hidden_width(n_hidden, n)
    return float(np.sqrt((n - m) / (m * (n - 1)))) if n > 1 else 0.0


def _ramp(z: FloatArray) -> FloatArray:
    return np.asarray(z * ndtr(z) + normal_density(z))

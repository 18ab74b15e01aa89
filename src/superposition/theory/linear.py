"""Second-order theory: the constant, the linear optimum and the least interference variance."""

from typing import Any

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Features, Law
from superposition.theory.shapes import broadcast, law_or_default, plain

# Of the ratio: with the largest law's variance over it, the noise variance is a number of float64 and so is its root's
# square.
LEAST_RATIO = 1e-100


def zero_ratio_loss(probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Loss per feature of the best constant prediction, Var x = p E u² − (p E u)²; the limit r → 0 (exact).

    Args:
        probability: Probability of being active, in (0, 1]; any shape.
        law: Law of active values; Uniform() if not given.

    Returns:
        Loss in squared feature units, of the shape of `probability`.

    Raises:
        ValueError: A probability is outside (0, 1].

    Reference: The Persian Rug, section 4.3.1, with the O(p²) made exact.

    >>> round(zero_ratio_loss(0.045), 10)
    0.01449375
    """
    return plain(law_or_default(law).sparse_variance(_checks.probability(probability)))


def linear_loss(
    ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None, *, hidden_noise: npt.ArrayLike = 0.0
) -> Any:
    """Loss per feature of the best linear autoencoder, (1 − r/(1 + ω²)) Var x (exact for every size).

    Args:
        ratio: n_hidden / n_features, in (0, 1].
        probability: Probability of being active, in (0, 1]; broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.
        hidden_noise: ω in [0, 1e15]: standard deviation of noise on every hidden unit, over that of the units without
            it (root mean square over units).

    Returns:
        Loss in squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, section 2 (principal components).

    >>> round(linear_loss(0.25, 0.045), 10)
    0.0108703125
    """
    r, p, noise = broadcast(
        ratio=_checks.ratio(ratio),
        probability=_checks.probability(probability),
        hidden_noise=_checks.hidden_noise(hidden_noise),
    )
    return plain((1 - r + noise**2) / (1 + noise**2) * zero_ratio_loss(p, law))


def weighted_linear_loss(features: Features, n_hidden: int, *, hidden_noise: float = 0.0) -> float:
    """Loss per feature of the best linear autoencoder of any features, probabilities and importances (exact).

    Principal components of √M_i x_i: the n_hidden directions of largest variance are kept whole, the others are
    replaced by their means. Of independent features these are the features of largest M_i Var x_i. `n_hidden` 0 gives
    the best constant prediction. With noise on the hidden units, directions get shares of the units' variance by
    water-filling.

    Args:
        features: Any.
        n_hidden: Width of the bottleneck, in [0, n_features].
        hidden_noise: ω in [0, 1e15]: standard deviation of noise on every hidden unit, over that of the units without
            it (root mean square over units).

    Raises:
        ValueError: An argument is out of its range.

    Reference: Lee and Petersen 1976, "Optimal linear coding for vector channels".
    """
    _checks.instance("features", features, Features, "features such as SparseFeatures")
    n_hidden = _checks.whole_number("n_hidden", n_hidden, low=0, high=features.n_features)
    covariance = features.covariance
    with np.errstate(over="ignore"):
        if covariance is None:
            lost = np.sort(features.per_feature(features.importance * features.variance))
        else:
            root = np.sqrt(features.per_feature(features.importance))
            lost = np.linalg.eigvalsh(root[:, None] * covariance * root).clip(min=0)
        dropped = features.n_features - n_hidden
        noise = _lost_in_noise(lost[dropped:], _checks.one("hidden_noise", _checks.hidden_noise(hidden_noise)))
        loss = float((lost[:dropped].sum() + noise) / features.n_features)
    if not np.isfinite(loss):
        raise ValueError("`importance` times the variance must add up to a number of float64, got inf: use other units")
    return loss


def _lost_in_noise(variances: FloatArray, hidden_noise: float) -> float:
    """Returns what noise on as many hidden units costs directions of increasing variances, by water-filling.

    Of the units' variance, 1 on average, a direction gets s_k ≥ 0 with s_k + ω² ∝ √λ_k, and loses λ_k ω²/(s_k + ω²);
    those that would get less than nothing are left out.
    """
    if hidden_noise == 0:
        return 0.0
    noise, root = hidden_noise**2, np.sqrt(variances[::-1])
    total, level = np.cumsum(root), variances.size + noise * np.arange(1, variances.size + 1)
    # The direction that is the last of k gets something: true of the first ones and of no other.
    kept = int((root * level > noise * total).sum())
    if not kept:
        return float(variances.sum())
    return float(noise * total[kept - 1] ** 2 / level[kept - 1] + (root[kept:] ** 2).sum())


def minimal_noise_variance(
    ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None, *, hidden_noise: npt.ArrayLike = 0.0
) -> Any:
    """Least mean variance of ν for a rank-limited W with unit diagonal, Var x ((1 + ω²)/r − 1).

    A bound from below for every W; attained exactly by equal-norm tight frames such as the Persian Rug. ν is the
    interference and what comes of the noise on the hidden units.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in (0, 1]; broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.
        hidden_noise: ω in [0, 1e15]: standard deviation of noise on every hidden unit, over that of the units without
            it (root mean square over units).

    Returns:
        Variance of ν in squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 6 and 18; with noise, docs/theory.md, §4.

    >>> round(minimal_noise_variance(0.25, 0.045), 8)
    0.04348125
    """
    r, p, noise = broadcast(
        ratio=noisy_ratio(ratio),
        probability=_checks.probability(probability),
        hidden_noise=_checks.hidden_noise(hidden_noise),
    )
    return plain(zero_ratio_loss(p, law) * ((1 - r + noise**2) / r))


def noisy_ratio(ratio: npt.ArrayLike) -> FloatArray:
    """Returns a ratio, checked to be in [1e-100, 1]: below it the interference is no number of float64."""
    return _checks.in_interval("ratio", _checks.ratio(ratio), LEAST_RATIO, 1)

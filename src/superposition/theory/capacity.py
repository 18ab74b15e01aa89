"""The capacity theorem: how to share n_hidden dimensions among features of any importance and probability."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq, elementwise

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law, SparseFeatures, Uniform
from superposition.theory.gradients import loss_gradients
from superposition.theory.linear import zero_ratio_loss
from superposition.theory.optimum import optimal_relu, symmetric_optimum

_SCAN = np.concatenate([np.geomspace(1e-13, 0.02, 160), np.linspace(0.025, 0.995, 130)])
_NEAR_ONE = np.geomspace(1e-7, 1e-3, 60)
_TABLE = 1200


@dataclass(frozen=True)
class Allocation:
    """The optimal share of capacity, one entry a feature where an array is given.

    Attributes:
        capacity: h_i in [0, 1], with Σ h_i = n_hidden; 0 for a feature that is given up.
        noise_std: σ_i = √(v_i (1/h_i − 1)), feature units; inf for a feature that is given up.
        scale: a_i; 0 for a feature that is given up.
        bias: b_i with the mean of the interference absorbed; E x_i for a feature that is given up.
        loss: n⁻¹ Σ M_i ℓ_i(h_i), squared feature units.
        price: −d(n loss)/d n_hidden, what one more dimension would save.
        dropped: Number of features given up.
    """

    capacity: FloatArray
    noise_std: FloatArray
    scale: FloatArray
    bias: FloatArray
    loss: float
    price: float
    dropped: int


@dataclass(frozen=True)
class HullOptimum:
    """The mean-field optimum when features may be given up.

    Attributes:
        loss: Lower convex hull of ℓ(h) at h = ratio, squared feature units.
        kept: Fraction of features that keep a code.
        threshold: Capacity h below which a feature is better given up.
    """

    loss: Any
    kept: Any
    threshold: Any


def hull_optimum(ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> HullOptimum:
    """Mean-field optimum of symmetric features when some may be given up: the lower convex hull of ℓ(h).

    ℓ is concave for small h. Below the threshold where the chord from ℓ(0) touches ℓ it is better to keep
    a fraction of the features at the threshold and none of the others (exact as n → ∞).

    Args:
        ratio: n_hidden / n_features, in (0, 1].
        probability: Probability of being active, in (0, 1); broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.

    Raises:
        ValueError: An argument is out of range.

    >>> found = hull_optimum(0.1, 0.045)
    >>> bool(found.loss < symmetric_optimum(0.1, 0.045).loss), round(found.threshold, 3)
    (True, 0.162)
    """
    law = law or Uniform()
    r, p = np.broadcast_arrays(
        _checks.ratio(ratio), _checks.in_interval("probability", probability, 0, 1, open_low=True, open_high=True)
    )
    distinct, which = np.unique(p, return_inverse=True)
    threshold = _thresholds(distinct, law)[which].reshape(p.shape)
    kept = np.minimum(1.0, r / threshold)
    loss = kept * np.asarray(symmetric_optimum(np.maximum(r, threshold), p, law).loss)
    loss = loss + (1 - kept) * np.asarray(zero_ratio_loss(p, law))
    if r.ndim == 0:
        return HullOptimum(float(loss), float(kept), float(threshold))
    return HullOptimum(loss, kept, threshold)


def allocate(features: SparseFeatures, n_hidden: int) -> Allocation:
    """The best share of n_hidden dimensions among features, min Σ M_i ℓ_i(h_i) with Σ h_i = n_hidden.

    Within mean field this is the optimum over all weights of rank n_hidden: every 0 ≤ h ≤ 1 with that sum is
    attained by some W (Schur–Horn), and feature i then has Var ν_i = v_i (1/h_i − 1). One multiplier sets
    M_i ℓ_i′(h_i) for every feature that is kept; a feature is given up where the chord of its ℓ is not worth the
    price. In a class of equal features at that margin some are kept and some given up, a whole number of them.

    Equal features are grouped: time grows with the number of distinct (probability, importance) pairs.

    Args:
        features: Any probabilities in (0, 1) and importances.
        n_hidden: Number of dimensions, in [1, n_features].

    Returns:
        Allocation with arrays of shape (n_features,).

    Raises:
        ValueError: `n_hidden` is out of range, or a probability is 1.

    >>> import numpy as np
    >>> halves = np.repeat([1.0, 0.5], 200)
    >>> found = allocate(SparseFeatures(400, 0.04, importance=halves), n_hidden=100)
    >>> found.capacity[[0, -1]].round(3).tolist(), round(found.loss, 6)
    ([0.303, 0.197], 0.002844)
    """
    n_hidden = _checks.hidden_width(n_hidden, features.n_features)
    p, importance = features.per_feature(features.probability), features.per_feature(features.importance)
    _checks.in_interval("probability", p, 0, 1, open_low=True, open_high=True)
    classes, which, counts = np.unique(np.stack([p, importance]), axis=1, return_inverse=True, return_counts=True)
    market = _Market.of(classes[0], classes[1], counts, features.law)
    kept, price = market.clear(n_hidden)
    return _allocation(features, which, market, kept, price, n_hidden)


@dataclass(frozen=True)
class _Market:
    """Classes of equal features and their demand for capacity at a price.

    Attributes:
        importance: M of each class.
        counts: Number of features of each class.
        curve: Index of each class's curve.
        inverses: One a distinct probability: capacity as a function of log(−ℓ′), from 1 down to where ℓ turns concave.
        touching: Capacity at which the chord from ℓ(0) touches ℓ, and the chord's slope, for each curve.
    """

    importance: FloatArray
    counts: npt.NDArray[np.intp]
    curve: npt.NDArray[np.intp]
    inverses: tuple[PchipInterpolator, ...]
    touching: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, p: FloatArray, importance: FloatArray, counts: npt.NDArray[np.intp], law: Law) -> "_Market":
        distinct, curve = np.unique(p, return_inverse=True)
        thresholds = _thresholds(distinct, law)
        inverses, touching = [], []
        for probability, threshold in zip(distinct, thresholds, strict=True):
            # Denser towards h = 1, where the slope changes fastest on a logarithmic scale.
            grid = 1 - np.unique(np.concatenate([_NEAR_ONE, np.linspace(_NEAR_ONE[-1], 1 - threshold / 2, _TABLE)]))
            slopes = -np.asarray(loss_gradients(grid, probability, law).ratio)
            convex = int(np.argmax(np.append(np.diff(slopes) <= 0, True))) + 1
            inverses.append(PchipInterpolator(np.log(slopes[:convex]), grid[:convex]))
            touching.append((float(threshold), -float(loss_gradients(threshold, probability, law).ratio)))
        return cls(importance, counts, curve, tuple(inverses), tuple(touching))

    def clear(self, n_hidden: int) -> tuple[npt.NDArray[np.intp], float]:
        """Returns how many features of each class are kept, and the price at which n_hidden is shared out."""
        margins = self.importance * np.array([self.touching[index][1] for index in self.curve])
        valued = np.where(self.importance > 0, self.counts, 0)
        if valued.sum() <= n_hidden:
            return valued, 0.0
        low, high = 1e-12 * margins[margins > 0].min(), margins.max()
        while high / low > 1 + 1e-12:
            middle = float(np.sqrt(low * high))
            if self._demand(middle, np.where(margins > middle, valued, 0)) > n_hidden:
                low = middle
            else:
                high = middle
        kept = np.where(margins > high * (1 + 1e-9), valued, 0)
        # What the others leave goes to the classes at the margin, each kept feature at the touching capacity.
        for index in np.flatnonzero((valued > 0) & (kept == 0) & (margins >= low * (1 - 1e-9))):
            room = (n_hidden - self._demand(high, kept)) / self.touching[self.curve[index]][0]
            kept[index] = min(max(round(room), 0 if kept.any() else 1), self.counts[index])
        return kept, self._price(kept, n_hidden)

    def shares(self, price: float, kept: npt.NDArray[np.intp]) -> FloatArray:
        """Returns the capacity of each kept feature of a class at a price; 0 for a class of which none is kept."""
        shares = np.zeros(self.importance.size)
        for index, inverse in enumerate(self.inverses):
            mine = (self.curve == index) & (kept > 0)
            if mine.any():
                wanted = np.log(max(price, 1e-300) / self.importance[mine])
                logs = inverse.x
                inside = inverse(np.clip(wanted, logs[0], logs[-1]))
                shares[mine] = np.where(wanted < logs[0], 1.0, inside)
        return shares

    def _price(self, kept: npt.NDArray[np.intp], n_hidden: int) -> float:
        """Returns the price at which the kept features want n_hidden in all."""
        if kept.sum() <= n_hidden:
            return 0.0
        here = kept > 0
        steepest = np.exp([self.inverses[index].x[-1] for index in self.curve[here]])
        flattest = np.exp([self.inverses[index].x[0] for index in self.curve[here]])
        low, high = (flattest * self.importance[here]).min(), (steepest * self.importance[here]).max()

        def excess(log_price: float) -> float:
            return self._demand(float(np.exp(log_price)), kept) - n_hidden

        return float(np.exp(brentq(excess, np.log(low) - 1e-9, np.log(high), xtol=1e-14)))

    def _demand(self, price: float, kept: npt.NDArray[np.intp]) -> float:
        return float((kept * self.shares(price, kept)).sum())


def _thresholds(p: FloatArray, law: Law) -> FloatArray:
    """Returns, for each probability, the capacity at which the chord from ℓ(0) touches ℓ."""
    nothing = np.asarray(zero_ratio_loss(p, law))
    scanned = symmetric_optimum(_SCAN, p[:, None], law).loss
    steepest = np.argmax((nothing[:, None] - scanned) / _SCAN, axis=1)
    bracket = _SCAN[np.maximum(steepest - 1, 0)], _SCAN[np.minimum(steepest + 1, _SCAN.size - 1)]

    def falling(h: FloatArray, p: FloatArray) -> FloatArray:
        found = loss_gradients(h, p, law)
        return np.asarray(found.optimum.loss - h * found.ratio - zero_ratio_loss(p, law))

    root = elementwise.find_root(falling, bracket, args=(p,), tolerances={"xatol": 1e-13, "xrtol": 1e-12})
    return np.asarray(np.where(root.success, root.x, _SCAN[steepest]))


def _allocation(
    features: SparseFeatures,
    which: npt.NDArray[np.intp],
    market: _Market,
    kept: npt.NDArray[np.intp],
    price: float,
    n_hidden: int,
) -> Allocation:
    """Returns the allocation, feature by feature; of a class at the margin the first ones are kept."""
    shares = market.shares(price, kept)
    # Exactly n_hidden, and what nobody values is spread over the features of no importance.
    order = np.argsort(which, kind="stable")
    starts = np.concatenate([[0], np.cumsum(market.counts)[:-1]])
    rank = np.empty(which.size, dtype=np.intp)
    rank[order] = np.arange(which.size) - np.repeat(starts, market.counts)
    is_kept = rank < kept[which]
    capacity = np.where(is_kept, shares[which], 0.0)
    idle = n_hidden - capacity.sum()
    if idle > 1e-6:
        spare = ~is_kept
        capacity[spare] = idle / spare.sum()
        is_kept = capacity > 0
    p, v = features.per_feature(features.probability), features.per_feature(features.variance)
    sigma = np.sqrt(v * (1 / np.where(is_kept, capacity, 1.0) - 1))
    pairs, back = np.unique(np.stack([sigma, p]), axis=1, return_inverse=True)
    best = optimal_relu(pairs[0], pairs[1], features.law)
    mean = features.per_feature(features.mean)
    loss = np.where(is_kept, best.loss[back], v)
    return Allocation(
        capacity=capacity,
        noise_std=np.where(is_kept, sigma, np.inf),
        scale=np.where(is_kept, best.scale[back], 0.0),
        bias=np.where(is_kept, best.bias[back], mean),
        loss=float((features.per_feature(features.importance) * loss).mean()),
        price=price,
        dropped=int((~is_kept).sum()),
    )

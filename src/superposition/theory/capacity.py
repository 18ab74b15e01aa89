"""The capacity theorem: how to share n_hidden dimensions among features of any importance and probability."""

import bisect
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq, elementwise
from scipy.special import expit, logit

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law, SparseFeatures, Uniform
from superposition.theory.gradients import loss_gradients
from superposition.theory.linear import zero_ratio_loss
from superposition.theory.optimum import optimal_relu, symmetric_optimum
from superposition.theory.shapes import broadcast, plain

_SCAN = np.concatenate([np.geomspace(1e-13, 0.02, 160), np.linspace(0.025, 0.995, 130)])
# Capacities of a demand curve, as 1 − h: dense near h = 1, where the slope changes fastest on a logarithmic scale.
_NEAR_ONE = np.geomspace(1e-7, 1e-3, 60)
_AWAY_FROM_ONE = np.linspace(0, 1, 401)[1:]
_TABLE = 2049
_MOST_CURVES = 64
# The log price of what is not scarce.
_FREE = -1e300


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
    r, p = broadcast(
        ratio=_checks.ratio(ratio),
        probability=_checks.in_interval("probability", probability, 0, 1, open_low=True, open_high=True),
    )
    distinct, which = np.unique(p, return_inverse=True)
    threshold = _thresholds(distinct, law)[which].reshape(p.shape)
    kept = np.minimum(1.0, r / threshold)
    loss = kept * np.asarray(symmetric_optimum(np.maximum(r, threshold), p, law).loss)
    loss = loss + (1 - kept) * np.asarray(zero_ratio_loss(p, law))
    return HullOptimum(plain(loss), plain(kept), plain(threshold))


def allocate(features: SparseFeatures, n_hidden: int) -> Allocation:
    """The best share of n_hidden dimensions among features, min Σ M_i ℓ_i(h_i) with Σ h_i = n_hidden.

    Within mean field this is the optimum over all weights of rank n_hidden: every 0 ≤ h ≤ 1 with that sum is
    attained by some W (Schur–Horn), and feature i then has Var ν_i = v_i (1/h_i − 1). One multiplier sets
    M_i ℓ_i′(h_i) for every feature that is kept; a feature is given up where the chord of its ℓ is not worth the
    price. In a class of equal features at that margin some are kept and some given up, a whole number of them.

    Equal features are grouped: time grows with the number of distinct (probability, importance) pairs. Of more
    than 64 distinct probabilities the shares are interpolated, which costs some 1e-6 of the loss; the loss reported
    is that of the shares given.

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
    with np.errstate(divide="ignore"):
        market = _Market(np.log(classes[1]), counts, _Demand.of(classes[0], features.law))
    kept, log_price = market.clear(n_hidden)
    return _allocation(features, which, market, kept, log_price, n_hidden)


@dataclass(frozen=True)
class _Demand:
    """The capacity that a feature of importance 1 wants at a price, h with −ℓ′(h) = price, for several p.

    Tabulated, evenly in log(−ℓ′) from where h is 1 to where ℓ turns concave, at each p or, of many, at
    _MOST_CURVES between which it is linear in logit p. Errors of h count in the loss in second order only.

    Attributes:
        flattest: log(−ℓ′) at h = 1, one a p.
        steepest: log(−ℓ′) where ℓ turns concave, one a p.
        threshold: Capacity at which the chord from ℓ(0) touches ℓ, one a p.
        margin: log(−ℓ′) there: the dearest price worth paying, one a p.
        table: h, one row a curve.
        left: Row of the curve below each p.
        weight: Share of the curve above it, in [0, 1].
    """

    flattest: FloatArray
    steepest: FloatArray
    threshold: FloatArray
    margin: FloatArray
    table: FloatArray
    left: npt.NDArray[np.intp]
    weight: FloatArray

    @classmethod
    def of(cls, p: FloatArray, law: Law) -> "_Demand":
        distinct, place = np.unique(p, return_inverse=True)
        if distinct.size <= _MOST_CURVES:
            knots, left, weight = distinct, place, np.zeros(p.size)
        else:
            low, high = logit(distinct[[0, -1]])
            knots = expit(np.linspace(low, high, _MOST_CURVES))
            along = (logit(p) - low) / (high - low) * (_MOST_CURVES - 1)
            left = np.clip(along.astype(np.intp), 0, _MOST_CURVES - 2)
            weight = along - left
        threshold = _thresholds(knots, law)
        below_one = np.column_stack(
            [
                np.tile(_NEAR_ONE, (knots.size, 1)),
                _NEAR_ONE[-1] + np.outer(1 - _NEAR_ONE[-1] - threshold / 2, _AWAY_FROM_ONE),
            ]
        )
        logs = np.log(-np.asarray(loss_gradients(1 - below_one, knots[:, None], law).ratio))
        table = np.array([_inverted(row, 1 - missing) for row, missing in zip(logs, below_one, strict=True)])
        margin = np.log(-np.asarray(loss_gradients(threshold, knots, law).ratio))
        above = np.minimum(left + 1, knots.size - 1)
        flattest, steepest, threshold, margin = (
            (1 - weight) * values[left] + weight * values[above]
            for values in (logs[:, 0], logs.max(axis=1), threshold, margin)
        )
        return cls(flattest, steepest, threshold, margin, table, left, weight)

    def at(self, log_price: FloatArray) -> FloatArray:
        """Returns h for one price each."""
        along = np.clip((log_price - self.flattest) / (self.steepest - self.flattest), 0, 1) * (_TABLE - 1)
        column = np.minimum(along.astype(np.intp), _TABLE - 2)
        part, right = along - column, np.minimum(self.left + 1, len(self.table) - 1)

        def on(row: npt.NDArray[np.intp]) -> FloatArray:
            return np.asarray((1 - part) * self.table[row, column] + part * self.table[row, column + 1])

        return np.asarray((1 - self.weight) * on(self.left) + self.weight * on(right))


@dataclass(frozen=True)
class _Market:
    """Classes of equal features, what they want at a price, and the price at which it can be had.

    Attributes:
        log_importance: log M of each class; −inf for one that nobody values.
        counts: Number of features of each class.
        demand: Capacity wanted by a feature of each class, of importance 1.
    """

    log_importance: FloatArray
    counts: npt.NDArray[np.intp]
    demand: _Demand

    def clear(self, n_hidden: int) -> tuple[npt.NDArray[np.intp], float]:
        """Returns how many features of each class are kept, and the log price at which n_hidden is shared out."""
        margins = self.log_importance + self.demand.margin
        valued = np.where(np.isfinite(margins), self.counts, 0)
        if valued.sum() <= n_hidden:
            return valued, _FREE
        order = np.argsort(-margins, kind="stable")[: np.count_nonzero(valued)]

        def kept_before(place: int) -> npt.NDArray[np.intp]:
            kept = np.zeros_like(valued)
            kept[order[:place]] = valued[order[:place]]
            return kept

        def wanted(place: int) -> float:
            return self._wanted(margins[order[place]], kept_before(place))

        # The class at the margin: those before it fit in at the price at which it is given up, it does not wholly.
        place = bisect.bisect_right(range(order.size), float(n_hidden), key=wanted) - 1
        last, kept = order[place], kept_before(place)
        room = (n_hidden - wanted(place)) / self.demand.threshold[last]
        kept[last] = min(max(round(room), 0 if place else 1), self.counts[last])
        while self._wanted(np.inf, kept) > n_hidden:
            kept[last] -= 1
        return kept, self._price(kept, n_hidden)

    def shares(self, log_price: float, kept: npt.NDArray[np.intp]) -> FloatArray:
        """Returns the capacity of each kept feature of a class at a price; 0 for a class of which none is kept."""
        return np.where(kept > 0, self.demand.at(log_price - self.log_importance), 0.0)

    def _price(self, kept: npt.NDArray[np.intp], n_hidden: int) -> float:
        """Returns the log price at which the kept features want n_hidden in all."""
        if kept.sum() <= n_hidden:
            return _FREE
        here = kept > 0
        low = (self.demand.flattest + self.log_importance)[here].min()
        high = (self.demand.steepest + self.log_importance)[here].max()
        return float(brentq(lambda log_price: self._wanted(log_price, kept) - n_hidden, low, high, xtol=1e-14))

    def _wanted(self, log_price: float, kept: npt.NDArray[np.intp]) -> float:
        return float((kept * self.shares(log_price, kept)).sum())


def _inverted(logs: FloatArray, h: FloatArray) -> FloatArray:
    """Returns h at evenly spaced log(−ℓ′), from values at falling h; only where they rise can a market clear."""
    rises = np.append(True, logs[1:] > np.maximum.accumulate(logs)[:-1])
    inverse = PchipInterpolator(logs[rises], h[rises])
    return np.append(1.0, inverse(np.linspace(logs[0], logs.max(), _TABLE)[1:]))


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
    log_price: float,
    n_hidden: int,
) -> Allocation:
    """Returns the allocation, feature by feature; of a class at the margin the first ones are kept."""
    shares = market.shares(log_price, kept)
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
        price=float(np.exp(log_price)),
        dropped=int((~is_kept).sum()),
    )

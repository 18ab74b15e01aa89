"""The lower convex hull of ℓ(h), the mean-field loss of one feature at capacity h."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicHermiteSpline
from scipy.special import expit, logit

from superposition import _checks
from superposition._checks import LEAST_PROBABILITY, FloatArray
from superposition.features import Law
from superposition.theory.gradients import loss_gradients
from superposition.theory.linear import noisy_ratio, zero_ratio_loss
from superposition.theory.optimum import symmetric_optimum
from superposition.theory.shapes import broadcast, law_or_default, plain

# The grid in logit h: how far below log p it starts and turns fine, and the steps before, then and near h = 1.
_START, _FINE = 12.0, 5.0
_DEEP_STEP, _FINE_STEP, _NEAR_ONE_STEP = 0.2, 0.08, 0.25
_NEAR_ONE, _END = 5.0, 21.0
# Of v: below it, what rectifying gains over the linear decoder v(1 − h) is rounding.
_ROUNDING = 1e-12
# Relative to ℓ: a chord less deep than this is none, nor is one less deep than what ℓ is rounded to, which grows as
# σ² ≈ p (1 − h) E u² falls.
_SHALLOW, _NOISE = 1e-9, 3e-15
# Ends of chords, relative: the last of Newton's steps, whose square is left, how many at most, and the least that
# shows ℓ″.
_TANGENT, _NEWTON_STEPS, _RESOLVED = 1e-9, 10, 1e-6


@dataclass(frozen=True)
class HullOptimum:
    """The mean-field optimum of equal features when capacity may be shared unequally: at most two capacities.

    Attributes:
        loss: Lower convex hull of ℓ(h) at h = ratio, squared feature units.
        kept: Fraction of features that keep a code.
        threshold: Capacity h below which a feature is better given up.
        low: The smaller capacity; 0 where features are given up, `ratio` where all are alike.
        high: The larger capacity; 1 where features get a dimension of their own, `ratio` where all are alike.
        share: Fraction of features at `high`; 1 where all are alike.
    """

    loss: Any
    kept: Any
    threshold: Any
    low: Any
    high: Any
    share: Any


@dataclass(frozen=True)
class Hull:
    """ℓ(h) of one probability on a grid, and the chords of its lower convex hull.

    Attributes:
        nothing: ℓ(0) = v.
        h: Rising capacities, from where ℓ departs from v(1 − h) to next to 1.
        loss: ℓ there.
        log_slope: log(−ℓ′) there.
        low: Where the chords start, rising; 0 is the first.
        high: Where they end; 1 may be the last.
        low_loss: ℓ(low).
        high_loss: ℓ(high).
    """

    nothing: float
    h: FloatArray
    loss: FloatArray
    log_slope: FloatArray
    low: FloatArray
    high: FloatArray
    low_loss: FloatArray
    high_loss: FloatArray

    @property
    def shape(self) -> tuple[int, bool]:
        """The number of chords, and whether the last one ends at h = 1."""
        return self.low.size, bool(self.high[-1] == 1)

    @property
    def chord_log_slope(self) -> FloatArray:
        """Log of minus the slope of each chord, falling: the log prices at which the capacity demanded jumps."""
        return np.asarray(np.log(self.low_loss - self.high_loss) - np.log(self.high - self.low))

    def loss_at(self, h: FloatArray) -> FloatArray:
        """Returns ℓ for h in [0, 1], interpolated to some 1e-7 of it."""
        inside = np.exp(self._log_loss(logit(np.clip(h, self.h[0], self.h[-1]))))
        near_one = self.loss[-1] * (1 - h) / (1 - self.h[-1])
        return np.where(h < self.h[0], self.nothing * (1 - h), np.where(h > self.h[-1], near_one, inside))

    @cached_property
    def _log_loss(self) -> CubicHermiteSpline:
        by_logit = -np.exp(self.log_slope) * self.h * (1 - self.h) / self.loss
        return CubicHermiteSpline(logit(self.h), np.log(self.loss), by_logit)


def hull_optimum(ratio: npt.ArrayLike, probability: npt.ArrayLike, law: Law | None = None) -> HullOptimum:
    """Mean-field optimum of equal features that need not share alike: the lower convex hull of ℓ(h).

    ℓ is concave for small h. Below the threshold where the chord from ℓ(0) touches ℓ it is better to keep
    a fraction of the features at the threshold and none of the others (exact as n → ∞). Depending on law and
    probability there are chords further up: between two capacities, or from a capacity to h = 1, where some
    features get a dimension of their own. On a chord the optimum mixes its ends, `low` and `high`.

    Args:
        ratio: n_hidden / n_features, in [1e-100, 1].
        probability: Probability of being active, in [1e-15, 1); broadcast with `ratio`.
        law: Law of active values; Uniform() if not given.

    Raises:
        ValueError: An argument is out of range.

    >>> found = hull_optimum(0.1, 0.045)
    >>> bool(found.loss < symmetric_optimum(0.1, 0.045).loss), round(found.threshold, 3)
    (True, 0.162)
    """
    law = law_or_default(law)
    r, p = broadcast(
        ratio=noisy_ratio(ratio),
        probability=_checks.in_interval("probability", probability, LEAST_PROBABILITY, 1, open_high=True),
    )
    shape, r, p = r.shape, r.ravel(), p.ravel()
    loss = np.ravel(symmetric_optimum(r, p, law).loss)
    low, high, share, threshold = r.copy(), r.copy(), np.ones(r.size), np.empty(r.size)
    distinct, which, counts = np.unique(p, return_inverse=True, return_counts=True)
    places = np.split(np.argsort(which, kind="stable"), np.cumsum(counts)[:-1])
    for here, hull in zip(places, lower_hulls(distinct, law), strict=bool(r.size)):
        threshold[here] = hull.high[0]
        chord = np.minimum(np.searchsorted(hull.high, r[here]), hull.high.size - 1)
        mixed = (hull.low[chord] < r[here]) & (r[here] < hull.high[chord])
        here, chord = here[mixed], chord[mixed]
        low[here], high[here] = hull.low[chord], hull.high[chord]
        share[here] = (r[here] - low[here]) / (high[here] - low[here])
        loss[here] = share[here] * hull.high_loss[chord] + (1 - share[here]) * hull.low_loss[chord]
    kept = np.where(low == 0, share, 1.0)
    return HullOptimum(*(plain(value.reshape(shape)) for value in (loss, kept, threshold, low, high, share)))


def lower_hulls(p: FloatArray, law: Law) -> list[Hull]:
    """Returns the lower convex hull of ℓ for each of several probabilities in (0, 1)."""
    if not p.size:
        return []
    h, ends = _grids(p)
    found = loss_gradients(h, np.repeat(p, np.diff(ends, prepend=0)), law)
    slope = np.maximum(-np.asarray(found.ratio), 1e-300)
    nothing = np.asarray(zero_ratio_loss(p, law))
    rows = (np.split(values, ends[:-1]) for values in (h, np.asarray(found.optimum.loss), np.log(slope)))
    sampled = [_Sampled.of(*row) for row in zip(p, nothing, *rows, strict=True)]
    ends = np.cumsum([len(curve.chords) for curve in sampled])[:-1]
    touching = zip(*(np.split(values, ends) for values in _touching(sampled, law)), strict=True)
    return [
        Hull(curve.nothing, curve.h, curve.loss, curve.log_slope, *chords)
        for curve, chords in zip(sampled, touching, strict=True)
    ]


def _grids(p: FloatArray) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Returns rising h of all probabilities, one after another, and where each of them ends."""
    deep, near_one = np.arange(-_START, -_FINE, _DEEP_STEP), np.arange(_NEAR_ONE, _END, _NEAR_ONE_STEP)
    grids = []
    for log_p in np.log(p):
        start = log_p - _FINE
        steps = int(np.ceil((_NEAR_ONE - start) / _FINE_STEP))
        grids.append(np.concatenate([log_p + deep, np.linspace(start, _NEAR_ONE, steps, endpoint=False), near_one]))
    return expit(np.concatenate(grids)), np.cumsum([grid.size for grid in grids])


@dataclass(frozen=True)
class _Sampled:
    """ℓ on its grid, without the start where it is v(1 − h) but for rounding, and the hull of these points.

    Chords are pairs of places on the grid with h = 0 before it and h = 1 behind it.
    """

    p: float
    nothing: float
    h: FloatArray
    loss: FloatArray
    log_slope: FloatArray
    chords: list[tuple[int, int]]

    @classmethod
    def of(cls, p: float, nothing: float, h: FloatArray, loss: FloatArray, log_slope: FloatArray) -> "_Sampled":
        bent = (h >= 0.5) | (nothing * (1 - h) - loss > _ROUNDING * nothing)
        first = int(np.argmax(bent))
        h, loss, log_slope, bent = h[first:], loss[first:], log_slope[first:], bent[first:]
        x, y = np.concatenate([[0.0], h, [1.0]]), np.concatenate([[nothing], loss, [0.0]])
        places = np.flatnonzero(np.pad(bent, 1, constant_values=True))
        corners = places[_lower_corners(x[places].tolist(), y[places].tolist())].tolist()
        chords = [
            (left, right)
            for left, right in itertools.pairwise(corners)
            if left == 0 or (right > left + 1 and _is_deep(x[left : right + 1], y[left : right + 1], p))
        ]
        return cls(p, nothing, h, loss, log_slope, chords)


def _lower_corners(x: list[float], y: list[float]) -> list[int]:
    """Returns the places of the corners of the lower convex hull of points at rising x."""
    corners: list[int] = []
    for k in range(len(x)):
        while len(corners) > 1:
            i, j = corners[-2:]
            if (y[j] - y[i]) / (x[j] - x[i]) < (y[k] - y[j]) / (x[k] - x[j]):
                break
            corners.pop()
        corners.append(k)
    return corners


def _is_deep(x: FloatArray, y: FloatArray, p: float) -> bool:
    """Returns whether points between lie above the chord from the first to the last by more than rounding."""
    chord = y[-1] + (y[0] - y[-1]) * (x[-1] - x[1:-1]) / (x[-1] - x[0])
    return bool((y[1:-1] - chord > (_SHALLOW + _NOISE / np.sqrt(p * (1 - x[1:-1]))) * y[1:-1]).any())


def _touching(sampled: list[_Sampled], law: Law) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Returns where the chords of all curves touch ℓ, low and high, and ℓ there.

    The end of a chord is where the tangent of ℓ goes through its other end: a root, found by Newton's steps with ℓ″
    from the last two slopes, next to the place on the grid. Both ends may move at once, as an error of the other
    end counts in second order: the chord is tangent there too.
    """
    curves = [curve for curve in sampled for _ in curve.chords]
    p, nothing = np.array([curve.p for curve in curves]), np.array([curve.nothing for curve in curves])
    capacity = np.concatenate([np.pad(curve.h, 1, constant_values=(0.0, 1.0)) for curve in sampled])
    slopes = np.concatenate([np.pad(-np.exp(curve.log_slope), 1, constant_values=np.nan) for curve in sampled])
    size = np.array([curve.h.size + 2 for curve in sampled])
    starts = np.repeat(np.cumsum(size) - size, [len(curve.chords) for curve in sampled])
    places = starts + np.array([chord for curve in sampled for chord in curve.chords]).T
    h = capacity[places]
    free = (h > 0) & (h < 1)
    before, after = capacity[np.maximum(places - 1, 0)], capacity[np.minimum(places + 1, capacity.size - 1)]
    low, high = np.maximum(before, h / 2), np.minimum(after, (1 + h) / 2)
    # ℓ is convex on the side of an end away from its chord.
    away = np.clip(places + np.array([[-1], [1]]), 0, capacity.size - 1)
    loss, slope, curvature = np.where(h > 0, 0.0, nothing), slopes[places], np.zeros(h.shape)
    last_h, last_slope = capacity[away], slopes[away]
    for _ in range(_NEWTON_STEPS):
        found = loss_gradients(h[free], np.broadcast_to(p, h.shape)[free], law)
        loss[free], slope[free] = found.optimum.loss, found.ratio
        moved = np.abs(h - last_h) > _RESOLVED * h
        curvature[moved] = (slope - last_slope)[moved] / (h - last_h)[moved]
        steps = free & (curvature > 0)
        through = h[::-1] - h
        missed = loss - loss[::-1] + slope * through
        step = np.where(steps, -missed, 0.0) / np.where(steps, curvature * through, 1.0)
        last_h, last_slope = h, slope.copy()
        h = np.where(free, np.clip(h + step, low, high), h)
        loss = loss + np.where(free, slope * (h - last_h), 0.0)
        if (np.abs(h - last_h) <= _TANGENT * h).all():
            break
    return h[0], h[1], loss[0], loss[1]

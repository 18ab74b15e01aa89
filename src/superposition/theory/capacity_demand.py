"""What capacity a feature is worth at a price: argmin ℓ(h) + price·h over the lower convex hull, tabulated."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.special import expit, logit

from superposition._checks import FloatArray
from superposition.features import Law
from superposition.theory.hull import Hull, lower_hulls

# More probabilities than this are interpolated between knots, no further apart than this in logit p.
_MOST_CURVES = 64
_KNOT_STEP = 0.3
# Where the number of chords changes from knot to knot, the place is bisected this many times.
_BISECTIONS = 5
# Columns of a table: u in [0, 1] along log(−ℓ′), dense at both ends.
_COLUMNS = 1025
_ALONG = (1 - np.cos(np.linspace(0, np.pi, _COLUMNS))) / 2
# logit h that stands for h = 1.
_WHOLE = 40.0
# Of a piece, in logit h: points closer to its ends are left out. With more points than this it is made so much finer.
_CLOSE = 0.02
_LEAST_POINTS, _FINER = 4, 8


class _Piece(NamedTuple):
    """A convex piece of ℓ beyond a chord of its hull: log slopes of the chord and of its two ends, logit h between."""

    chord: float
    flattest: float
    steepest: float
    table: FloatArray


_ABSENT = _Piece(-np.inf, 0.0, 1.0, np.zeros(_COLUMNS))


@dataclass(frozen=True)
class Demand:
    """Capacity of features of importance 1 at a log price, for several probabilities.

    The hull is made of chords and, beyond each, a convex piece of ℓ; a piece may be the point h = 1 alone. A feature
    at level 0 has nothing, at level j it is on the piece beyond chord j, where −ℓ′(h) = price. The level that is best
    at a price is the number of chords that are steeper; at the slope of a chord two levels are equally good. A piece
    is continued beyond its chords as far as ℓ is convex.

    Attributes:
        chords: Log slopes of the chords of each probability, falling; −inf beyond the last; shape (k, J).
        flattest: log(−ℓ′) where a piece, as continued, ends; shape (k, J).
        steepest: log(−ℓ′) where it starts; shape (k, J).
        table: logit h at _ALONG from flattest to steepest; shape (curves, J, _COLUMNS).
        hulls: The curves.
        left: Curve below each probability; shape (k,).
        right: Curve above it; shape (k,).
        weight: Share of the curve above, in [0, 1]; shape (k,).
    """

    chords: FloatArray
    flattest: FloatArray
    steepest: FloatArray
    table: FloatArray
    hulls: list[Hull]
    left: npt.NDArray[np.intp]
    right: npt.NDArray[np.intp]
    weight: FloatArray

    @classmethod
    def of(cls, laws: Sequence[Law], law: npt.NDArray[np.intp], p: FloatArray) -> "Demand":
        """Returns the demand of features of laws[law] and probability p, with curves for each law."""
        left, right, weight = np.empty(p.size, np.intp), np.empty(p.size, np.intp), np.empty(p.size)
        hulls: list[Hull] = []
        for k in np.unique(law):
            here = law == k
            curves, below, above, weight[here] = _curves(p[here], laws[k])
            left[here], right[here] = below + len(hulls), above + len(hulls)
            hulls += curves
        pieces = [_pieces(hull) for hull in hulls]
        most = max(map(len, pieces))
        padded = [row + [_ABSENT] * (most - len(row)) for row in pieces]
        chords, flattest, steepest, table = (
            np.array([[piece[k] for piece in row] for row in padded]) for k in range(len(_Piece._fields))
        )

        def mixed(values: FloatArray) -> FloatArray:
            with np.errstate(invalid="ignore"):
                between = values[left] + weight[:, None] * (values[right] - values[left])
            return np.where(values[left] == values[right], values[left], between)

        return cls(mixed(chords), mixed(flattest), mixed(steepest), table, hulls, left, right, weight)

    def at(self, which: npt.NDArray[np.intp], level: npt.NDArray[np.intp], log_price: FloatArray) -> FloatArray:
        """Returns h of features of the probabilities `which` held at a level, one price each."""
        piece = np.maximum(level - 1, 0)
        low, high = self.flattest[which, piece], self.steepest[which, piece]
        u = np.clip((log_price - low) / (high - low), 0, 1)
        along = np.arccos(1 - 2 * u) * ((_COLUMNS - 1) / np.pi)
        column = np.minimum(along.astype(np.intp), _COLUMNS - 2)
        part = (u - _ALONG[column]) / (_ALONG[column + 1] - _ALONG[column])

        y = self._interpolated(self.left[which], piece, column, part)
        if self.weight.any():
            y += self.weight[which] * (self._interpolated(self.right[which], piece, column, part) - y)
        return np.where(level > 0, expit(y), 0.0)

    def _interpolated(
        self,
        row: npt.NDArray[np.intp],
        piece: npt.NDArray[np.intp],
        column: npt.NDArray[np.intp],
        part: FloatArray,
    ) -> FloatArray:
        """Returns logit h of some curves between two columns."""
        return np.asarray((1 - part) * self.table[row, piece, column] + part * self.table[row, piece, column + 1])


def _curves(p: FloatArray, law: Law) -> tuple[list[Hull], npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray]:
    """Returns curves, which are below and above each p, and the share of the one above: of many p curves are knots."""
    distinct, place = np.unique(p, return_inverse=True)
    if distinct.size <= _MOST_CURVES:
        return list(_hulls(tuple(distinct.tolist()), law)), place, place, np.zeros(p.size)
    knots, hulls = _knots(distinct, law)
    left = np.clip(np.searchsorted(knots, logit(p), side="right") - 1, 0, knots.size - 2)
    right, weight = left + 1, np.clip((logit(p) - knots[left]) / (knots[left + 1] - knots[left]), 0, 1)
    # Curves of different shape do not mix.
    alike = np.array([here.shape == above.shape for here, above in itertools.pairwise(hulls)])
    nearest = np.where(weight < 0.5, left, right)
    mixes = alike[left]
    return hulls, np.where(mixes, left, nearest), np.where(mixes, right, nearest), weight


@lru_cache(maxsize=16)  # one for all importances and widths, and most of the time that an allocation takes
def _hulls(p: tuple[float, ...], law: Law) -> tuple[Hull, ...]:
    """Returns the hulls of several probabilities."""
    return tuple(lower_hulls(np.array(p), law))


def _knots(p: FloatArray, law: Law) -> tuple[FloatArray, list[Hull]]:
    """Returns knots in logit p and their hulls, close together where the number of chords changes."""
    low, high = logit(p[[0, -1]])
    knots = np.linspace(low, high, max(_MOST_CURVES, 1 + int(np.ceil((high - low) / _KNOT_STEP))))
    hulls = lower_hulls(expit(knots), law)
    for _ in range(_BISECTIONS):
        change = np.flatnonzero([here.shape != above.shape for here, above in itertools.pairwise(hulls)])
        if not change.size:
            break
        middle = (knots[change] + knots[change + 1]) / 2
        between = lower_hulls(expit(middle), law)
        order = np.argsort(np.concatenate([knots, middle]), kind="stable")
        knots, hulls = np.concatenate([knots, middle])[order], [(hulls + between)[k] for k in order]
    return knots, hulls


def _pieces(hull: Hull) -> list[_Piece]:
    """Returns the pieces of ℓ beyond each chord of its hull."""
    slopes = hull.chord_log_slope
    ends, last = np.append(hull.low[1:], 1.0), np.append(slopes[1:], hull.log_slope[-1])
    return [
        _Piece(slope, 0.0, 1.0, np.full(_COLUMNS, _WHOLE)) if start == 1 else _piece(hull, start, slope, end, slope_end)
        for slope, start, end, slope_end in zip(slopes, hull.high, ends, last, strict=True)
    ]


def _piece(hull: Hull, start: float, slope: float, end: float, last: float) -> _Piece:
    """Returns the convex piece from `start` to `end`, where log(−ℓ′) is `slope` and `last`, and as far beyond as ℓ is.

    The last point of the grid stands for h = 1.
    """
    y, logs, open_end = logit(hull.h), hull.log_slope, end < 1
    first, stop = int(np.searchsorted(hull.h, start, side="right")), int(np.searchsorted(hull.h, end))
    stop = stop if open_end else y.size - 1
    below, above = first, stop
    while below > 0 and logs[below - 1] > (slope if below == first else logs[below]):
        below -= 1
    while open_end and above < y.size and logs[above] < (last if above == stop else logs[above - 1]):
        above += 1
    ends = logit(start), logit(end) if open_end else y[-1]
    parts = [y[below:first], ends[:1], y[first:stop], ends[1:], y[stop:above]]
    logs = np.concatenate([logs[below:first], [slope], logs[first:stop], [last], logs[stop:above]])
    y = np.concatenate(parts)
    # The grid next to an end says no more than the end.
    apart = np.isin(y, ends) | (np.abs(y - ends[0]) > _CLOSE) & (np.abs(y - ends[1]) > _CLOSE)
    y, places = np.unique(y[apart], return_index=True)
    logs = logs[apart][places]
    if y.size > _LEAST_POINTS:
        spline = CubicSpline(y, logs)
        y = np.interp(np.arange(_FINER * (y.size - 1) + 1) / _FINER, np.arange(y.size), y)
        logs = spline(y)
    # Falling h; what does not rise there is rounding.
    y, logs = y[::-1], logs[::-1]
    rises = np.append(True, logs[1:] > np.maximum.accumulate(logs)[:-1])
    y, logs = y[rises], logs[rises]
    if y.size == 1:
        return _Piece(slope, logs[0], logs[0] + 1, np.full(_COLUMNS, y[0]))
    along = np.clip(logs[0] + (logs[-1] - logs[0]) * _ALONG, logs[0], logs[-1])
    table = PchipInterpolator(logs, y)(along)
    if not open_end:
        table[0] = _WHOLE
    return _Piece(slope, logs[0], logs[-1], table)

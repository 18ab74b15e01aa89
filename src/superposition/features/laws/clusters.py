"""Few nodes for a law of many values: the values near a kink by the cell, those further away two for all of a side."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from superposition._checks import FloatArray
from superposition.features.laws.panels import gauss_rules

# Values of a cell, of more its Gauss rule of so many nodes, exact up to degree 31. A kink in a cell of half a width a
# is a polynomial of degree k to ½ (a/2)^k/√k!, in units of its width: 4e-19 for this k and cells of 4 widths.
_SIZE = 16
_CELL = 4.0
# Outside the law a kink is as steep as e^(−9z) and more, and tells by its largest value: cells of half the width, and
# narrower the further off, make each value of it good to 1e-14, for they hold no more than e^16 of it.
_OUTSIDE_CELL = 2.0
# Beyond so many widths the kink is straight; of outside kinks, beyond e^−40 of the largest value.
_REACH = 9.0
# Where both Gaussian tails are zero in float64, and beyond.
_FARTHEST = 50.0
# Values of cells taken together.
_BLOCK = 2**16


@dataclass(frozen=True)
class Clusters:
    """Values in order, and what sums over them are made of.

    Attributes:
        values: Increasing, shape (k,).
        weights: Positive, shape (k,).
    """

    values: FloatArray
    weights: FloatArray

    def levels(self, kink: FloatArray, width: FloatArray) -> npt.NDArray[np.intp]:
        """Returns which halving of the law's length makes cells that a kink of this width is a polynomial in."""
        widest = _CELL * np.where(self._distance(kink, width) > 0, _OUTSIDE_CELL / _CELL, 1.0)
        with np.errstate(over="ignore", divide="ignore"):
            halvings = np.log2(self._length) - np.log2(widest * self._reach(kink, width) / _REACH)
        return np.asarray(np.clip(np.ceil(halvings), 0, self._finest), np.intp)

    def nodes(self, level: int, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights for points of one level, shape (k,), nodes along a new last axis."""
        cells = self._cells(level)
        reach, centre = self._reach(kink, width), np.clip(kink, self.values[0], self.values[-1])
        start = np.searchsorted(cells.last, centre - reach)
        count = max(1, int((np.searchsorted(cells.first, centre + reach, side="right") - start).max(initial=0)))
        start = np.minimum(start, cells.first.size - count)
        rows, below, above = start[:, None] + np.arange(count), cells.place[start], cells.place[start + count]
        values, weights = np.empty((2, kink.size, count * _SIZE + 4))
        for nodes, table, sides in ((values, cells.values, self._pairs[0]), (weights, cells.weights, self._pairs[1])):
            nodes[:, :-4] = table[rows].reshape(kink.size, -1)
            nodes[:, -4:-2], nodes[:, -2:] = sides[0][below], sides[1][above]
        return values, weights

    def _distance(self, kink: FloatArray, width: FloatArray) -> FloatArray:
        """Returns how many widths a kink is outside the law."""
        outside = np.maximum(0.0, np.maximum(kink - self.values[-1], self.values[0] - kink))
        with np.errstate(over="ignore"):
            return np.asarray(np.minimum(outside / np.maximum(width, 1e-300), _FARTHEST))

    def _reach(self, kink: FloatArray, width: FloatArray) -> FloatArray:
        """Returns how far from the kink, or from the end of the law next to it, values are resolved."""
        return np.asarray(_REACH * width * (_REACH / (_REACH + self._distance(kink, width))))

    @property
    def _length(self) -> float:
        return float(self.values[-1] - self.values[0])

    @cached_property
    def _finest(self) -> int:
        """The level on which no cell holds more values than it has nodes."""
        closest = (self.values[_SIZE:] - self.values[:-_SIZE]).min()
        return int(np.ceil(np.log2(self._length / closest))) + 1

    def _cells(self, level: int) -> "_Cells":
        if level not in self._levels:
            self._levels[level] = _Cells.of(self.values, self.weights, self._length / 2.0**level)
        return self._levels[level]

    @cached_property
    def _levels(self) -> dict[int, "_Cells"]:
        return {}

    @cached_property
    def _pairs(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Two values, and their weights, for all values before each place, and for all from each place on."""
        below, its_weights = _pairs(self.values, self.weights)
        above, other_weights = _pairs(self.values[::-1], self.weights[::-1])
        return (below, above[::-1]), (its_weights, other_weights[::-1])


@dataclass(frozen=True)
class _Cells:
    """Values by the cell, one row a cell that has any.

    Attributes:
        place: Of the first value of each, and at last the number of values.
        first: Least value of each.
        last: Largest value of each.
        values: Nodes, shape (cells, _SIZE).
        weights: Of the nodes; 0 for those that are none.
    """

    place: npt.NDArray[np.intp]
    first: FloatArray
    last: FloatArray
    values: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, values: FloatArray, weights: FloatArray, length: float) -> Self:
        """Returns the cells of this length."""
        cell = np.floor((values - values[0]) / length)
        place = np.append(np.flatnonzero(np.diff(cell, prepend=-1.0)), values.size)
        counts = np.diff(place)
        first, last = values[place[:-1]], values[place[1:] - 1]
        nodes, node_weights = _filled(values, weights, place[:-1], counts, _SIZE)
        # Cells of a like number of values together, as many as memory is meant for.
        size = np.ceil(np.log2(counts))
        for each in np.unique(size[counts > _SIZE]):
            alike = np.flatnonzero((size == each) & (counts > _SIZE))
            most = int(counts[alike].max())
            step = max(1, _BLOCK // most)
            for some in (alike[at : at + step] for at in range(0, alike.size, step)):
                found, node_weights[some] = gauss_rules(
                    *_filled(values, weights, place[some], counts[some], most), _SIZE
                )
                # Rounding may put a node next to the values, or below 0.
                nodes[some] = np.clip(found, first[some, None], last[some, None])
        return cls(place, first, last, nodes, node_weights)


def _filled(
    values: FloatArray, weights: FloatArray, place: npt.NDArray[np.intp], counts: npt.NDArray[np.intp], size: int
) -> tuple[FloatArray, FloatArray]:
    """Returns the first `size` values of each cell and their weights, filled up with its last value of weight 0."""
    along = np.arange(size)
    rows = place[:, None] + np.minimum(along, counts[:, None] - 1)
    return values[rows], np.where(along < counts[:, None], weights[rows], 0.0)


def _pairs(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the Gauss rule of two nodes, exact up to degree 3, of the first 0, 1, … of the values.

    Moments are summed in a tree, of depth log2 k: each is good to that many roundings.
    """
    mass, mean, second, third = weights.copy(), values.copy(), np.zeros(values.size), np.zeros(values.size)
    step = 1
    while step < values.size:
        a, b = (tuple(x[part] for x in (mass, mean, second, third)) for part in (slice(None, -step), slice(step, None)))
        total, apart = a[0] + b[0], b[1] - a[1]
        share, other = a[0] / total, b[0] / total
        joined_second = a[2] + b[2] + apart**2 * (a[0] * other)
        mixed = 3 * apart * (share * b[2] - other * a[2])
        joined_third = a[3] + b[3] + apart**3 * (a[0] * other) * (share - other) + mixed
        joined = total, a[1] + apart * other, joined_second, joined_third
        for x, new in zip((mass, mean, second, third), joined, strict=True):
            x[step:] = new
        step *= 2
    variance = second / mass
    # Offsets of the two from the mean: of product −variance, of sum skew/variance.
    some = variance > 0
    lean = np.divide(third / mass, variance, out=np.zeros(values.size), where=some)
    larger = (np.abs(lean) + np.hypot(lean, 2 * np.sqrt(variance))) / 2
    smaller = np.divide(variance, larger, out=np.zeros(values.size), where=some)
    sign = np.where(lean < 0, -1.0, 1.0)
    share = np.divide(smaller, larger + smaller, out=np.full(values.size, 0.5), where=some)
    nodes = mean[:, None] + sign[:, None] * np.stack([larger, -smaller], axis=1)
    ends = np.minimum(values[0], values), np.maximum(values[0], values)
    nodes = np.clip(nodes, ends[0][:, None], ends[1][:, None])
    both = mass[:, None] * np.stack([share, 1 - share], axis=1)
    return np.concatenate([nodes[:1], nodes]), np.concatenate([np.zeros((1, 2)), both])

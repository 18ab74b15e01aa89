"""One Lagrange multiplier: n_hidden dimensions, whole or not, shared among classes of equal features at one price."""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from superposition._checks import FloatArray
from superposition.theory.capacity_demand import Demand

# In log price, of order 1 to 10: a few roundings. What is left of it is made up for in the shares.
_RESOLUTION = 1e-14
# How far the price of a whole number of features is looked for first.
_NEAR = 0.05
# Less than a whole class passes a chord, though rounding says so: u times a class of thousands is below it.
_LARGEST_PART = 1 - 1e-12


@dataclass(frozen=True)
class Groups:
    """Some features of a class that have the same capacity, one entry a group.

    Attributes:
        which: Class of each group.
        count: Number of features.
        h: Capacity of each of them.
    """

    which: npt.NDArray[np.intp]
    count: npt.NDArray[np.intp]
    h: FloatArray


@dataclass(frozen=True)
class Relaxed:
    """The optimum when features of a class may be split in any proportion between the ends of a chord.

    Attributes:
        log_price: The Lagrange multiplier; where it is an interval, the worth of more capacity and not of less.
        upgrades: How many features have passed a chord, over all chords in order of price, not whole in general.
        is_split: Whether a class is split; if not, the shares at this price are optimal as they are.
    """

    log_price: float
    upgrades: float
    is_split: bool


@dataclass(frozen=True)
class Sharing:
    """Classes of equal features that share capacity.

    Attributes:
        log_importance: log M of each class, finite.
        counts: Number of features of each class.
        demand: Capacity wanted by a feature of each class, of importance 1.
    """

    log_importance: FloatArray
    counts: npt.NDArray[np.intp]
    demand: Demand

    def relaxed(self, n_hidden: float) -> Relaxed:
        """Returns the optimum over the lower convex hulls, for n_hidden less than the number of features."""

        def before(place: int) -> float:
            return self._total(*self._levels(int(self._passed[place])), float(self._prices[place]))

        place = bisect.bisect_right(range(self._prices.size), float(n_hidden), key=before) - 1
        price, passed = float(self._prices[place]), int(self._passed[place])
        size = int(self.counts[self._classes[place]])
        wanted, wanted_after = before(place), self._total(*self._levels(passed + size), price)
        if wanted_after > n_hidden:
            part = min((n_hidden - wanted) / (wanted_after - wanted), _LARGEST_PART)
            return Relaxed(price, passed + size * part, is_split=True)
        log_price = self._price(*self._levels(passed + size), n_hidden)
        assert log_price is not None
        return Relaxed(log_price, passed + size, is_split=False)

    def whole(self, upgrades: int, n_hidden: float, near: float) -> Groups | None:
        """Returns the best shares when so many features have passed a chord, or None if these cannot use n_hidden."""
        if not 0 <= upgrades <= self._passed[-1]:
            return None
        which, level, count = self._levels(upgrades)
        price = self._price(which, level, count, n_hidden, near)
        if price is None:
            return None
        h = self._shares(which, level, price)
        # What the resolution of the price leaves, of hardly any loss.
        room = h * (1 - h)
        if room.any():
            h = np.clip(h + room * ((n_hidden - (count * h).sum()) / (count * room).sum()), 0, 1)
        return Groups(which, count, h)

    def with_one_between(self, relaxed: Relaxed, n_hidden: float) -> Groups:
        """Returns the relaxed optimum with the part of a feature that it has been given put into that feature."""
        upgrades = int(relaxed.upgrades)
        which, level, count = self._levels(upgrades)
        h = self._shares(which, level, relaxed.log_price)
        # The group of those of the class that have not passed the chord stands at the place of the class.
        last = self._classes[int(np.searchsorted(self._passed, upgrades, side="right")) - 1]
        count = count.copy()
        count[last] -= 1
        between = min(max(n_hidden - float((count * h).sum()), 0.0), 1.0)
        return Groups(np.append(which, last), np.append(count, 1), np.append(h, between))

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        chords = (self.log_importance[:, None] + self.demand.chords).ravel()
        order = np.argsort(-chords, kind="stable")
        return order[: np.count_nonzero(np.isfinite(chords))]

    @cached_property
    def _prices(self) -> FloatArray:
        return np.asarray((self.log_importance[:, None] + self.demand.chords).ravel()[self._order])

    @cached_property
    def _classes(self) -> npt.NDArray[np.intp]:
        """The class of each chord, in order of falling price."""
        return np.asarray(self._order // self.demand.chords.shape[1])

    @cached_property
    def _passed(self) -> npt.NDArray[np.intp]:
        """How many features pass a chord before each, and in all."""
        return np.concatenate([[0], np.cumsum(self.counts[self._classes])])

    def _levels(self, upgrades: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Returns class, level and count of the groups when so many features have passed a chord."""
        place = int(np.searchsorted(self._passed, upgrades, side="right")) - 1
        which = np.arange(self.counts.size)
        level = np.bincount(self._classes[:place], minlength=self.counts.size)
        extra = upgrades - int(self._passed[place])
        if not extra:
            return which, level, self.counts
        last, count = self._classes[place], self.counts.copy()
        count[last] -= extra
        return np.append(which, last), np.append(level, level[last] + 1), np.append(count, extra)

    def _shares(self, which: npt.NDArray[np.intp], level: npt.NDArray[np.intp], log_price: float) -> FloatArray:
        return self.demand.at(which, level, log_price - self.log_importance[which])

    def _total(
        self, which: npt.NDArray[np.intp], level: npt.NDArray[np.intp], count: npt.NDArray[np.intp], log_price: float
    ) -> float:
        return float((count * self._shares(which, level, log_price)).sum())

    def _price(
        self,
        which: npt.NDArray[np.intp],
        level: npt.NDArray[np.intp],
        count: npt.NDArray[np.intp],
        n_hidden: float,
        near: float | None = None,
    ) -> float | None:
        """Returns the log price at which the groups want n_hidden in all, or None if there is none."""

        def excess(log_price: float) -> float:
            return self._total(which, level, count, log_price) - n_hidden

        for low, high in self._brackets(which, level, near):
            if excess(low) >= 0 >= excess(high):
                return float(brentq(excess, low, high, xtol=_RESOLUTION))
        return None

    def _brackets(
        self, which: npt.NDArray[np.intp], level: npt.NDArray[np.intp], near: float | None
    ) -> Iterator[tuple[float, float]]:
        if near is not None:
            yield near - _NEAR, near + _NEAR
        held = level > 0
        which, piece = which[held], level[held] - 1
        if which.size:
            low = self.demand.flattest[which, piece] + self.log_importance[which]
            high = self.demand.steepest[which, piece] + self.log_importance[which]
            yield float(low.min()), float(high.max())

"""The beta law, whose density may be singular at both ends."""

from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features.laws.base import Law, parameter
from superposition.features.laws.panels import KINK, anchored_nodes, gauss_rule, panel_nodes, resolving
from superposition.features.laws.tilted import REACH, Tilted

if TYPE_CHECKING:
    import torch

    from superposition.features.source import Source

# Of parameters: a law with less than 1e-12 between its ends is Empirical([0, 1]), one narrower than 1e-3 of its mean
# has densities whose logarithms, of the size of the parameters, are rounded to more than 1e-10.
_SMALLEST, _LARGEST = 1e-12, 1e6

# Noise of half the law's length, or of many times the scale of its tails, leaves integrands that a
# Gauss rule of few nodes integrates to float64; not so where nearly all mass is at one end.
_WIDE, _WIDE_SPREADS, _BALANCED = 0.5, 6.0, 0.01
_RULE_SIZE = 16

# Panels halve towards an end down to 2^−_LEVELS or to _NEGLIGIBLE mass; none are needed for a polynomial of low
# degree. Below _ATOM of the noise, and of the distance of the mean, the exact mass left is an atom at its mean:
# what a function bends there is of second order.
_LEVELS = 110
_NEGLIGIBLE = 1e-26
_POLYNOMIAL = 8
_ATOM = 1e-9

# Bisections of the log odds of a mode, within ±_FARTHEST, and of the log of a distance, which need not be sharp.
# A mode is taken to be z where the two differ by less than this part of the distance to the ends.
_EXACT, _ROUGH = 64, 25
_FARTHEST = 600.0
_SAME = 1e-13

# First panels of the bulk, in standard deviations from the mean.
_BULK = np.array([-60.0, -20.0, -6.0, -2.0, 0.0, 2.0, 6.0, 20.0, 60.0, 180.0])

# Parameters at which the logarithm of the beta function is exact to rounding.
_MODERATE = 10.0

# log(1 + t) − t is summed below this |t|, in this many terms.
_SERIES, _TERMS = 0.3, 12


@final
@dataclass(frozen=True)
class Beta(Law):
    """Beta on [0, 1], with density proportional to u^(alpha − 1) (1 − u)^(beta − 1).

    Args:
        alpha: In [1e-12, 1e6]; below 1 the density is singular at 0.
        beta: In [1e-12, 1e6]; below 1 the density is singular at 1.

    Raises:
        ValueError: A parameter is out of range.

    >>> Beta(1, 3).mean
    0.25
    """

    kind: ClassVar[str] = "Beta"

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            hint = "use Constant or Exponential for a law this narrow, Empirical([0, 1]) for one at its ends"
            value = _checks.in_interval(name, getattr(self, name), _SMALLEST, _LARGEST, hint=hint)
            object.__setattr__(self, name, parameter(name, value))

    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns G/(G + G′) of gamma numbers, by their logarithms."""

        def log_gamma(shape: float) -> "torch.Tensor":
            # G(shape) = G(shape + 1) U^(1/shape): a small shape neither underflows nor ends in 0/0.
            return source.gammas(shape + 1, n).log_() - source.exponentials(n) / shape

        return (log_gamma(self.alpha) - log_gamma(self.beta)).sigmoid().to(dtype)

    @property
    def mean(self) -> float:
        """E u = alpha / (alpha + beta)."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def second_moment(self) -> float:
        """E u² = mean (alpha + 1) / (alpha + beta + 1)."""
        return self.mean * (self.alpha + 1) / (self.alpha + self.beta + 1)

    @property
    def variance(self) -> float:
        """Var u = mean (1 − mean) / (alpha + beta + 1)."""
        return self.mean * (self.beta / (self.alpha + self.beta)) / (self.alpha + self.beta + 1)

    @property
    def landmarks(self) -> FloatArray:
        """Panel edges, where both ends and the bulk are resolved."""
        low, high = self._sides
        return np.unique(np.concatenate([[0.0], low.edges, 1 - high.edges, [1.0]]))

    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gauss–Legendre panels and an atom at each singular end."""
        low, high = self._sides
        values, weights = low.nodes(kink, width)
        distances, other_weights = high.nodes(1 - kink, width)
        return np.concatenate([values, 1 - distances], axis=-1), np.concatenate([weights, other_weights], axis=-1)

    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """Nodes of the law's panels and of finer ones around the mode of its product with the Gaussian.

        A factor singular at an end is left out of the mode: the panels there halve towards it.
        """
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            place, missing = self._modes(z, width)
            outside = np.clip(np.where(place < 0.5, z - place, (z - 1) + missing) / width, -1e150, 1e150)
            up = self._fall(self.alpha, self.beta, place, missing, outside, width)
            down = self._fall(self.beta, self.alpha, missing, place, -outside, width)
            resolved = width / np.maximum(1.0, np.abs(np.stack([z, 1 - z])) / width)
        around = np.concatenate([down[:, None] * KINK[KINK < 0], up[:, None] * KINK[KINK >= 0]], axis=1) / REACH
        low, high = self._sides
        near_low, near_high = low.log_density(np.minimum(place, 0.5)), high.log_density(np.minimum(missing, 0.5))
        height = np.where(place < 0.5, near_low, near_high)
        below = low.tilted(place, missing, height, around, resolved[0])
        above = high.tilted(missing, place, height, -around, resolved[1])
        offsets = np.concatenate([below[0], -above[0]], axis=1)
        weights, relative = (np.concatenate([below[i], above[i]], axis=1) for i in (1, 2))
        t = offsets / width
        exponents = relative + t * (outside[:, None] - t / 2)
        largest = exponents.max(axis=1, where=weights > 0, initial=-np.inf)
        weights = weights * np.exp(np.minimum(exponents - largest[:, None], 0.0))
        return Tilted(place, offsets, weights, height + largest)

    def _modes(self, z: FloatArray, width: float) -> tuple[FloatArray, FloatArray]:
        """Returns u and 1 − u where the law, without its singular factors, times the Gaussian is largest."""
        from scipy.special import expit

        low, high = np.full_like(z, -_FARTHEST), np.full_like(z, _FARTHEST)
        for _ in range(_EXACT):
            middle = (low + high) / 2
            u, missing = expit(middle), expit(-middle)
            rises = max(self.alpha - 1, 0) / u - max(self.beta - 1, 0) / missing + (z - u) / width / width > 0
            low, high = np.where(rises, middle, low), np.where(rises, high, middle)
        place, missing = expit(low), expit(-low)
        # z itself where all that lies between is the rounding of a logit, which a narrow Gaussian would feel.
        beside = np.where(place < 0.5, z - place, (z - 1) + missing)
        at_z = np.abs(beside) <= _SAME * np.minimum(place, missing)
        return np.where(at_z, z, place), np.where(at_z, 1 - z, missing)

    @staticmethod
    def _fall(
        alpha: float, beta: float, place: FloatArray, missing: FloatArray, outside: FloatArray, width: float
    ) -> FloatArray:
        """Returns the distance, from the mode towards the end at beta, at which that product is negligible."""
        high = np.log(missing)
        low = high - 2 * _FARTHEST
        for _ in range(_ROUGH):
            middle = (low + high) / 2
            distance = np.exp(middle)
            t = distance / width
            logs = max(alpha - 1, 0) * np.log1p(distance / place), max(beta - 1, 0) * np.log1p(-distance / missing)
            fallen = -logs[0] - logs[1] - t * (outside - t / 2) > REACH**2 / 2
            low, high = np.where(fallen, low, middle), np.where(fallen, middle, high)
        return np.asarray(np.exp(high))

    @property
    def _wide(self) -> float:
        smaller = min(self.alpha, self.beta, 1.0)
        return min(_WIDE, _WIDE_SPREADS * sqrt(self.variance / smaller)) if smaller >= _BALANCED else np.inf

    @cached_property
    def _rule(self) -> tuple[FloatArray, FloatArray]:
        return gauss_rule(*self.panels(np.array(0.5), np.array(0.0)), _RULE_SIZE)

    @cached_property
    def _sides(self) -> "tuple[_Side, _Side]":
        """Returns the half of the law next to 0, and the one next to 1 in the distance from there."""
        low, high = _Side(self.alpha, self.beta), _Side(self.beta, self.alpha)
        if min(self.alpha, self.beta) > 1:
            log_norm = -log(low.integral(0) + high.integral(0))
        elif max(self.alpha, self.beta) <= _MODERATE:
            from scipy.special import betaln

            log_norm = -float(betaln(self.alpha, self.beta))
        else:  # the mean distance from the end where the mass is
            near, far = (low, high) if self.alpha < self.beta else (high, low)
            atom, place = near.atom(near.edges[0])
            log_norm = log((near.mean - atom * place) / (near.integral(1) + far.integral(0) - far.integral(1)))
        return _Side(low.a, low.b, log_norm), _Side(high.a, high.b, log_norm)


@final
@dataclass(frozen=True)
class _Side:
    """The law of x in [0, 1/2], its density exp(log_norm) times x^(a − 1) (1 − x)^(b − 1), scaled to 1 at a mode."""

    a: float
    b: float
    log_norm: float = 0.0

    @property
    def mean(self) -> float:
        """Mean of x over both sides."""
        return self.a / (self.a + self.b)

    @cached_property
    def edges(self) -> FloatArray:
        """Edges of panels that resolve the density."""
        from scipy.special import betainc

        spread = sqrt(self.mean * (1 - self.mean) / (self.a + self.b + 1))
        bulk = np.clip(self.mean + spread * _BULK, 0.0, 0.5)
        if self.a in range(1, _POLYNOMIAL + 1):
            return resolving(np.unique([0.0, *bulk, 0.5]), self.density)
        powers = 0.5 ** np.arange(1, _LEVELS + 1)
        least = powers[min(_LEVELS - 1, int((betainc(self.a, self.b, powers) > _NEGLIGIBLE).sum()))]
        edges = np.unique(np.concatenate([powers, bulk]))
        return resolving(edges[edges >= least], self.density)

    def density(self, x: FloatArray) -> FloatArray:
        """Returns the density, an array of the shape of x."""
        return np.asarray(np.exp(self.log_density(x)))

    def log_density(self, x: FloatArray) -> FloatArray:
        """Returns its logarithm."""
        from scipy.special import xlog1py, xlogy

        x = np.maximum(x, 1e-300)
        a, b = self.a - 1, self.b - 1
        if a > 0 and b > 0:
            # Around the mode, where the terms of first order are zero: large a and b do not cancel.
            mode, rest = a / (a + b), b / (a + b)
            exponent = (a + b) * (
                mode * _log_excess(x / mode, (x - mode) / mode) + rest * _log_excess((1 - x) / rest, (mode - x) / rest)
            )
        else:
            exponent = xlogy(a, x) + xlog1py(b, -x)
        return np.asarray(exponent + self.log_norm)

    def integral(self, power: int) -> float:
        """Returns ∫ density · x^power over the panels."""
        values, weights = panel_nodes(self.edges, np.array(0.0), np.array(0.0))
        return float(weights @ (self.density(values) * values**power))

    def atom(self, cut: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns the mass between 0 and cut, and its mean."""
        from scipy.special import betainc

        mass = np.asarray(betainc(self.a, self.b, cut))
        first = self.mean * betainc(self.a + 1, self.b, cut)
        return mass, np.asarray(np.where(mass > 0, first / np.where(mass > 0, mass, 1.0), cut))

    def nodes(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights that resolve the kink, of each point's own width."""
        edges, mass, place = self._cut(np.where(width > 0, width, np.inf), self.edges)
        values, weights = panel_nodes(edges, kink, width)
        return (
            np.concatenate([place[..., None], values], axis=-1),
            np.concatenate([mass[..., None], weights * self.density(values)], axis=-1),
        )

    def tilted(
        self, anchor: FloatArray, missing: FloatArray, height: FloatArray, around: FloatArray, resolved: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Returns offsets from the anchor, weights and log of the density over that at the anchor.

        Args:
            anchor: Shape (k,).
            missing: 1 − anchor.
            height: log of the density at the anchor.
            around: Panel edges as offsets from the anchor, shape (k, m).
            resolved: The scale on which the function bends near 0, shape (k,).
        """
        edges = self.edges
        if self.a not in range(1, _POLYNOMIAL + 1) and (anchor + around.min(axis=1)).min() < edges[0]:
            edges = np.unique(np.concatenate([0.5 ** np.arange(1, _LEVELS + 1), edges]))
        edges, mass, place = self._cut(resolved, edges)
        values, offsets, weights = anchored_nodes(edges, anchor, around)
        values = np.concatenate([place[:, None], values], axis=1)
        offsets = np.concatenate([(place - anchor)[:, None], offsets], axis=1)
        ratio = offsets / anchor[:, None]
        near = np.abs(ratio) < 0.5
        far = np.maximum(values, 1e-300) / anchor[:, None]
        logs = np.where(near, np.log1p(np.where(near, ratio, 0.0)), np.log(far))
        relative = (self.a - 1) * logs + (self.b - 1) * np.log1p(-offsets / missing[:, None])
        relative[:, 0] = -height
        return offsets, np.concatenate([mass[:, None], weights], axis=1), relative

    def _cut(self, width: FloatArray, edges: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Returns each point's panel edges, one row a point, and the mass and place of the atom below them."""
        small = _ATOM * np.minimum(width, self.mean)
        first = np.maximum(np.searchsorted(edges, small, side="right") - 1, 0)
        lowest = edges[first]
        mass, place = self.atom(lowest)
        return np.maximum(edges[first.min(initial=edges.size - 1) :], lowest[..., None]), mass, place


def _log_excess(ratio: FloatArray, t: FloatArray) -> FloatArray:
    """Returns log(ratio) − t ≤ 0, ratio = 1 + t, to full accuracy: near t = 0 as 2 artanh s − t with s = t/(2 + t)."""
    s = np.clip(t / (2 + t), -_SERIES, _SERIES)
    ss = s * s
    series = np.zeros_like(s)
    for k in range(_TERMS, 0, -1):
        series = ss * (1 / (2 * k + 1) + series)
    return np.where(np.abs(t) < _SERIES, s * (2 * series - t), np.log(ratio) - t)

"""The beta law, whose density may be singular at both ends."""

from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt
from typing import final

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features.laws.base import Law
from superposition.features.laws.panels import gauss_rule, panel_nodes, resolving

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

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            hint = "use Constant or Exponential for a law this narrow, Empirical([0, 1]) for one at its ends"
            value = _checks.in_interval(name, getattr(self, name), _SMALLEST, _LARGEST, hint=hint)
            object.__setattr__(self, name, float(value))

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

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Gauss–Legendre panels and an atom at each singular end, or a Gauss rule of few nodes if all is wide."""
        kink, width = np.broadcast_arrays(np.asarray(kink, float), np.asarray(width, float))
        if (width >= self._wide).all():
            values, weights = self._rule
            shape = (*kink.shape, _RULE_SIZE)
            return np.broadcast_to(values, shape), np.broadcast_to(weights, shape)
        return self._panels(kink, width)

    def _panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = self._sides
        finest = float(np.where(width > 0, width, np.inf).min(initial=np.inf))
        values, weights = low.nodes(kink, width, finest)
        distances, other_weights = high.nodes(1 - kink, width, finest)
        return np.concatenate([values, 1 - distances], axis=-1), np.concatenate([weights, other_weights], axis=-1)

    @property
    def _wide(self) -> float:
        smaller = min(self.alpha, self.beta, 1.0)
        return min(_WIDE, _WIDE_SPREADS * sqrt(self.variance / smaller)) if smaller >= _BALANCED else np.inf

    @cached_property
    def _rule(self) -> tuple[FloatArray, FloatArray]:
        return gauss_rule(*self._panels(np.array(0.5), np.array(0.0)), _RULE_SIZE)

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
        from scipy.special import xlog1py, xlogy

        x = np.maximum(x, 1e-300)
        a, b = self.a - 1, self.b - 1
        if a > 0 and b > 0:
            # Around the mode, where the terms of first order are zero: large a and b do not cancel.
            mode = a / (a + b)
            exponent = (a + b) * (
                mode * _log1p_excess((x - mode) / mode) + (1 - mode) * _log1p_excess((mode - x) / (1 - mode))
            )
        else:
            exponent = xlogy(a, x) + xlog1py(b, -x)
        return np.asarray(np.exp(exponent + self.log_norm))

    def integral(self, power: int) -> float:
        """Returns ∫ density · x^power over the panels."""
        values, weights = panel_nodes(self.edges, np.array(0.0), np.array(0.0))
        return float(weights @ (self.density(values) * values**power))

    def atom(self, cut: float) -> tuple[float, float]:
        """Returns the mass between 0 and cut, and its mean."""
        from scipy.special import betainc

        mass = float(betainc(self.a, self.b, cut))
        return mass, self.mean * float(betainc(self.a + 1, self.b, cut)) / mass if mass > 0 else cut

    def nodes(self, kink: FloatArray, width: FloatArray, finest: float) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights; finest is the least positive width."""
        small = _ATOM * min(finest, self.mean)
        edges = self.edges[max(0, int(np.searchsorted(self.edges, small, side="right")) - 1) :]
        values, weights = panel_nodes(edges, kink, width)
        mass, place = self.atom(float(edges[0]))
        column = (*kink.shape, 1)
        return (
            np.concatenate([np.full(column, place), values], axis=-1),
            np.concatenate([np.full(column, mass), weights * self.density(values)], axis=-1),
        )


def _log1p_excess(t: FloatArray) -> FloatArray:
    """Returns log(1 + t) − t ≤ 0, of full relative accuracy: 2 artanh s − t with s = t/(2 + t) near 0."""
    direct = np.log1p(np.maximum(t, -1 + 1e-16)) - t
    s = np.clip(t / (2 + t), -_SERIES, _SERIES)
    ss = s * s
    series = np.zeros_like(s)
    for k in range(_TERMS, 0, -1):
        series = ss * (1 / (2 * k + 1) + series)
    return np.where(np.abs(t) < _SERIES, s * (2 * series - t), direct)

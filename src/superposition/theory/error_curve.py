"""The Bayes loss as a function of noise and probability, tabulated: many points cost one spline."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.special import expit

from superposition._checks import FloatArray
from superposition.features import Law
from superposition.theory.posterior import ActivePart, blocks, observations

# Distance of nodes in log τ and in the log odds of p: the spline is then within 1e-9 of the integrals, as far as the
# loss has not fallen to nothing. The logarithm is straight, up to √τ, where noise is small against the law.
_STEP, _SMALL_STEP, _ODDS_STEP = 0.0625, 0.25, 0.125
_SMALL = np.exp(-14.0)
# Nodes beyond the range, for the ends of a spline are its worst part.
_MARGIN = 6
# Log odds beyond which p is 1 in float64, and odds between which the passages of two are enough.
_CERTAIN = 36.5
_PASSAGE_STEP = 16.0
# A loss below it, as a share of p, is none.
_LEAST = 1e-290


@dataclass(frozen=True)
class ErrorCurve:
    """mmse(τ; p) = E Var[x | x + ν], ν ~ N(0, τ), as a quintic spline of its logarithm.

    Attributes:
        log_noise: Nodes of log τ, increasing.
        law: Law of active values.
    """

    log_noise: FloatArray
    law: Law
    _spline: Any

    @classmethod
    def over(cls, lowest: float, highest: float, probability: FloatArray, law: Law) -> Self:
        """Returns the curve for noise variances τ in [lowest, highest], at all probabilities given, in (0, 1]."""
        odds = log_odds(probability)
        # In round numbers, so that neighbouring questions share a table.
        bottom, top = _outward(np.log(lowest), np.log(highest), 2.0)
        first, last = _outward(odds.min(), odds.max(), 0.5)
        return cls(*_tabulated(bottom, top, first, last, law))

    def __call__(self, noise: FloatArray, probability: FloatArray) -> FloatArray:
        """Returns mmse at each pair (τ, p), both of one shape."""
        log_share = self._spline.ev(np.log(noise), log_odds(probability))
        return np.asarray(probability * np.exp(log_share))

    def on_grid(self, log_noise: FloatArray, probability: FloatArray) -> FloatArray:
        """Returns mmse at every log τ (increasing) with every p, shape (log_noise, probability)."""
        odds, place = np.unique(log_odds(probability), return_inverse=True)
        return np.asarray(probability * np.exp(self._spline(log_noise, odds))[:, place])


@lru_cache(maxsize=8)
def _tabulated(bottom: float, top: float, first: float, last: float, law: Law) -> tuple[FloatArray, Law, Any]:
    """Returns nodes of log τ, the law, and the spline over log τ and the log odds."""
    small = np.log(_SMALL * law.second_moment)
    start, end = bottom - _MARGIN * _STEP, top + _MARGIN * _STEP
    turn = np.clip(small, start, end)
    fine = np.linspace(turn, end, int((end - turn) / _STEP) + 2) if turn < end else np.array([end])
    coarse = np.arange(turn - _SMALL_STEP, bottom - _MARGIN * _SMALL_STEP, -_SMALL_STEP) if turn > start else fine[:0]
    log_noise = np.concatenate([coarse[::-1], fine])
    odds = np.arange(first - _MARGIN * _ODDS_STEP, last + _MARGIN * _ODDS_STEP + _ODDS_STEP / 2, _ODDS_STEP)
    values = np.stack([_losses(float(np.exp(ell / 2)), odds, law) for ell in log_noise])
    return log_noise, law, RectBivariateSpline(log_noise, odds, np.log(np.maximum(values, _LEAST)), kx=5, ky=5)


def _outward(low: float, high: float, step: float) -> tuple[float, float]:
    """Returns the bounds moved outward to multiples of a step."""
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)


def log_odds(probability: FloatArray) -> FloatArray:
    """Returns log(p/(1 − p)), held at its value where p is 1 in float64."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(np.log(probability) - np.log1p(-probability), _CERTAIN))


def _losses(sigma: float, odds: FloatArray, law: Law) -> FloatArray:
    """Returns mmse(σ²)/p at all odds: they share the posterior of an active feature, only its weight differs."""
    passages = np.linspace(odds[0], odds[-1], int((odds[-1] - odds[0]) / _PASSAGE_STEP) + 2)
    z, weights = observations(sigma, [p for p in expit(passages).tolist() if p < 1], law)
    total = np.zeros(odds.size)
    for part in blocks(z.size, sigma, law):
        active = ActivePart.of(z[part], sigma, law)
        mass = weights[part] * active.density
        off = expit(-(active.log_odds(0.5)[:, None] + odds))
        total += mass @ active.tilted.variance + (mass * active.tilted.mean**2) @ off
    return total

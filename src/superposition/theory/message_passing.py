"""Message passing in the large-system limit: state evolution, its fixed points, and what no decoder can beat."""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import elementwise, minimize_scalar

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Law
from superposition.theory.error_curve import ErrorCurve
from superposition.theory.posterior import bayes_loss
from superposition.theory.shapes import broadcast, law_or_default, plain

Ensemble = Literal["gaussian", "orthogonal"]

# Of ratio and probability, and of the noise as a share of E u²: the tables reach from there to its inverse.
_LEAST = 1e-15

# Effective noise below this share of its start counts as none, where there is none in the measurements.
_RESOLVED = 1e-12
# A trajectory has arrived when a step changes the noise by less than this share: ten times less than the curve is
# known to.
_SETTLED = 1e-10
# In log τ: what the curve's rounding, of logarithms up to some hundreds, leaves to be found.
_ROOT = {"xatol": 1e-13, "xrtol": 1e-13}
_CHUNK = 2048
# Scan of the threshold's log τ, and how close its maximum is found: it counts in second order.
_THRESHOLD_STEP, _THRESHOLD_PLACE = 0.5, 1e-7
# Fixed points further apart than this share are two: far above what the curve is known to, 1e-9.
_APART = 1e-6


@dataclass(frozen=True)
class StateEvolution:
    """What message passing does with ever more features, at one shape of (ratio, probability, noise).

    Attributes:
        noise: Effective noise variance τ_t before step t = 0, 1, …, shape (steps, *shape), squared feature units. A
            trajectory that has arrived, or has come to the end of the steps, stays where it is.
        loss: mmse(τ_t), the loss per feature after that step's denoiser, likewise.
        steps: Number of steps until τ no longer changes; −1 where the trajectory was cut off.
        reached_noise: Largest fixed point of τ, to which the trajectory falls.
        reached_loss: Loss there.
        informed_noise: Smallest fixed point, reached from a start near the truth.
        informed_loss: Loss there.
    """

    noise: FloatArray
    loss: FloatArray
    steps: Any
    reached_noise: Any
    reached_loss: Any
    informed_noise: Any
    informed_loss: Any


@dataclass(frozen=True)
class ReplicaLoss:
    """The least loss of any decoder, and what message passing makes of it.

    Attributes:
        loss: Minimum mean square error per feature.
        reached_loss: Loss that message passing reaches.
        hard: Whether the second is larger: enough information, and no known fast algorithm that uses it.
    """

    loss: Any
    reached_loss: Any
    hard: Any


def state_evolution(
    ratio: npt.ArrayLike,
    probability: npt.ArrayLike,
    noise_variance: npt.ArrayLike = 0.0,
    *,
    ensemble: Ensemble = "gaussian",
    law: Law | None = None,
    n_steps: int = 300,
) -> StateEvolution:
    """State evolution of AMP (gaussian) or OAMP/VAMP (orthogonal) with the Bayes denoiser (exact as n → ∞).

    y = A x + w with δ = ratio measurements a feature, w ~ N(0, s²), from the prior mean on. "gaussian": entries
    N(0, 1/n_hidden), τ⁺ = s² + mmse(τ)/δ. "orthogonal": A Aᵀ = I/δ, as for a Persian Rug; with the extrinsic
    variance v = 1/(1/mmse(τ) − 1/τ), τ⁺ = s² + v (1 − δ)/δ, whose first value is the interference of a rug (eq. 6).

    Args:
        ratio: δ = n_hidden / n_features, in [1e-15, 1].
        probability: Probability of being active, in [1e-15, 1]; broadcast.
        noise_variance: s² of each measurement, squared feature units; 0 or in [1e-15, 1e15] E u²; broadcast.
        ensemble: Of the encoder.
        law: Law of active values; Uniform() if not given.
        n_steps: Most steps of a trajectory. Fixed points do not depend on it.

    Returns:
        StateEvolution. Values are within 1e-9 of the integrals; without noise, a fixed point below 1e-12 Var x is 0.

    Raises:
        ValueError: An argument is out of range.

    Reference: Bayati and Montanari 2011; Rangan, Schniter and Fletcher 2019; Ma and Ping 2017.

    >>> found = state_evolution(0.25, 0.05)
    >>> found.reached_loss, bool(found.steps > 10)
    (0.0, True)
    """
    system = _System.of(ratio, probability, noise_variance, ensemble, law)
    noise, loss, steps = system.trajectory(_checks.whole_number("n_steps", n_steps))
    reached, informed, _ = system.fixed_points()
    ends = [system.shaped(values) for place in (reached, informed) for values in (place, system.error(place))]
    shape = system.shape
    return StateEvolution(noise.reshape(-1, *shape), loss.reshape(-1, *shape), plain(steps.reshape(shape)), *ends)


def replica_mmse(
    ratio: npt.ArrayLike,
    probability: npt.ArrayLike,
    noise_variance: npt.ArrayLike = 0.0,
    *,
    ensemble: Ensemble = "gaussian",
    law: Law | None = None,
) -> ReplicaLoss:
    """Least loss of any decoder, by the replica formula, and whether message passing reaches it (exact as n → ∞).

    The fixed points of state evolution are the stationary points of a free energy, ½ ∫ (mmse(τ) − E(τ)) d(1/τ), E the
    loss that the linear part asks for at τ; the least loss is at its minimum. Proved for Gaussian encoders, and for
    rotation-invariant ones in part; a rug takes the place of the latter.

    Args:
        ratio: δ = n_hidden / n_features, in [1e-15, 1].
        probability: Probability of being active, in [1e-15, 1]; broadcast.
        noise_variance: s² of each measurement, squared feature units; 0 or in [1e-15, 1e15] E u²; broadcast.
        ensemble: Of the encoder.
        law: Law of active values; Uniform() if not given.

    Raises:
        ValueError: An argument is out of range.

    Reference: Reeves and Pfister 2019; Barbier et al. 2020; Takeda, Uda and Kabashima 2006.

    >>> found = replica_mmse(0.09, 0.05)
    >>> found.loss, found.hard
    (0.0, True)
    """
    system = _System.of(ratio, probability, noise_variance, ensemble, law)
    reached, _, best = system.fixed_points()
    hard = best < reached * (1 - _APART)
    loss, reached_loss = system.error(best), system.error(reached)
    shape = system.shape
    shown = hard.reshape(shape)
    return ReplicaLoss(system.shaped(loss), system.shaped(reached_loss), shown if shape else bool(shown))


def amp_threshold(probability: npt.ArrayLike, law: Law | None = None) -> Any:
    """Least ratio at which message passing recovers without noise, sup over τ of mmse(τ)/τ (exact as n → ∞).

    It is the same for Gaussian and for orthogonal encoders, and 1 at p = 1 for a law with a density.

    Args:
        probability: Probability of being active, in [1e-15, 1].
        law: Law of active values; Uniform() if not given.

    Returns:
        δ = n_hidden / n_features, of the shape of `probability`.

    Raises:
        ValueError: An argument is out of range.

    >>> round(amp_threshold(0.05), 4)
    0.1122
    """
    law = law_or_default(law)
    p = _checks.in_interval("probability", _checks.probability(probability), _LEAST, 1)
    found = np.array([_threshold(float(one), law) for one in p.ravel()])
    return plain(found.reshape(p.shape))


@dataclass(frozen=True)
class _System:
    """State evolution at points of shape (k,); `shape` is that of the answer."""

    _COLUMNS = ("ratio", "probability", "noise_variance", "lowest", "start")

    ratio: FloatArray
    probability: FloatArray
    noise_variance: FloatArray
    lowest: FloatArray  # τ below it counts as none
    start: FloatArray
    ensemble: Ensemble
    curve: ErrorCurve
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        ratio: npt.ArrayLike,
        probability: npt.ArrayLike,
        noise_variance: npt.ArrayLike,
        ensemble: Ensemble,
        law: Law | None,
    ) -> "_System":
        law = law_or_default(law)
        _checks.choice("ensemble", ensemble, get_args(Ensemble))
        delta, p, noise = broadcast(
            ratio=_checks.in_interval("ratio", _checks.ratio(ratio), _LEAST, 1),
            probability=_checks.in_interval("probability", _checks.probability(probability), _LEAST, 1),
            noise_variance=_moderate_noise(noise_variance, law.second_moment),
        )
        if not p.size:
            raise ValueError(f"`ratio` and `probability` must not be empty, got shape {p.shape}")
        variance = law.sparse_variance(p)
        if not (variance > 0).all():
            raise ValueError("`probability` must be below 1 for a law of one value, got 1: nothing is unknown")
        share = (1 / delta - 1) if ensemble == "orthogonal" else 1 / delta
        start = noise + variance * share
        lowest = np.where(noise > 0, noise, _RESOLVED * variance)
        curve = ErrorCurve.over(float(lowest.min()), float(np.maximum(start, lowest).max()), p.ravel(), law)
        whole = cls(delta, p, noise, np.asarray(lowest), np.asarray(start), ensemble, curve, delta.shape)
        return dataclasses.replace(whole.part(np.arange(delta.size)), shape=delta.shape)

    def part(self, which: "slice | npt.NDArray[np.intp]") -> "_System":
        """Returns some of the points."""
        columns = {name: getattr(self, name).ravel()[which] for name in self._COLUMNS}
        return dataclasses.replace(self, **columns, shape=())

    def shaped(self, values: FloatArray) -> Any:
        """Returns values in the shape of the arguments, a float for scalars."""
        return plain(values.reshape(self.shape))

    def error(self, noise: FloatArray) -> FloatArray:
        """Returns mmse at a noise each, 0 where there is none."""
        return np.where(noise > 0, self.curve(np.where(noise > 0, noise, 1.0), self.probability), 0.0)

    def following(self, noise: FloatArray, error: FloatArray, at: Any = slice(None)) -> FloatArray:
        """Returns τ⁺ from τ and mmse(τ)."""
        delta = self.ratio[at]
        if self.ensemble == "gaussian":
            return np.asarray(self.noise_variance[at] + error / delta)
        # mmse < τ but for rounding where the prior says nothing.
        extrinsic = error / np.maximum(1 - error / noise, 1e-300)
        return np.asarray(self.noise_variance[at] + extrinsic * (1 - delta) / delta)

    def asked_error(self, noise: FloatArray) -> FloatArray:
        """Returns the loss E(τ) from which the linear part makes τ; shape of points along the last axis."""
        beyond = noise - self.noise_variance
        if self.ensemble == "gaussian":
            return np.asarray(self.ratio * beyond)
        rest = noise - self.ratio * self.noise_variance
        return np.asarray(self.ratio * noise * np.divide(beyond, rest, out=np.ones_like(rest), where=rest > 0))

    def trajectory(self, n_steps: int) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
        """Returns τ_t and mmse(τ_t), shape (steps, k), and how many steps each point took."""
        noises, losses = [self.start], [self.error(self.start)]
        steps = np.full(self.start.size, -1)
        moving = np.flatnonzero(self.start > self.noise_variance)
        steps[self.start <= self.noise_variance] = 0
        while moving.size and len(noises) <= n_steps:
            noise, loss = noises[-1].copy(), losses[-1].copy()
            after = self.following(noise[moving], loss[moving], moving)
            after = np.where(after >= self.lowest[moving], after, 0.0)
            settled = np.abs(noise[moving] - after) <= _SETTLED * noise[moving]
            settled |= after == 0
            noise[moving] = after
            here = moving[after > 0]
            loss[moving] = 0.0
            loss[here] = self.curve(noise[here], self.probability[here])
            steps[moving[settled]] = len(noises)
            moving = moving[~settled]
            noises.append(noise)
            losses.append(loss)
        return np.stack(noises), np.stack(losses), steps

    def fixed_points(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Returns the largest, the smallest, and the fixed point of least free energy, of τ."""
        parts = [self.part(slice(at, at + _CHUNK))._scanned() for at in range(0, self.start.size, _CHUNK)]
        largest, smallest, best = (np.concatenate(part) for part in zip(*parts, strict=True))
        return largest, smallest, best

    def _scanned(self) -> tuple[FloatArray, ...]:
        """Finds where mmse(τ) = E(τ) from the start's τ down to that of the measurements, on the curve's nodes."""
        noise, bottom, top = self.noise_variance, self.lowest, np.maximum(self.start, self.lowest)
        ell = self.curve.log_noise
        tau = np.clip(np.exp(ell)[:, None], bottom, top)
        mmse = self.curve.on_grid(ell, self.probability)
        mmse = np.where(tau > bottom, mmse, self.curve(bottom, self.probability))
        mmse = np.where(tau < top, mmse, self.curve(top, self.probability))
        spare = self.asked_error(tau) - mmse
        # A stable fixed point is where more noise leaves some to spare. Without noise there is one at 0 if all of the
        # lowest noise is spare; with it, the lowest noise lies below all of them.
        rises = (spare[:-1] < 0) & (spare[1:] >= 0)
        resolved = (spare[0] >= 0) & (noise == 0)
        energy = self._energy(tau, spare)
        point, place = np.nonzero(rises.T)
        roots = self._roots(tau[place, point], tau[place + 1, point], point)
        largest, smallest, best = np.full((3, top.size), np.nan)
        least = np.where(resolved, -np.inf, np.inf)
        for these in (largest, smallest, best):
            these[resolved] = 0.0
        for which, root, height in zip(point, roots, energy[place + 1, point], strict=True):
            largest[which] = np.fmax(largest[which], root)
            smallest[which] = np.fmin(smallest[which], root)
            if height < least[which]:
                least[which], best[which] = height, root
        # All of the start is spare but for rounding, when nothing can be learnt or nothing is left to learn.
        return tuple(np.where(np.isnan(these), top, these) for these in (largest, smallest, best))

    def _roots(self, low: FloatArray, high: FloatArray, point: npt.NDArray[np.intp]) -> FloatArray:
        def spare(ell: FloatArray, which: npt.NDArray[np.intp]) -> FloatArray:
            here, tau = self.part(which), np.exp(ell)
            return here.asked_error(tau) - here.curve(tau, here.probability)

        if not point.size:
            return np.empty(0)
        found = elementwise.find_root(spare, (np.log(low), np.log(high)), args=(point,), tolerances=_ROOT)
        # An end that is a root but for rounding may have another sign now: where there is next to no error left, that
        # of the measurements.
        at_low, at_high = (np.abs(spare(np.log(end), point)) for end in (low, high))
        return np.where(found.success, np.exp(found.x), np.where(at_low <= at_high, low, high))

    @staticmethod
    def _energy(tau: FloatArray, spare: FloatArray) -> FloatArray:
        """Returns ½ ∫ (mmse − E) d(1/τ) from the lowest noise on, by the trapezoidal rule in log τ."""
        slope = 0.5 * spare / tau
        steps = np.diff(np.log(tau), axis=0) * (slope[1:] + slope[:-1]) / 2
        return np.vstack([np.zeros(tau.shape[1]), np.cumsum(steps, axis=0)])


def _moderate_noise(noise_variance: npt.ArrayLike, unit: float) -> FloatArray:
    """Returns a noise variance, checked to be 0 or of a size that the tables reach."""
    noise = _checks.finite("noise_variance", noise_variance, non_negative=True)
    _checks.in_interval("noise_variance", np.where(noise > 0, noise, unit), _LEAST * unit, unit / _LEAST, hint=(
        "give 0 for no noise"))  # fmt: skip
    return noise


@lru_cache(maxsize=256)
def _threshold(p: float, law: Law) -> float:
    """Returns sup over τ of mmse(τ)/τ for one p."""
    variance = float(law.sparse_variance(p))
    if variance == 0:
        return 0.0
    # Beyond E u² the ratio falls as 1/τ.
    ell = np.arange(np.log(variance) - 30, np.log(law.second_moment) + 3, _THRESHOLD_STEP)
    share = np.array([bayes_loss(np.exp(x / 2), p, law) for x in ell]) / np.exp(ell)
    top = int(np.argmax(share))
    if top == 0:  # the limit τ → 0, where a density is as good as constant and every active feature is noise
        return p if law.has_density else float(share[0])
    best = minimize_scalar(
        lambda x: -bayes_loss(np.exp(x / 2), p, law) / np.exp(x),
        bounds=(ell[top - 1], ell[top + 1]),
        method="bounded",
        options={"xatol": _THRESHOLD_PLACE},
    )
    return float(-best.fun)

"""Laws: distributions of an active feature's value, as closed-form moments, sampling and quadrature."""

import abc
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray

if TYPE_CHECKING:
    from superposition.features.smoothing import Smoothed

# Panels around a kink, in units of its width: beyond 9 widths a Gaussian-smoothed kink is straight in float64.
_PANELS = np.array([-9.0, -6.5, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.5, 9.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)

# A Gaussian of more than half the law's length makes integrands that few nodes resolve to float64.
_WIDE = 0.5
_FEW_NODES, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(10)


class Law(abc.ABC):
    """Distribution of the value u of an active feature.

    A law is its closed-form moments, its quantile function (which samples it) and quadrature nodes.
    Subclasses are frozen dataclasses whose fields are the law's parameters.
    """

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """E u."""

    @property
    @abc.abstractmethod
    def second_moment(self) -> float:
        """E u²."""

    @property
    def variance(self) -> float:
        """Var u."""
        return self.second_moment - self.mean**2

    @abc.abstractmethod
    def quantile(self, uniforms: Any) -> Any:
        """Returns u from uniforms on [0, 1): a NumPy array or a torch tensor, of the shape and kind given."""

    @abc.abstractmethod
    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights with Σ weight f(value) = E f(u), nodes along a new last axis.

        Exact to float64 for an f that is smooth but for a kink, at u = `kink`, smoothed by a Gaussian of
        standard deviation `width` (the shape of every mean-field integrand).

        Args:
            kink: Where f bends; any shape, broadcast with `width`.
            width: Standard deviation of the smoothing, ≥ 0.
        """

    def smoothed(self, threshold: FloatArray, width: FloatArray) -> "Smoothed":
        """Returns the Gaussian-smoothed moments with z = (u + threshold)/width, of the arguments' shape."""
        from superposition.features.smoothing import Smoothed

        values, weights = self.nodes(-threshold, width)
        return Smoothed.by_quadrature(values, weights, threshold, width)

    def silent_second_moment(self, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Returns E u² Φ(−(u + threshold)/width), the part of E u² that falls below the threshold."""
        from superposition.features.smoothing import silent_by_quadrature

        values, weights = self.nodes(-threshold, width)
        return silent_by_quadrature(values, weights, threshold, width)

    def to_config(self) -> dict[str, Any]:
        """Returns the law as plain data: its name and parameters."""
        return {"name": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


@final
@dataclass(frozen=True)
class Uniform(Law):
    """Uniform on [low, high], 0 ≤ low < high; the papers' law is Uniform().

    >>> Uniform().second_moment
    0.3333333333333333
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(_checks.finite("low", self.low, non_negative=True)))
        object.__setattr__(self, "high", float(_checks.finite("high", self.high)))
        if not self.high > self.low:
            raise ValueError(f"`high` must exceed `low` = {self.low:g}, got {self.high:g}: use Constant for one value")

    @property
    def mean(self) -> float:
        """E u = (low + high) / 2."""
        return (self.low + self.high) / 2

    @property
    def second_moment(self) -> float:
        """E u² = (low² + low·high + high²) / 3."""
        return (self.low**2 + self.low * self.high + self.high**2) / 3

    @property
    def variance(self) -> float:
        """Var u = (high − low)² / 12."""
        return (self.high - self.low) ** 2 / 12

    def quantile(self, uniforms: Any) -> Any:
        """Returns low + (high − low)·uniforms."""
        return self.low + (self.high - self.low) * uniforms

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Gauss–Legendre: panels of a few widths around the kink and long ones elsewhere, or one if all is wide."""
        kink, width = np.broadcast_arrays(np.asarray(kink, float), np.asarray(width, float))
        length = self.high - self.low
        if (width >= _WIDE * length).all():
            shape = (*kink.shape, len(_FEW_NODES))
            values = self.low + length * (1 + _FEW_NODES) / 2
            return np.broadcast_to(values, shape), np.broadcast_to(_FEW_WEIGHTS / 2, shape)
        inner = np.clip(kink[..., None] + width[..., None] * _PANELS, self.low, self.high)
        ends = np.full((*kink.shape, 1), self.low), np.full((*kink.shape, 1), self.high)
        edges = np.concatenate([ends[0], inner, ends[1]], axis=-1)
        half = np.diff(edges)[..., None] / 2
        centre = (edges[..., 1:] + edges[..., :-1])[..., None] / 2
        shape = (*kink.shape, half.shape[-2] * len(_NODES))
        return (centre + half * _NODES).reshape(shape), (half * _WEIGHTS).reshape(shape) / length

    def smoothed(self, threshold: FloatArray, width: FloatArray) -> "Smoothed":
        """Closed form where the noise is narrow, few nodes where the integrands are smooth across the law."""
        from superposition.features.smoothing import Smoothed

        narrow = self._has_closed_form(threshold, width)
        if narrow.all():
            return Smoothed.uniform(self.low, self.high, threshold, width)
        if not narrow.any():
            return super().smoothed(threshold, width)
        closed = Smoothed.uniform(self.low, self.high, threshold[narrow], width[narrow])
        return closed.interleaved(super().smoothed(threshold[~narrow], width[~narrow]), narrow)

    def silent_second_moment(self, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Closed form where the noise is narrow, few nodes elsewhere."""
        from superposition.features.smoothing import interleave, silent_uniform

        narrow = self._has_closed_form(threshold, width)
        closed = silent_uniform(self.low, self.high, threshold[narrow], width[narrow])
        return interleave(closed, super().silent_second_moment(threshold[~narrow], width[~narrow]), narrow)

    def _has_closed_form(self, threshold: FloatArray, width: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether the closed form neither cancels (a law or threshold far from 0) nor divides by zero."""
        length = self.high - self.low
        moderate = (np.abs(threshold) <= 100 * length) & (self.low <= length)
        return np.asarray(moderate & (width <= _WIDE * length) & (width >= 1e-12 * length))


@final
@dataclass(frozen=True)
class Constant(Law):
    """A single value > 0 whenever the feature is active.

    >>> Constant(2.0).variance
    0.0
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(_checks.finite("value", self.value)))
        if not self.value > 0:
            raise ValueError(f"`value` must be positive, got {self.value:g}: a feature of value 0 is never active")

    @property
    def mean(self) -> float:
        """E u = value."""
        return self.value

    @property
    def second_moment(self) -> float:
        """E u² = value²."""
        return self.value**2

    @property
    def variance(self) -> float:
        """Var u = 0, exactly."""
        return 0.0

    def quantile(self, uniforms: Any) -> Any:
        """Returns `value` everywhere."""
        return self.value + 0 * uniforms

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """One node."""
        shape = (*np.broadcast_shapes(np.shape(kink), np.shape(width)), 1)
        return np.full(shape, float(self.value)), np.ones(shape)


_LAWS: tuple[type[Law], ...] = (Uniform, Constant)


def law_from_config(config: Any) -> Law:
    """Returns the law that `Law.to_config` described; raises ValueError if it is none."""
    by_name = {law.__name__: law for law in _LAWS}
    if not isinstance(config, dict) or config.get("name") not in list(by_name):
        raise ValueError(f"`law` must be one of {', '.join(by_name)} with its parameters, got {config!r}")
    parameters = {key: value for key, value in config.items() if key != "name"}
    try:
        return by_name[config["name"]](**parameters)
    except TypeError:
        raise ValueError(f"`law` {config['name']} must have its own parameters only, got {parameters!r}") from None

"""Laws: distributions of an active feature's value, as closed-form moments, sampling and quadrature."""

import abc
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray

# Panels around a kink, in units of its width: beyond 9 widths a Gaussian-smoothed kink is straight in float64.
_PANELS = np.array([-9.0, -6.5, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.5, 9.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


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
        """Composite Gauss–Legendre: panels of a few widths around the kink, long ones elsewhere."""
        kink, width = np.broadcast_arrays(np.asarray(kink, float), np.asarray(width, float))
        inner = np.clip(kink[..., None] + width[..., None] * _PANELS, self.low, self.high)
        ends = np.broadcast_to([self.low], (*kink.shape, 1)), np.broadcast_to([self.high], (*kink.shape, 1))
        edges = np.concatenate([ends[0], inner, ends[1]], axis=-1)
        half = np.diff(edges)[..., None] / 2
        centre = (edges[..., 1:] + edges[..., :-1])[..., None] / 2
        shape = (*kink.shape, -1)
        values = (centre + half * _NODES).reshape(shape)
        weights = (half * _WEIGHTS).reshape(shape) / (self.high - self.low)
        return values, weights


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

"""What a law is."""

import abc
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from superposition import _checks, features
from superposition._checks import FloatArray
from superposition.features.laws.tilted import Tilted

if TYPE_CHECKING:
    import torch

    from superposition.features.smoothing import Smoothed
    from superposition.features.source import Source

# Nodes of all points taken together in one go: a block of them fits in cache and bounds the memory.
_BLOCK = 2**19

# The values of a law have squares, and squares of these, that neither overflow nor vanish.
_SMALLEST, _LARGEST = 1e-100, 1e100


class Law(abc.ABC):
    """Distribution of the value u of an active feature, u ≥ 0.

    A law is its closed-form moments, how it is sampled, and quadrature nodes.
    Subclasses are frozen dataclasses whose fields are the law's parameters.

    Attributes:
        kind: Name of the law in files.
        has_density: Whether no single value has a probability.
    """

    kind: ClassVar[str] = ""
    has_density: ClassVar[bool] = True

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

    def sparse_variance(self, probability: Any) -> Any:
        """Returns Var x of x = c u, c ~ Bernoulli(probability), as a sum that does not cancel."""
        return probability * (self.variance + (1 - probability) * self.mean**2)

    @property
    @abc.abstractmethod
    def landmarks(self) -> FloatArray:
        """Increasing values between which the density is smooth (or zero), or those that alone have mass.

        The first and the last enclose the support, an infinite one cut where no mass is left in float64.
        """

    @property
    def support(self) -> tuple[float, float]:
        """The first and the last landmark: the values between which the law is, in float64."""
        landmarks = self.landmarks
        return float(landmarks[0]), float(landmarks[-1])

    def draw(self, n: int, generator: "torch.Generator", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns n independent values on the generator's device, whose state alone decides them.

        Raises:
            ValueError: An argument is of another kind, or the values are too large or small for the dtype.
        """
        return features.sampling.draw_values(self, n, generator, dtype)

    @classmethod
    def of_numbers(cls, *parameters: float) -> Self:
        """Returns the law of these parameters; raises TypeError if they are too many or too few."""
        return cls(*parameters)

    @abc.abstractmethod
    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns n independent values, made of a source's random numbers, on its device.

        Args:
            n: How many, ≥ 0.
            source: Of uniform, exponential, normal and gamma numbers.
            dtype: Of the values.
        """

    def nodes(self, kink: npt.ArrayLike, width: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights with Σ weight f(value) = E f(u), nodes along a new last axis.

        Exact to float64 for an f that is smooth but for a kink, at u = `kink`, smoothed by a Gaussian of
        standard deviation `width` (the shape of every mean-field integrand). The nodes of a point are its own:
        in company of points that take more of them it has further ones, of weight 0.

        Args:
            kink: Where f bends; any shape, broadcast with `width`.
            width: Standard deviation of the smoothing, ≥ 0.

        Raises:
            ValueError: An argument is no number, or not finite, or the two do not broadcast.
        """
        kink, width = _checks.finite("kink", kink), _checks.finite("width", width, non_negative=True)
        return self._nodes(*_checks.broadcast(kink=kink, width=width))

    def _nodes(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns the nodes of points of one shape."""
        wide = width >= self._wide
        if not wide.any():
            return self.panels(kink, width)
        few, few_weights = self._rule
        if wide.all():
            shape = (*kink.shape, few.size)
            return np.broadcast_to(few, shape), np.broadcast_to(few_weights, shape)
        values, weights = self.panels(kink, width)
        values[wide], weights[wide] = few[0], 0.0
        values[wide, : few.size], weights[wide, : few.size] = few, few_weights
        return values, weights

    @property
    def _wide(self) -> float:
        """From this width on few nodes, those of `_rule`, do."""
        return np.inf

    @property
    def _rule(self) -> tuple[FloatArray, FloatArray]:
        """Values and weights of a Gauss rule of few nodes, of shape (k,) each."""
        raise NotImplementedError

    @abc.abstractmethod
    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights that resolve the kink; `kink` and `width` are of one shape."""

    @abc.abstractmethod
    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """Returns the law as seen from z = u + ν, ν ~ N(0, width²): shape (k,), any finite z and width > 0."""

    def smoothed(self, threshold: FloatArray, width: FloatArray) -> "Smoothed":
        """Returns the Gaussian-smoothed moments with z = (u + threshold)/width, of the arguments' shape."""

        def moments(values: FloatArray, weights: FloatArray, *point: FloatArray) -> tuple[FloatArray, ...]:
            part = features.smoothing.Smoothed.by_quadrature(values, weights, *point)
            return tuple(getattr(part, field.name) for field in dataclasses.fields(part))

        return features.smoothing.Smoothed(*self._integrated(moments, threshold, width))

    def silent_second_moment(self, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Returns E u² Φ(−(u + threshold)/width), the part of E u² that falls below the threshold."""

        def moment(*arrays: FloatArray) -> tuple[FloatArray, ...]:
            return (features.smoothing.silent_by_quadrature(*arrays),)

        return self._integrated(moment, threshold, width)[0]

    def distortion(self, slope: FloatArray, offset: FloatArray, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Returns E (slope · u − offset)² Φ((u + threshold)/width), which its three terms may cancel to."""

        def moment(*arrays: FloatArray) -> tuple[FloatArray, ...]:
            return (features.smoothing.distortion_by_quadrature(*arrays),)

        return self._integrated(moment, threshold, width, slope, offset)[0]

    def to_config(self) -> dict[str, Any]:
        """Returns the law as plain data: its name and parameters."""
        return {"name": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def _integrated(
        self,
        function: Callable[..., tuple[FloatArray, ...]],
        threshold: FloatArray,
        width: FloatArray,
        *more: FloatArray,
    ) -> tuple[FloatArray, ...]:
        """Returns function(values, weights, threshold, width, *more), few nodes where these do, in blocks."""

        def within(*point: FloatArray) -> tuple[FloatArray, ...]:
            return function(*self._nodes(-point[0], point[1]), *point)

        point = (threshold, width, *more)
        wide = width >= self._wide
        if wide.all() or not wide.any():
            return self._in_blocks(within, *point)
        parts = (self._in_blocks(within, *(x[mask] for x in point)) for mask in (wide, ~wide))
        return tuple(features.smoothing.interleave(few, many, wide) for few, many in zip(*parts, strict=True))

    def _in_blocks(
        self,
        function: Callable[..., tuple[FloatArray, ...]],
        threshold: FloatArray,
        width: FloatArray,
        *more: FloatArray,
    ) -> tuple[FloatArray, ...]:
        """Returns function(threshold, width, *more), taken over as many points at a time as memory is meant for."""
        n_nodes = self._nodes(np.zeros(()), np.asarray(width.min()))[0].size if width.size else 1
        size = max(1, _BLOCK // n_nodes)
        if threshold.size <= size:
            return function(threshold, width, *more)
        flat = [x.ravel() for x in (threshold, width, *more)]
        parts = [function(*(x[at : at + size] for x in flat)) for at in range(0, threshold.size, size)]
        return tuple(np.concatenate(moments).reshape(threshold.shape) for moments in zip(*parts, strict=True))


def parameter(name: str, value: npt.ArrayLike) -> float:
    """Returns a law's parameter as float; raises ValueError unless it is one finite number."""
    return _checks.one(name, _checks.finite(name, value))


def magnitude(name: str, value: float) -> float:
    """Returns a value that sets the magnitude of a law; raises ValueError unless its square is one of float64."""
    return float(_checks.in_interval(name, value, _SMALLEST, _LARGEST, hint="use another unit"))

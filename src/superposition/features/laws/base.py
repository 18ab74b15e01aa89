"""What a law is."""

import abc
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from superposition._checks import FloatArray

if TYPE_CHECKING:
    import torch

    from superposition.features.smoothing import Smoothed

# Nodes of all points taken together in one go: a block of them fits in cache and bounds the memory.
_BLOCK = 2**19


class Law(abc.ABC):
    """Distribution of the value u of an active feature, u ≥ 0.

    A law is its closed-form moments, how it is sampled, and quadrature nodes.
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
        """Returns n independent values on the generator's device, whose state alone decides them."""
        from superposition.features.drawing import draw_values
        from superposition.features.source import source_of

        return draw_values(self, n, source_of(generator), dtype)

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

        def moments(threshold: FloatArray, width: FloatArray) -> tuple[FloatArray, ...]:
            values, weights = self.nodes(-threshold, width)
            part = Smoothed.by_quadrature(values, weights, threshold, width)
            return tuple(getattr(part, field.name) for field in dataclasses.fields(part))

        return Smoothed(*self._in_blocks(moments, threshold, width))

    def silent_second_moment(self, threshold: FloatArray, width: FloatArray) -> FloatArray:
        """Returns E u² Φ(−(u + threshold)/width), the part of E u² that falls below the threshold."""
        from superposition.features.smoothing import silent_by_quadrature

        def moment(threshold: FloatArray, width: FloatArray) -> tuple[FloatArray, ...]:
            values, weights = self.nodes(-threshold, width)
            return (silent_by_quadrature(values, weights, threshold, width),)

        return self._in_blocks(moment, threshold, width)[0]

    def to_config(self) -> dict[str, Any]:
        """Returns the law as plain data: its name and parameters."""
        return {"name": type(self).__name__, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def _in_blocks(
        self,
        function: Callable[[FloatArray, FloatArray], tuple[FloatArray, ...]],
        threshold: FloatArray,
        width: FloatArray,
    ) -> tuple[FloatArray, ...]:
        """Returns function(threshold, width), taken over as many points at a time as memory is meant for."""
        n_nodes = self.nodes(0.0, width.min(initial=np.inf))[0].size
        size = max(1, _BLOCK // n_nodes)
        if threshold.size <= size:
            return function(threshold, width)
        flat = threshold.ravel(), width.ravel()
        parts = [function(*(x[at : at + size] for x in flat)) for at in range(0, threshold.size, size)]
        return tuple(np.concatenate(moments).reshape(threshold.shape) for moments in zip(*parts, strict=True))

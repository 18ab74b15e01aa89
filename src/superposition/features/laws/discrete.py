"""Laws of finitely many values, whose nodes are those values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import fsum
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features.laws.base import Law, magnitude, parameter
from superposition.features.laws.clusters import Clusters
from superposition.features.laws.tilted import Tilted

if TYPE_CHECKING:
    import torch

    from superposition.features.source import Source

# A sum of weights that is 1 but for the rounding of a normalisation before.
_ROUNDING = 4 * np.finfo(float).eps
_SHOWN = 6
# Values of which integrals are taken one by one: more than those have that are resolved around a kink.
_FEW = 150
# Points taken together.
_POINTS = 1024


@final
@dataclass(frozen=True)
class Constant(Law):
    """A single value > 0 whenever the feature is active.

    >>> Constant(2.0).variance
    0.0
    """

    kind: ClassVar[str] = "Constant"

    has_density: ClassVar[bool] = False

    value: float = 1.0

    def __post_init__(self) -> None:
        value = parameter("value", self.value)
        if not value > 0:
            raise ValueError(f"`value` must be positive, got {value:g}: a feature of value 0 is never active")
        object.__setattr__(self, "value", magnitude("value", value))

    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns the value n times."""
        return source.constants(self.value, n, dtype)

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

    @property
    def landmarks(self) -> FloatArray:
        """[value]."""
        return np.array([self.value])

    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns the value, of weight 1."""
        shape = (*np.broadcast_shapes(kink.shape, width.shape), 1)
        return np.full(shape, self.value), np.ones(shape)

    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """The value, whatever z."""
        return Tilted.atoms(np.array([self.value]), np.ones(1), z, width)


@final
@dataclass(frozen=True, repr=False)
class Empirical(Law):
    """Values seen, or a histogram of them: each value with its share of the weight.

    Integrals are sums over the distinct values, mean-field integrals over few nodes where there are many of them.

    Args:
        values: Shape (k,), finite and not negative; kept as a tuple, sorted, without repetition.
        weights: Shape (k,), not negative, in any unit; kept as a tuple of sum 1. All alike if not given.

    Raises:
        ValueError: An entry is out of range, the lengths differ, or no weight lies on a value above 0.

    >>> Empirical([3.0, 1.0, 1.0, 1.0])
    Empirical(values=(1.0, 3.0), weights=(0.75, 0.25))
    >>> Empirical([3.0, 1.0], weights=[1, 3]).mean
    1.5
    """

    kind: ClassVar[str] = "Empirical"

    has_density: ClassVar[bool] = False

    values: Any
    weights: Any = None

    def __post_init__(self) -> None:
        values = _vector("values", self.values)
        weights = np.ones(values.size) if self.weights is None else _vector("weights", self.weights)
        if weights.size != values.size:
            raise ValueError(f"`weights` must have one entry per value, {values.size}, got {weights.size}")
        if not weights.any():
            raise ValueError(f"`weights` must be positive somewhere, got {_shortened(weights)}")
        distinct, place = np.unique(values, return_inverse=True)
        merged = np.asarray(np.bincount(place, weights / max(1.0, weights.max())), np.float64)
        total = fsum(merged)
        if abs(total - 1) > _ROUNDING:
            merged = merged / total
        distinct, merged = distinct[merged > 0], merged[merged > 0]
        if not distinct.any():
            raise ValueError("`values` must have a positive one of positive weight, got 0 alone: it is never active")
        magnitude("values", distinct[-1])
        object.__setattr__(self, "values", tuple(distinct.tolist()))
        object.__setattr__(self, "weights", tuple(merged.tolist()))

    @classmethod
    def of_numbers(cls, *parameters: float) -> Self:
        """Returns the law of these values."""
        return cls(parameters)

    def __repr__(self) -> str:
        return f"Empirical(values={_shortened(self.values)}, weights={_shortened(self.weights)})"

    def sampled(self, n: int, source: "Source", dtype: "torch.dtype") -> "torch.Tensor":
        """Returns values by their weights."""
        return source.chosen(self.values, self.weights, n).to(dtype)

    @property
    def mean(self) -> float:
        """E u = Σ weight · value."""
        values, weights = self._atoms
        return float(weights @ values)

    @property
    def second_moment(self) -> float:
        """E u² = Σ weight · value²."""
        values, weights = self._atoms
        return float(weights @ values**2)

    @property
    def variance(self) -> float:
        """Var u = Σ weight · (value − mean)²."""
        values, weights = self._atoms
        return float(weights @ (values - self.mean) ** 2)

    @property
    def landmarks(self) -> FloatArray:
        """The values."""
        return self._atoms[0]

    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns all values and their weights."""
        values, weights = self._atoms
        shape = (*np.broadcast_shapes(kink.shape, width.shape), values.size)
        return np.broadcast_to(values, shape), np.broadcast_to(weights, shape)

    def tilted(self, z: FloatArray, width: float) -> Tilted:
        """The values, each by its weight and its distance from z."""
        return Tilted.atoms(*self._atoms, z, width)

    def _integrated(
        self,
        function: Callable[..., tuple[FloatArray, ...]],
        threshold: FloatArray,
        width: FloatArray,
        *more: FloatArray,
    ) -> tuple[FloatArray, ...]:
        """Takes the values together that the integrand, a Gaussian-smoothed kink times u² at most, does not tell apart.

        A moment of u^k is within 1e-13 of itself and 1e-18 of E u^k. Where the kink is outside the support it is within
        1e-12 of itself, however small, if weights do not differ by more than 1e6. To this comes the rounding of nodes,
        by a few units in the last place of themselves and of the noise's width.
        """
        if len(self.values) <= _FEW or not threshold.size:
            return super()._integrated(function, threshold, width, *more)
        kink, spread, *others = (np.ravel(x) for x in (-threshold, width, *more))
        clusters = _clusters(self)
        level = clusters.levels(kink, spread)
        order = np.argsort(level, kind="stable")
        parts = []
        for here in np.split(order, np.flatnonzero(np.diff(level[order])) + 1):
            for at in range(0, here.size, _POINTS):
                some = here[at : at + _POINTS]
                nodes = clusters.nodes(int(level[some[0]]), kink[some], spread[some])
                parts.append(function(*nodes, -kink[some], *(x[some] for x in (spread, *others))))
        moments = []
        for rows in zip(*parts, strict=True):
            moment = np.empty(kink.size)
            moment[order] = np.concatenate(rows)
            moments.append(moment.reshape(threshold.shape))
        return tuple(moments)

    def to_config(self) -> dict[str, Any]:
        """Returns the name, and values and weights as lists."""
        return super().to_config() | {"values": list(self.values), "weights": list(self.weights)}

    @cached_property
    def _atoms(self) -> tuple[FloatArray, FloatArray]:
        atoms = np.array(self.values), np.array(self.weights)
        for atom in atoms:
            atom.flags.writeable = False
        return atoms


@lru_cache(maxsize=8)
def _clusters(law: Empirical) -> Clusters:
    """Returns the law's clusters, tables that are no part of it."""
    return Clusters(*law._atoms)


def _vector(name: str, value: Any) -> FloatArray:
    vector = _checks.finite(name, value, non_negative=True)
    if vector.ndim != 1 or not vector.size:
        raise ValueError(f"`{name}` must be one-dimensional and not empty, got shape {vector.shape}")
    return vector


def _shortened(entries: Any) -> str:
    shown = ", ".join(repr(float(entry)) for entry in entries[:_SHOWN])
    return f"({shown}{f', … {len(entries)} in all' if len(entries) > _SHOWN else ',' * (len(entries) == 1)})"

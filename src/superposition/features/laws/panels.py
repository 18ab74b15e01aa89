"""Quadrature over a density: Gauss–Legendre panels that resolve it and the kink, or a Gauss rule of few nodes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from superposition._checks import FloatArray

# Panels around a kink, in units of its width: beyond 9 widths a Gaussian-smoothed kink is straight in float64.
KINK = np.array([-9.0, -6.5, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.5, 9.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)

# Degree of a polynomial that a panel must integrate times the density, and the error allowed, of the panel's
# mass and of all: a few roundings of the one, and of the other what a thousand panels may leave together.
_DEGREE = 6
_TOLERANCE = 1e-15, 1e-17
_MOST_BISECTIONS = 12

# Nodes of that rule, and a norm that is none.
_RULE_SIZE = 16
_NOTHING = 1e-300


@dataclass(frozen=True)
class Density:
    """A density smooth between its edges and negligible outside.

    Attributes:
        function: The density.
        edges: Of panels that resolve it.
    """

    function: Callable[[FloatArray], FloatArray]
    edges: FloatArray

    @classmethod
    def on(cls, low: float, high: float, function: Callable[[FloatArray], FloatArray]) -> "Density":
        """Returns the density on [low, high], its panels found by bisection."""
        return cls(function, resolving(np.array([low, high]), function))

    def panels(self, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns values and weights that resolve the kink."""
        values, weights = panel_nodes(self.edges, kink, width)
        return values, weights * self.function(values)

    @cached_property
    def rule(self) -> tuple[FloatArray, FloatArray]:
        """A Gauss rule of few nodes."""
        values, weights = legendre(self.edges)
        return gauss_rule(values, weights * self.function(values), _RULE_SIZE)


def panel_nodes(edges: FloatArray, kink: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns values and weights with Σ weight f(value) = ∫ f from the first edge to the last.

    Panels end at every edge, where the density may, and around the kink at multiples of its width.

    Args:
        edges: Increasing along the last axis, shape (k,) or one row a kink.
        kink: Where f bends.
        width: Of the same shape.
    """
    around = np.clip(kink[..., None] + width[..., None] * KINK, edges[..., :1], edges[..., -1:])
    own = np.broadcast_to(edges, (*kink.shape, edges.shape[-1]))
    return legendre(np.sort(np.concatenate([own, around], axis=-1), axis=-1))


def anchored_nodes(
    edges: FloatArray, anchor: FloatArray, around: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns values, the same as offsets from an anchor, and weights with Σ weight f = ∫ f over the edges.

    Each of the two is exact to rounding, however close a node is to 0 or to the anchor.

    Args:
        edges: Increasing, not negative, one row an anchor, shape (n, k).
        anchor: Shape (n,).
        around: Edges of further panels as offsets from the anchor, shape (n, m).
    """
    own = edges - anchor[:, None]
    around = np.clip(around, own[:, :1], own[:, -1:])
    further = np.clip(anchor[:, None] + around, edges[:, :1], edges[:, -1:])
    offsets = np.sort(np.concatenate([own, around], axis=1), axis=1)
    places = np.sort(np.concatenate([edges, further], axis=1), axis=1)
    by_offset, by_place = np.diff(offsets)[..., None] / 2, np.diff(places)[..., None] / 2
    offset, place = offsets[:, :-1, None] + by_offset, places[:, :-1, None] + by_place
    half = np.where(np.abs(offset) < place, by_offset, by_place)
    shape = (len(anchor), -1)
    return (
        (place + half * _NODES).reshape(shape),
        (offset + half * _NODES).reshape(shape),
        (half * _WEIGHTS).reshape(shape),
    )


def resolving(edges: FloatArray, density: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Returns the edges with those between that it takes to integrate the density over each panel."""
    left, right = edges[:-1], edges[1:]
    mass = _moments(np.stack([left, right], axis=1), density)[:, 0].sum()
    resolved = [edges]
    for _ in range(_MOST_BISECTIONS):
        centre = (left + right) / 2
        halved = np.stack([left, centre, right], axis=1)
        whole, halves = _moments(halved[:, ::2], density), _moments(halved, density)
        error = np.abs(whole - halves).max(axis=1, initial=0.0)
        # Rounding of a node moves it by more of a short panel far from 0.
        rounding = _TOLERANCE[0] * (1 + right / (right - left))
        poor = error > rounding * halves[:, 0] + _TOLERANCE[1] * mass
        if not poor.any():
            break
        resolved.append(centre[poor])
        left, right = np.concatenate([left[poor], centre[poor]]), np.concatenate([centre[poor], right[poor]])
    return np.unique(np.concatenate(resolved))


def gauss_rule(values: FloatArray, weights: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Returns the Gauss rule of `size` nodes of a discrete measure."""
    nodes, node_weights = gauss_rules(values[None], weights[None], size)
    return nodes[0], node_weights[0]


def gauss_rules(values: FloatArray, weights: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Returns Gauss rules of discrete measures, one a row (Lanczos, fully reorthogonalised)."""
    mass = weights.sum(axis=1)
    centre = np.einsum("rk,rk->r", weights, values) / mass
    spread = np.sqrt(np.einsum("rk,rk->r", weights, (values - centre[:, None]) ** 2) / mass)
    position = (values - centre[:, None]) / spread[:, None]
    basis = np.zeros((len(values), size, values.shape[1]))
    basis[:, 0] = np.sqrt(weights / mass[:, None])
    jacobi = np.zeros((len(values), size, size))
    for k in range(size):
        following = position * basis[:, k]
        jacobi[:, k, k] = np.einsum("rk,rk->r", following, basis[:, k])
        for _ in range(2):
            known = basis[:, : k + 1]
            following = following - np.einsum("rj,rjk->rk", np.einsum("rjk,rk->rj", known, following), known)
        norm = np.linalg.norm(following, axis=1)
        if k + 1 < size:
            jacobi[:, k, k + 1] = jacobi[:, k + 1, k] = norm
            # Nothing is left of a measure of few values but for rounding.
            basis[:, k + 1] = following / np.maximum(norm, _NOTHING)[:, None]
    nodes, vectors = np.linalg.eigh(jacobi)
    return centre[:, None] + spread[:, None] * nodes, mass[:, None] * vectors[:, 0] ** 2


def legendre(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns nodes and weights of the panels between the edges, along the last axis."""
    half = np.diff(edges)[..., None] / 2
    centre = (edges[..., 1:] + edges[..., :-1])[..., None] / 2
    shape = (*edges.shape[:-1], half.shape[-2] * len(_NODES))
    return (centre + half * _NODES).reshape(shape), (half * _WEIGHTS).reshape(shape)


def _moments(rows: FloatArray, density: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Returns ∫ density · t^k for k = 0 and _DEGREE of each row of edges, over which t runs from −1 to 1."""
    values, weights = legendre(rows)
    left, right = rows[:, :1], rows[:, -1:]
    t = (2 * values - left - right) / (right - left)
    mass = weights * density(values)
    return np.stack([mass.sum(axis=1), (mass * t**_DEGREE).sum(axis=1)], axis=1)

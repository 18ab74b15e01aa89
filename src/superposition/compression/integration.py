"""The exact expected loss of a quantised pair: polynomials on polygons, integrated piece by piece."""

import numpy as np

from superposition._checks import FloatArray
from superposition.compression.piecewise import PiecewiseLinear

# Gauss's rule with two nodes on [−1, 1], whose weights are 1: exact for cubic polynomials.
_NODES = np.array([-1.0, 1.0]) / np.sqrt(3.0)


def segment_losses(stairs_x: PiecewiseLinear, stairs_t: PiecewiseLinear, height: float) -> tuple[float, float]:
    """Returns ∫∫ of the squared errors of x and y over all segments, x in units of a segment, y over [0, 1].

    Within a linear piece of the encoder, the lines on which the code u = S(x) + height · y meets a knot of the decoder
    cut the square into polygons, with a quadratic error on each. Its integral over y between two lines is cubic in x,
    until lines meet the square's edge: two nodes are exact in both directions.

    Args:
        stairs_x: S, from x in units of a segment to the level.
        stairs_t: T, from the code u to the level.
        height: How much of the code a segment takes, 1 − w in (0, 1].
    """
    x, weight_x = _nodes(_cuts(stairs_x, stairs_t.knots, height))
    level = stairs_x(x)
    lines = np.clip((stairs_t.knots - level[:, None]) / height, 0.0, 1.0)
    edges = np.pad(lines, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))
    y, weight_y = _nodes(edges)
    code = level[:, None] + height * y
    decoded = stairs_t(code)
    weight = weight_x[:, None] * weight_y
    errors_x, errors_y = x[:, None] - decoded - 0.5, y - (code - decoded) / height
    return float((weight * errors_x**2).sum()), float((weight * errors_y**2).sum())


def _cuts(stairs: PiecewiseLinear, knots_t: FloatArray, height: float) -> FloatArray:
    """Returns where the integral over y changes its form: at knots, and where a line meets y = 0 or y = 1."""
    crossings = [stairs.knots]
    levels = np.concatenate([knots_t, knots_t - height])
    for left, low, high, width in zip(
        stairs.knots[:-1], stairs.values[:-1], stairs.values[1:], stairs.widths, strict=True
    ):
        within = levels[(levels > low) & (levels < high)]
        crossings.append(left + width * (within - low) / (high - low) if high > low else within)
    return np.unique(np.concatenate(crossings))


def _nodes(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns nodes and weights of the intervals between edges along the last axis, two an interval."""
    half = np.diff(edges, axis=-1) / 2
    middle = edges[..., :-1] + half
    nodes = middle[..., None] + half[..., None] * _NODES
    return nodes.reshape(*edges.shape[:-1], -1), np.repeat(half, 2, axis=-1)

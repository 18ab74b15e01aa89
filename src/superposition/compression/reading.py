"""Reverse engineering: a network of one hidden dimension, read from its weights as levels, ramps and linear pieces."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from superposition import _checks, _tensors
from superposition._checks import FloatArray
from superposition.compression.network import CompressionNetwork, linear_layers
from superposition.compression.piecewise import PiecewiseLinear
from superposition.compression.scheme import Alignment, QuantizedPair

Kind = Literal["line", "sawtooth", "snake"]

# A turn of the fine coordinate counts if it goes back by this share of its range.
_TURN = 0.25
# Every other run is a ramp if together they hold less than this share of the inputs that the others hold.
_RAMPS = 0.5
# A run is a level if it holds this share of what the fullest one holds.
_LEVEL = 0.25
# A piece of the encoder is a ramp if it is this steep, relative to the steepest.
_STEEP = 0.5
# Neighbouring pieces whose slopes differ by less, relative to the steepest, are one. Slopes are computed in float64.
_SAME = 1e-9
# The ends of the code's range are left out by this share: rounding, of weights of float32 by
# 6e-8, may bring codes across a knot there.
_END = 1e-6
_GRID = 257


@dataclass(frozen=True, eq=False)
class Reading:
    """What a network 2 → … → 1 → … → 2 does, found from its weights.

    The decoder draws a curve in the square, linear piece by piece. Along it one coordinate, the fine one, runs to and
    fro; the other one, the coarse one, tells the runs apart: its levels.

    Attributes:
        kind: "line", one run; "sawtooth", runs in one direction with ramps back, the scheme of `QuantizedPair`;
            "snake", runs in alternate directions, for which the decoder needs no ramps.
        levels: Z, the number of runs that hold inputs enough and are no ramps.
        coarse: Which coordinate is quantised.
        encoder: Code along the coarse coordinate, at 1/2 of the fine one; breakpoints and slopes are exact.
        decoder: Reconstructions (x̂, ŷ) along the code, over the codes of the square; exact.
        shares: Share of uniform inputs whose code lies on each piece of the decoder.
        encoder_ramps: Start and end of each ramp along the coarse coordinate, shape (ramps, 2).
        decoder_ramps: Start and end of each ramp along the code, as shares of its range, shape (ramps, 2).
    """

    kind: Kind
    levels: int
    coarse: Literal["x", "y"]
    encoder: PiecewiseLinear
    decoder: PiecewiseLinear
    shares: FloatArray
    encoder_ramps: FloatArray
    decoder_ramps: FloatArray

    @property
    def ramp(self) -> float | None:
        """ε, the mean width of the encoder's ramps in units of the input; None if there are none."""
        return float(np.diff(self.encoder_ramps).mean()) if len(self.encoder_ramps) else None

    @property
    def n_pieces(self) -> int:
        """Number of linear pieces of the decoder over the codes of the square."""
        return len(self.decoder.widths)

    def scheme(self) -> QuantizedPair | None:
        """The quantised pair that the network computes, of the alignment that fits best; None if it is no sawtooth."""
        if self.kind != "sawtooth" or not self.levels - 1 == len(self.encoder_ramps) == len(self.decoder_ramps):
            return None
        assert self.ramp is not None
        ramp = min(self.ramp, 1 / self.levels)
        schemes = [QuantizedPair(self.levels, ramp, "input", alignment) for alignment in get_args(Alignment)]
        return min(schemes, key=self._distance)

    def _distance(self, scheme: QuantizedPair) -> float:
        ramps = ((scheme.encoder_staircase, self.encoder_ramps), (scheme.decoder_staircase, self.decoder_ramps))
        return sum(float(np.abs(stairs.knots[1:-1] - found.ravel()).max()) for stairs, found in ramps)


def inspect(network: CompressionNetwork) -> Reading:
    """Reads a network of two features in one hidden dimension: breakpoints, slopes, pieces, levels and ramps.

    Breakpoints follow from the weights layer by layer, at any depth, without sampling. Only which stretch of the code
    holds how many inputs is measured, on a grid. Ramps wider than 2/5 of a segment may hold so many inputs that a
    sawtooth is read as a snake.

    Args:
        network: With n_features 2 and n_hidden 1.

    Raises:
        ValueError: The network has other sizes.

    >>> found = inspect(QuantizedPair(levels=3, ramp=0.1).to_network())
    >>> found.kind, found.levels, round(found.ramp, 6), found.n_pieces
    ('sawtooth', 3, 0.1, 5)
    """
    _checks.instance("network", network, CompressionNetwork, "a CompressionNetwork")
    for name, weights in network.named_parameters():
        _tensors.finite(name, weights)
    if (network.n_features, network.n_hidden) != (2, 1):
        raise ValueError(
            f"`network` must have 2 features and 1 hidden dimension, got {network.n_features} and {network.n_hidden}"
        )
    codes = _codes(network)
    margin = _END * np.ptp(codes)
    decoder = along(network.decoder, [codes.min() + margin], [codes.max() - margin])
    piece = np.clip(np.searchsorted(decoder.knots, codes.ravel(), side="right") - 1, 0, len(decoder.widths) - 1)
    shares = np.bincount(piece, minlength=len(decoder.widths)) / piece.size
    fine = int(np.argmax(np.abs(np.diff(decoder.values, axis=0)).sum(0)))
    turns = _turns(decoder.values[:, fine])
    held = np.array([shares[start:stop].sum() for start, stop in pairwise(turns)])
    is_ramp = _ramps(held)
    is_level = ~is_ramp & (held >= _LEVEL * held.max())
    span = decoder.knots[-1] - decoder.knots[0]
    ends = np.array([[decoder.knots[start], decoder.knots[stop]] for start, stop in pairwise(turns)])
    decoder_ramps = (ends[is_ramp] - decoder.knots[0]) / (span or 1.0)
    levels = int(is_level.sum())
    start, stop = np.full(2, 0.5), np.full(2, 0.5)
    start[1 - fine], stop[1 - fine] = 0.0, 1.0
    encoder = along(network.encoder, start, stop)
    return Reading(
        kind="sawtooth" if is_ramp.any() else "snake" if len(held) > 1 else "line",
        levels=levels,
        coarse="y" if fine == 0 else "x",
        encoder=PiecewiseLinear(encoder.knots, encoder.values[:, 0]),
        decoder=decoder,
        shares=shares,
        encoder_ramps=_steep(encoder) if len(held) > 1 else np.empty((0, 2)),
        decoder_ramps=decoder_ramps,
    )


def _ramps(held: FloatArray) -> npt.NDArray[np.bool_]:
    """Returns which runs, by the share of inputs that each holds, are ramps: every other one, or none."""
    inner: npt.NDArray[np.bool_] = np.arange(len(held)) % 2 == 1
    if len(held) < 3 or len(held) % 2 == 0 or held[inner].mean() >= _RAMPS * held[~inner].mean():
        return np.zeros(len(held), np.bool_)
    return inner


def along(perceptron: torch.nn.Sequential, start: npt.ArrayLike, stop: npt.ArrayLike) -> PiecewiseLinear:
    """Returns a perceptron along a straight line as a piecewise-linear function, exactly.

    A neuron's input is linear between the knots that earlier layers made, so where it passes zero is one more knot.

    Args:
        perceptron: Linear layers in turn with ReLUs.
        start: Inputs at 0, shape (inputs,).
        stop: Inputs at 1; for a perceptron of one input, knots are values of the input instead.

    Returns:
        The outputs, values of shape (knots, outputs).
    """
    ends = np.array([start, stop], np.float64)
    knots, values = np.array([0.0, 1.0]), ends
    for layer in linear_layers(perceptron):
        if layer is not linear_layers(perceptron)[0]:
            knots, values = _with_zeros(knots, values)
            values = np.maximum(values, 0.0)
        weight, bias = (part.detach().double().cpu().numpy() for part in (layer.weight, layer.bias))
        values = values @ weight.T + bias
    kept = _bends(knots, values)
    knots, values = knots[kept], values[kept]
    return PiecewiseLinear(ends[0, 0] + knots * (ends[1, 0] - ends[0, 0]) if ends.shape[1] == 1 else knots, values)


def _with_zeros(knots: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns knots and values (knots, neurons) with a knot more wherever a neuron passes zero."""
    left, right = values[:-1], values[1:]
    interval, neuron = np.nonzero((left < 0) != (right < 0))
    a, b = left[interval, neuron], right[interval, neuron]
    share = a / (a - b)
    everywhere = np.unique(np.concatenate([knots, knots[interval] + share * np.diff(knots)[interval]]))
    return everywhere, PiecewiseLinear(knots, values)(everywhere)


def _bends(knots: FloatArray, values: FloatArray) -> npt.NDArray[np.bool_]:
    """Returns which knots are ends, or change the slope."""
    slopes = PiecewiseLinear(knots, values).slopes
    change = np.abs(np.diff(slopes, axis=0)).max(1)
    return np.concatenate([[True], change > _SAME * np.abs(slopes).max(), [True]])


@torch.no_grad()
def _codes(network: CompressionNetwork) -> FloatArray:
    """Returns the codes of a grid of inputs, edges included."""
    along_axis = torch.linspace(0, 1, _GRID, dtype=torch.float64)
    inputs = torch.cartesian_prod(along_axis, along_axis)
    for module in network.encoder:
        if isinstance(module, torch.nn.Linear):
            inputs = inputs @ module.weight.double().T + module.bias.double()
        else:
            inputs = torch.relu(inputs)
    return np.asarray(inputs[:, 0].numpy())


def _turns(values: FloatArray) -> list[int]:
    """Returns the first and last index, and those at which the values turn by more than a share of their range."""
    least = _TURN * float(np.ptp(values))
    turns, low, high = [0], 0, 0
    direction = 0
    for index, value in enumerate(values):
        low, high = (index if value < values[low] else low), (index if value > values[high] else high)
        if direction >= 0 and values[high] - value > least:
            turns += [high] if high else []
            direction, low, high = -1, index, index
        elif direction <= 0 and value - values[low] > least:
            turns += [low] if low else []
            direction, low, high = 1, index, index
    last = len(values) - 1
    return [*turns, last] if turns[-1] != last else turns


def _steep(function: PiecewiseLinear) -> FloatArray:
    """Returns start and end of each stretch of steep pieces, shape (stretches, 2)."""
    speed = np.abs(function.slopes[:, 0])
    steep = np.concatenate([[False], speed > _STEEP * speed.max(), [False]])
    edges = np.flatnonzero(np.diff(steep))
    return function.knots[edges].reshape(-1, 2)

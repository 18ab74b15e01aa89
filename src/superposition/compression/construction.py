"""A quantised pair as ReLU neurons: two neurons a segment, or as few as possible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import torch

from superposition import _checks
from superposition.compression.network import CompressionNetwork, Construction
from superposition.compression.piecewise import PiecewiseLinear

_X, _Y = (1.0, 0.0), (0.0, 1.0)
_T = (1.0,)


def construct(
    encoder_staircase: PiecewiseLinear,
    decoder_staircase: PiecewiseLinear,
    levels: int,
    gap: float,
    construction: Construction,
) -> CompressionNetwork:
    """Returns the network of a quantised pair of continuous staircases, of its levels Z and the gap of its codes.

    "segments": two neurons make a segment. The encoder has 2Z − 1 segments of its staircase and the one of y; the
    decoder's staircase and sawtooth each have 2Z − 1 and the ramp of the jump at t = 1, which lies just beyond the
    codes: 6Z segments, 12Z neurons. Flat segments are counted though their weight is 0.

    "minimal": 2(Z − 1) ramp ends and one neuron for y; 2(Z − 1) ramp ends, which x̂ and ŷ share, and one neuron for t:
    4Z − 2. With one hidden layer on each side fewer cannot be exact. Each kink x = const of the encoder needs a neuron
    of its own, none of which sees y. Each knot of the decoder needs a neuron, whose outgoing weights are, up to sign,
    the change of slope of (x̂, ŷ) there, a multiple of (1, −Z/(1 − w)). Left of all knots they add up to another such
    multiple, but there the slope is one of (0, 1): one neuron more.
    """
    _checks.choice("construction", construction, get_args(Construction))
    Z, w = levels, gap
    slope_y = (1 - w) / (Z - w)
    encoder, decoder = _Layer([0.0]), _Layer([0.5 / Z, 0.0])
    stairs_x, stairs_t = _rounded(encoder_staircase), _rounded(decoder_staircase)
    if construction == "minimal":
        for start, stop, slope in _pieces(stairs_x, step=2):
            encoder.add_segment(_X, start, stop, [slope / (Z - w)])
        encoder.add_line(_Y, [slope_y])
        for start, stop, slope in _pieces(stairs_t, step=2):
            decoder.add_segment(_T, start, stop, [slope / Z, -slope / (1 - w)])
        decoder.add_line(_T, [0.0, 1 / slope_y])
    else:
        for start, stop, slope in _pieces(stairs_x):
            encoder.add_segment(_X, start, stop, [slope / (Z - w)])
        encoder.add_segment(_Y, 0.0, 1.0, [slope_y])
        end, width = stairs_t.knots[-1], stairs_t.widths[1 % len(stairs_t.widths)]
        for start, stop, slope in [*_pieces(stairs_t), (end, end + width, 1 / width)]:
            decoder.add_segment(_T, start, stop, [slope / Z, 0.0])
            decoder.add_segment(_T, start, stop, [0.0, 1 / slope_y - slope / (1 - w)])
    return CompressionNetwork.from_layers(encoder.tensors(), decoder.tensors())


@dataclass
class _Layer:
    """Hidden neurons of one perceptron, added one by one.

    Attributes:
        constant: What the outputs start from.
        weights: Incoming weights of each neuron.
        biases: Bias of each neuron.
        outgoing: Outgoing weights of each neuron.
    """

    constant: list[float]
    weights: list[Sequence[float]] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)
    outgoing: list[Sequence[float]] = field(default_factory=list)

    def add_line(self, direction: Sequence[float], slopes: Sequence[float]) -> None:
        """Adds slopes · v for v = direction · input ≥ 0: one neuron."""
        self._add(direction, 0.0, slopes)

    def add_segment(self, direction: Sequence[float], start: float, stop: float, slopes: Sequence[float]) -> None:
        """Adds slopes · (v clipped to [start, stop] − start) for v = direction · input: two neurons."""
        against = [-slope for slope in slopes]
        if start + stop >= 1:
            self._add(direction, -start, slopes)
            self._add(direction, -stop, against)
        else:
            # In the left half neurons that are on to the left: terms that cancel are then half as large.
            self._add([-weight for weight in direction], stop, against)
            self._add([-weight for weight in direction], start, slopes)
            self.constant = [c + slope * (stop - start) for c, slope in zip(self.constant, slopes, strict=True)]

    def tensors(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Returns the two linear layers, float32."""
        outgoing = np.array(self.outgoing).T
        return [
            (torch.tensor(self.weights), torch.tensor(self.biases)),
            (torch.from_numpy(outgoing).float().contiguous(), torch.tensor(self.constant)),
        ]

    def _add(self, weights: Sequence[float], bias: float, outgoing: Sequence[float]) -> None:
        self.weights.append(weights)
        self.biases.append(bias)
        self.outgoing.append(outgoing)


def _pieces(stairs: PiecewiseLinear, step: int = 1) -> Iterator[tuple[float, float, float]]:
    """Yields start, stop and slope of each piece; with step 2 of the ramps alone."""
    pieces = list(zip(stairs.knots[:-1], stairs.knots[1:], stairs.slopes, strict=True))
    for start, stop, slope in pieces[step - 1 :: step]:
        yield float(start), float(stop), float(slope)


def _rounded(stairs: PiecewiseLinear) -> PiecewiseLinear:
    """Returns the staircase with knots of float32, so that ramps between them are as high as they should be."""
    knots = stairs.knots.astype(np.float32).astype(np.float64)
    if not (np.diff(knots)[1::2] > 0).all():
        raise ValueError("`ramp` must be wide enough for float32 to tell its ends apart: choose a wider one")
    return PiecewiseLinear(knots, stairs.values)

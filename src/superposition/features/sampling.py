"""Sampling of sparse batches in O(active entries): gaps between active entries are geometric."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, log1p, sqrt
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from superposition import _checks, _tensors
from superposition._checks import FloatArray
from superposition.features.laws.base import Law
from superposition.features.source import Source, source_of

# Above this density one uniform number per entry is cheaper than the exponentials of geometric gaps.
_DENSE_PROBABILITY = 0.2


@dataclass(frozen=True)
class SparseBatch:
    """Active entries of a batch, in row-major order.

    Attributes:
        positions: Flat positions row · n_features + feature, increasing.
        values: Value at each position.
        shape: (n_samples, n_features).
    """

    positions: Int[Tensor, " active"]
    values: Float[Tensor, " active"]
    shape: tuple[int, int]

    @classmethod
    def of(cls, x: Float[Tensor, "n_samples n_features"]) -> Self:
        """Returns a dense batch as its entries that are not 0."""
        positions = where_true(x != 0)
        return cls(positions, x.reshape(-1)[positions], (x.shape[0], x.shape[1]))

    @classmethod
    def side_by_side(cls, batches: "Sequence[SparseBatch]") -> "SparseBatch":
        """Returns batches of as many samples as one, their features one after the other."""
        widths = [batch.shape[1] for batch in batches]
        starts = accumulate(widths, initial=0)
        positions = torch.cat(
            [
                batch.positions // width * sum(widths) + batch.positions % width + start
                for batch, width, start in zip(batches, widths, starts, strict=False)
            ]
        )
        positions, order = positions.sort()
        return cls(positions, torch.cat([batch.values for batch in batches])[order], (batches[0].shape[0], sum(widths)))

    def to_dense(
        self, out: Float[Tensor, "n_samples n_features"] | None = None
    ) -> Float[Tensor, "n_samples n_features"]:
        """Returns the batch as a dense tensor, written to `out` if given."""
        dense = self.values.new_zeros(self.shape) if out is None else out.zero_()
        dense.view(-1).index_copy_(0, self.positions, self.values)
        return dense


def draw(
    law: Law,
    probability: FloatArray,
    shape: tuple[int, int],
    generator: torch.Generator,
    dtype: torch.dtype | None,
) -> SparseBatch:
    """Returns a batch on the generator's device.

    Positions are drawn at the largest probability; where a feature's own is smaller they are thinned.

    Args:
        law: Of active values.
        probability: Of being active, of shape () or (n_features,).
        shape: (n_samples, n_features).
        generator: Source of all randomness.
        dtype: Of the values; torch.float32 if not given.
    """
    _checks.instance("generator", generator, torch.Generator, "a torch.Generator")
    dtype = torch.float32 if dtype is None else _tensors.floating("dtype", dtype)
    _tensors.moderate("law", law.second_moment, dtype)
    source = source_of(generator)
    highest = float(np.max(probability))
    positions = _active_positions(shape[0] * shape[1], highest, source)
    if np.ndim(probability):
        keep = torch.as_tensor(np.asarray(probability) / highest, device=source.device)
        coins = source.uniforms(positions.numel())
        positions = positions[coins < keep[positions % shape[1]]]
    return SparseBatch(positions, law.sampled(positions.numel(), source, dtype), shape)


def draw_values(law: Law, n: int, generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, " n"]:
    """Returns n independent values of a law on the generator's device; raises ValueError as `Law.draw` says."""
    source = source_of(generator)
    _tensors.moderate("law", law.second_moment, _tensors.floating("dtype", dtype))
    return law.sampled(_checks.whole_number("n", n, low=0), source, dtype)


def _active_positions(size: int, probability: float, source: Source) -> Int[Tensor, " active"]:
    """Returns which of `size` independent trials succeed, increasing."""
    if probability >= _DENSE_PROBABILITY:
        return where_true(source.uniforms(size) < probability)
    # Six standard deviations more gaps than needed on average: a second round is rare.
    expected = size * probability
    n_gaps = ceil(expected + 6 * sqrt(expected) + 10)
    rounds: list[Tensor] = []
    last = -1
    while last < size:
        # The whole part of an exponential is geometric; the cap keeps the sum inside int64.
        exponentials = source.exponentials(n_gaps).mul_(-1 / log1p(-probability)).clamp_(max=float(size))
        steps = exponentials.long().add_(1)
        steps[0] += last
        rounds.append(torch.cumsum(steps, 0, out=steps))
        last = int(steps[-1])
    positions = torch.cat(rounds) if len(rounds) > 1 else rounds[0]
    return positions[: int(torch.searchsorted(positions, size))]


def where_true(mask: Bool[Tensor, "..."]) -> Int[Tensor, " true"]:
    """Returns the flat positions of true entries; NumPy finds them several times faster than torch on a processor."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return torch.nonzero(mask.view(-1)).squeeze(1)

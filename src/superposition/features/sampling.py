"""Sampling of sparse batches in O(active entries): gaps between active entries are geometric."""

from dataclasses import dataclass
from math import ceil, log1p, sqrt

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from superposition.features.sparse import SparseFeatures

# Above this density one uniform number per entry is cheaper than the logarithms of geometric gaps.
_DENSE_PROBABILITY = 0.35


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

    def to_dense(self) -> Float[Tensor, "n_samples n_features"]:
        """Returns the batch as a dense tensor."""
        dense = torch.zeros(self.shape[0] * self.shape[1], dtype=self.values.dtype, device=self.values.device)
        return dense.index_copy_(0, self.positions, self.values).view(self.shape)


def draw(
    features: SparseFeatures, n_samples: int, generator: torch.Generator, dtype: torch.dtype | None
) -> SparseBatch:
    """Returns a batch drawn from `features` on the generator's device.

    Positions are drawn at the largest probability; where a feature's own is smaller they are thinned.
    """
    device = generator.device
    highest = float(np.max(features.probability))
    positions = _active_positions(n_samples * features.n_features, highest, generator)
    if np.ndim(features.probability):
        keep = torch.as_tensor(np.asarray(features.probability) / highest, device=device)
        coins = torch.rand(positions.shape, generator=generator, device=device, dtype=torch.float64)
        positions = positions[coins < keep[positions % features.n_features]]
    values = features.law.draw(positions.numel(), generator, dtype or torch.float32)
    return SparseBatch(positions, values, (n_samples, features.n_features))


def _active_positions(size: int, probability: float, generator: torch.Generator) -> Int[Tensor, " active"]:
    """Returns which of `size` independent trials succeed, increasing."""
    device = generator.device
    if probability >= _DENSE_PROBABILITY:
        coins = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
        return torch.nonzero(coins < probability).squeeze(1)
    # Six standard deviations more gaps than needed on average: a second round is rare.
    expected = size * probability
    n_gaps = ceil(expected + 6 * sqrt(expected) + 10)
    rounds: list[Tensor] = []
    last = -1
    while last < size:
        uniforms = torch.rand(n_gaps, generator=generator, device=device, dtype=torch.float64)
        # 1 − uniforms is in (0, 1], so the logarithm is finite; the cap keeps the sum inside int64.
        gaps = ((-uniforms).log1p_() / log1p(-probability)).clamp_(max=float(size)).long() + 1
        rounds.append(last + gaps.cumsum(0))
        last = int(rounds[-1][-1])
    positions = torch.cat(rounds) if len(rounds) > 1 else rounds[0]
    return positions[positions < size]

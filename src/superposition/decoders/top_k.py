"""TopK: the k largest of a sample, or on average k a sample of a batch."""

from dataclasses import dataclass
from typing import Literal, Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded
from superposition.decoders.elementwise import Calibration, Elementwise, is_open
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class TopK(Elementwise):
    """x̂ = ReLU(a z + b) on the k largest entries of z, else 0.

    Args:
        k: How many are kept, in [1, n_features]; None until `fit_decoder` chooses it.
        among: "sample" keeps k of every sample, "batch" k times the batch's size of all of them.

    Reference: Makhzani and Frey 2013; Gao et al. 2024; Bussmann et al. 2024 (BatchTopK).
    """

    k: int | None = None
    among: Literal["sample", "batch"] = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k is not None:
            _checks.whole_number("k", self.k)
        _checks.choice("among", self.among, ("sample", "batch"))

    @property
    def name(self) -> str:
        """TopK or BatchTopK, with k."""
        return f"{'Batch' if self.among == 'batch' else ''}TopK(k={self.k})"

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:
        """Decodes a batch."""
        if self.k is None:
            raise ValueError("`k` must be given, got None: set it, or let fit_decoder choose it")
        _checks.whole_number("k", self.k, high=features.n_features, hint="no more than there are features")
        return super().decode(hidden, encoder, features)

    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns ReLU(a z + b) on the largest entries."""
        assert self.k is not None
        pool = z if self.among == "sample" else z.reshape(1, -1)
        count = self.k if self.among == "sample" else min(self.k * len(z), z.numel())
        kept = torch.zeros_like(pool, dtype=torch.bool)
        kept.scatter_(1, pool.topk(count, dim=1, sorted=False).indices, value=True)
        return is_open(torch.relu(self.scale * z + self.bias), kept.view_as(z))

    def fitted(self, sample: Calibration) -> Self:
        """Returns the best a and b, and k if it is not given."""
        sums = sample.by_rank()
        if self.k is not None:
            sums = sums.only(self.k - 1)
        k, scale, bias = sums.affine()
        return type(self)(scale, bias, sample.W_dec, int(k), self.among)

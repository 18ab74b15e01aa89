"""A nested scheme as a torch module."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.compression.folding import fold, unfold
from superposition.compression.network import CompressionNetwork


@final
class NestedNetwork(torch.nn.Module):
    """A nested scheme computed by its minimal pair network, of which every stage uses a copy.

    Args:
        groups: Features of each hidden dimension, in their order in its code.
        pair: Network of the pair.

    Attributes:
        n_neurons: ReLUs of all stages.
    """

    def __init__(self, groups: Sequence[Sequence[int]], pair: CompressionNetwork) -> None:
        super().__init__()
        self.groups, self.pair = groups, pair
        self.n_neurons = pair.n_neurons * sum(len(group) - 1 for group in groups)

    def encode(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_hidden"]:
        """Returns codes."""

        def encode(feature: Tensor, code: Tensor) -> Tensor:
            encoded: Tensor = self.pair.encoder(torch.stack([feature, code], dim=-1))
            return encoded[..., 0]

        return torch.stack([fold([x[..., i] for i in group], encode) for group in self.groups], dim=-1)

    def decode(self, codes: Float[Tensor, "*batch n_hidden"]) -> Float[Tensor, "*batch n_features"]:
        """Returns the features of codes."""

        def decode(code: Tensor) -> tuple[Tensor, Tensor]:
            feature, rest = self.pair.decoder(code[..., None]).unbind(-1)
            return feature, rest

        parts = [unfold(codes[..., i], len(group), decode) for i, group in enumerate(self.groups)]
        return torch.stack([feature for part in parts for feature in part], dim=-1)

    def forward(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction of features."""
        return self.decode(self.encode(x))

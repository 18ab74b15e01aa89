"""A nested scheme as a torch module."""

from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.compression.nesting import fold, unfold

if TYPE_CHECKING:
    from superposition.compression.nesting import NestedScheme


@final
class NestedNetwork(torch.nn.Module):
    """A nested scheme computed by its minimal pair network, of which every stage uses a copy.

    Args:
        scheme: What to compute.

    Attributes:
        n_neurons: ReLUs of all stages.

    Raises:
        ValueError: The scheme's pair has jumps.
    """

    def __init__(self, scheme: "NestedScheme") -> None:
        super().__init__()
        self.groups, self.n_neurons = scheme.groups, scheme.n_neurons
        self.pair = scheme.pair.to_network("minimal")

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

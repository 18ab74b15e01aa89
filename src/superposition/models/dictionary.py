"""The dictionary of hidden activations: a tied ReLU autoencoder with unit columns."""

from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import torch_generator
from superposition.models.reconstructor import Reconstructor


@final
class Dictionary(Reconstructor):
    """A tied ReLU autoencoder of hidden activations, ĥ = D x̂, x̂ = ReLU(Dᵀ(h − c) + b), the columns of D of norm 1.

    Its features are the hidden dimensions of what it explains, and its hidden dimensions are the atoms, of which there
    may be more.

    Args:
        n_features: Entries of a hidden activation, ≥ 1.
        n_hidden: Number of atoms, ≥ 1.
        seed: Seed of the columns, random directions at first.

    Attributes:
        columns: D, shape (n_features, n_hidden).
        bias: b, shape (n_hidden,).
        centre: c, shape (n_features,): the mean of h, which is no atom's.

    Raises:
        ValueError: A size is not valid.

    Reference: Rangamani et al. 2018; Nguyen, Wong and Hegde 2019 (tied ReLU autoencoders of planted dictionaries).

    >>> Dictionary(4, 6).encode(torch.zeros(1, 4)).shape
    torch.Size([1, 6])
    """

    kind: ClassVar[str] = "Dictionary"

    centre: Tensor

    def __init__(self, n_features: int, n_hidden: int, *, seed: int = 0) -> None:
        super().__init__()
        self.n_features = _checks.whole_number("n_features", n_features)
        self.n_hidden = _checks.whole_number("n_hidden", n_hidden)
        columns = torch.randn(n_features, n_hidden, generator=torch_generator(seed, "dictionary"))
        self.columns = torch.nn.Parameter(torch.nn.functional.normalize(columns, dim=0))
        self.bias = torch.nn.Parameter(torch.zeros(n_hidden))
        self.register_buffer("centre", torch.zeros(n_features))

    def encode(self, h: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_hidden"]:
        """Returns the code ReLU(Dᵀ(h − c) + b)."""
        return torch.relu((_tensors.rows("h", h, self.n_features) - self.centre) @ self.columns + self.bias)

    def decode(self, code: Float[Tensor, "*batch n_hidden"]) -> Float[Tensor, "*batch n_features"]:
        """Returns D times a code."""
        return code @ self.columns.T

    def forward(self, h: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns reconstructions of hidden activations."""
        return self.decode(self.encode(h))

    @torch.no_grad()
    def after_step(self) -> None:
        """Gives the columns norm 1 again: without, a penalty on codes would let columns grow and codes shrink."""
        self.columns.copy_(torch.nn.functional.normalize(self.columns, dim=0))

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return f"n_features={self.n_features}, n_hidden={self.n_hidden}"

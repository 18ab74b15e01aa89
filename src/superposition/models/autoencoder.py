"""The untied ReLU autoencoder, ReLU(W_dec W_enc x + b_dec)."""

from math import sqrt
from typing import Literal, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import torch_generator
from superposition.models.base import Model

Initialization = Literal["tied", "linear"]


@final
class Autoencoder(Model):
    """The toy model of superposition: x̂ = ReLU(W_dec W_enc x + b_dec), W_enc and W_dec independent.

    Args:
        n_features: Number of features, ≥ 1.
        n_hidden: Width of the bottleneck, in [1, n_features].
        seed: Seed of the initial weights, ≥ 0.
        initialization: "tied" starts at W_dec = W_encᵀ with entries N(0, 1/n_hidden) and b_dec = 0, so that
            every feature is alive (W_ii ≈ 1); "linear" is that of two torch.nn.Linear layers, as in the paper.

    Attributes:
        W_enc: Encoder, shape (n_hidden, n_features).
        W_dec: Decoder, shape (n_features, n_hidden).
        b_dec: Bias, shape (n_features,).

    Raises:
        ValueError: A size or the initialization is not valid.

    Reference: The Persian Rug, eq. 1; Toy Models of Superposition (there with −b).

    >>> Autoencoder(n_features=6, n_hidden=2).W_enc.shape
    torch.Size([2, 6])
    """

    def __init__(
        self, n_features: int, n_hidden: int, *, seed: int = 0, initialization: Initialization = "tied"
    ) -> None:
        super().__init__()
        self.n_features = _checks.whole_number("n_features", n_features)
        self.n_hidden = _checks.hidden_width(n_hidden, n_features)
        _checks.choice("initialization", initialization, get_args(Initialization))
        generator = torch_generator(seed, "weights")
        if initialization == "tied":
            W_enc = torch.randn(n_hidden, n_features, generator=generator) / sqrt(n_hidden)
            # A clone: for one dimension the transpose counts as contiguous and would share memory.
            W_dec, b_dec = W_enc.T.clone(memory_format=torch.contiguous_format), torch.zeros(n_features)
        else:
            W_enc = _uniform((n_hidden, n_features), 1 / sqrt(n_features), generator)
            W_dec = _uniform((n_features, n_hidden), 1 / sqrt(n_hidden), generator)
            b_dec = _uniform((n_features,), 1 / sqrt(n_hidden), generator)
        # Kept feature by feature in memory, for products over active features alone.
        self.W_enc = torch.nn.Parameter(W_enc.T.clone(memory_format=torch.contiguous_format).T)
        self.W_dec = torch.nn.Parameter(W_dec)
        self.b_dec = torch.nn.Parameter(b_dec)

    def forward(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns ReLU(W_dec W_enc x + b_dec)."""
        _tensors.alike("x", _tensors.rows("x", x, self.n_features), "W_enc", self.W_enc.dtype, self.W_enc.device)
        return torch.relu(x @ self.W_enc.T @ self.W_dec.T + self.b_dec)

    @torch.no_grad()
    def W_rows(self, start: int, stop: int) -> Float[Tensor, "rows n_features"]:
        """Returns rows of W_dec W_enc."""
        return self.W_dec[start:stop] @ self.W_enc

    def bias_vector(self) -> Float[Tensor, " n_features"]:
        """Returns b_dec."""
        return self.b_dec.detach()

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return f"n_features={self.n_features}, n_hidden={self.n_hidden}"


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) * bound

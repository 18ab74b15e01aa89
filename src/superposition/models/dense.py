"""Models given by their matrices."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _tensors
from superposition.models.base import Model
from superposition.models.encoders import DenseEncoder, Encoder
from superposition.models.spectrum import Spectrum


class DenseModel(Model):
    """A model that holds W_enc, W_dec and b_dec.

    Attributes:
        W_enc: Encoder, shape (n_hidden, n_features).
        W_dec: Decoder, shape (n_features, n_hidden).
        b_dec: Bias, shape (n_features,).
    """

    W_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor

    def encode(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_hidden"]:
        """Returns W_enc x."""
        return x @ self.W_enc.T

    def read_out(self, hidden: Float[Tensor, "*batch n_hidden"]) -> Float[Tensor, "*batch n_features"]:
        """Returns W_dec hidden."""
        return hidden @ self.W_dec.T

    def bias_vector(self) -> Float[Tensor, " n_features"]:
        """Returns b_dec."""
        return self.b_dec.detach()

    def bias_parameter(self) -> Tensor:
        """Returns b_dec with its gradient."""
        return self.b_dec

    def _columns(self) -> Float[Tensor, "n_features n_hidden"]:
        return self.W_enc.T

    def checked(self, x: Tensor) -> Tensor:
        """Returns a batch of features; raises ValueError unless it fits the matrices in size, dtype and device."""
        return _tensors.alike("x", super().checked(x), "W_enc", self.W_enc.dtype, self.W_enc.device)

    @torch.no_grad()
    def W_rows(self, start: int, stop: int) -> Float[Tensor, "rows n_features"]:
        """Returns rows of W_dec W_enc."""
        return self.W_dec[start:stop] @ self.W_enc

    @property
    def encoder(self) -> Encoder:
        """W_enc as it is now."""
        return DenseEncoder(self.W_enc)

    @torch.no_grad()
    def W_dec_of_unit_diagonal(self) -> Float[Tensor, "n_features n_hidden"] | None:
        """Returns W_dec, each row over its W_ii, 0 where that is not positive; raises ValueError unless finite."""
        W_enc, W_dec = _tensors.finite("W_enc", self.W_enc), _tensors.finite("W_dec", self.W_dec)
        diagonal = (W_dec * W_enc.T).sum(dim=1, keepdim=True)
        return torch.where(diagonal > 0, W_dec / diagonal, 0.0)

    def spectrum(self) -> Spectrum:
        """Returns eigenvalues and singular values of W."""
        return Spectrum.of_factors(self.W_enc, self.W_dec)

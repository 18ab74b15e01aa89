"""What every model answers of itself: its encoder, pre-activations, activation, rows of W, bias and spectrum."""

import abc
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition.features import Features
from superposition.models.activation import Activation
from superposition.models.encoders import DenseEncoder, Encoder
from superposition.models.reconstructor import Reconstructor
from superposition.models.spectrum import Spectrum

# Hidden units whose columns of W_dec are formed at a time.
_UNITS = 256


class Model(Reconstructor):
    """A map from features to reconstructions through a bottleneck, x̂ = activation(W_dec W_enc x, b).

    Hidden noise is Gaussian, of one standard deviation on all hidden units, in training and in the held-out loss. It is
    given relative to the units without it, in root mean square over units: neither larger weights nor another basis of
    the hidden space make it less.

    A kind of model needs `encode`, `read_out` and `bias_vector`; what else is asked of it follows from these, and may
    be overridden where a faster way is known. One that may have hidden noise takes it in its constructor.

    Attributes:
        activation: What becomes of W x and the bias.
        rows_are_alike: Whether every row of W is a rearrangement of every other one, the diagonal in its place.
    """

    rows_are_alike: bool = False

    activation: Activation

    @abc.abstractmethod
    def encode(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_hidden"]:
        """Returns hidden = W_enc x."""

    @abc.abstractmethod
    def read_out(self, hidden: Float[Tensor, "*batch n_hidden"]) -> Float[Tensor, "*batch n_features"]:
        """Returns W_dec hidden, without the bias."""

    @abc.abstractmethod
    def bias_vector(self) -> Float[Tensor, " n_features"]:
        """Returns the bias of every feature."""

    def forward(
        self, x: Float[Tensor, "*batch n_features"], noise: Float[Tensor, "*batch n_hidden"] | None = None
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns reconstructions of a batch of features, with noise on the hidden units if that is given."""
        if noise is not None:
            return self.decode(self.encode(self.checked(x)) + noise)
        return self.activation(self.W_times(self.checked(x)), self.bias_parameter())  # type: ignore[no-any-return]

    def decode(self, hidden: Float[Tensor, "*batch n_hidden"]) -> Float[Tensor, "*batch n_features"]:
        """Returns reconstructions from hidden activations."""
        return self.activation(self.read_out(hidden), self.bias_parameter())  # type: ignore[no-any-return]

    def drawn_noise(
        self, n_samples: int, features: Features, generator: torch.Generator
    ) -> Float[Tensor, "batch n_hidden"] | None:
        """Returns hidden noise for so many samples of features, None without any."""
        if self.hidden_noise == 0:
            return None
        std = self.hidden_noise * self.hidden_variance(features).sqrt()
        shape = n_samples, self.n_hidden
        return std * torch.randn(shape, generator=generator, dtype=std.dtype, device=std.device)

    def hidden_variance(self, features: Features) -> Float[Tensor, ""]:
        """Returns n_hidden⁻¹ tr(W_enc Cov(x) W_encᵀ), the variance of a hidden unit on average, with its gradient."""
        columns, covariance = self._columns(), features.covariance
        if covariance is None:
            weighted = torch.tensor(features.per_feature(features.variance)).to(columns)[:, None] * columns
        else:
            weighted = torch.tensor(covariance).to(columns) @ columns
        return (columns * weighted).sum() / self.n_hidden

    @torch.no_grad()
    def output_noise(self, features: Features) -> Float[Tensor, " n_features"]:
        """Returns the standard deviation of every pre-activation that hidden noise makes, 0 without any."""
        squares = torch.zeros_like(self.bias_vector())
        if self.hidden_noise:
            for rows in torch.split(torch.eye(self.n_hidden).to(squares), _UNITS):
                squares += self.read_out(rows).square().sum(dim=0)
            squares *= self.hidden_noise**2 * self.hidden_variance(features)
        return squares.sqrt()

    def pre_activations(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns y = W x + b."""
        return self.W_times(x) + self.bias_parameter()

    def W_times(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns W x, W = W_dec W_enc."""
        return self.read_out(self.encode(x))

    def bias_parameter(self) -> Tensor:
        """Returns the bias as it is added: with its gradient, and of any shape that fits."""
        return self.bias_vector()

    def checked(self, x: Tensor) -> Tensor:
        """Returns a batch of features; raises ValueError unless it has as many as the model."""
        return _tensors.rows("x", x, self.n_features)

    @torch.no_grad()
    def W_rows(self, start: int, stop: int) -> Float[Tensor, "rows n_features"]:
        """Returns rows start … stop − 1 of W = W_dec W_enc, without forming the others if a kind knows how."""
        return self.W_times(self._unit_vectors()).T[start:stop]

    @property
    def encoder(self) -> Encoder:
        """W_enc as it is now, as a linear operator."""
        with torch.no_grad():
            return DenseEncoder(self._columns().T)

    @torch.no_grad()
    def W_dec_of_unit_diagonal(self) -> Float[Tensor, "n_features n_hidden"] | None:
        """Returns W_dec, each row over its W_ii, 0 where that is not positive; None where it is W_encᵀ."""
        hidden = torch.eye(self.n_hidden).to(self.bias_vector())
        W_dec = self.read_out(hidden).T
        diagonal = self.W_times(self._unit_vectors()).diagonal()[:, None]
        return torch.where(diagonal > 0, W_dec / diagonal, 0.0)

    def spectrum(self) -> Spectrum:
        """Returns eigenvalues and singular values of W; raises ValueError if a weight is not finite."""
        with torch.no_grad():
            units = self._unit_vectors()
            return Spectrum.of_factors(self._columns().T, self.read_out(torch.eye(self.n_hidden).to(units)).T)

    def settings(self) -> dict[str, Any]:
        """Returns what a saved model needs beside its sizes and tensors, as plain data: the hidden noise, if any."""
        return {"hidden_noise": self.hidden_noise} if self.hidden_noise else {}

    def _columns(self) -> Float[Tensor, "n_features n_hidden"]:
        """Returns W_encᵀ, with its gradient."""
        return self.encode(self._unit_vectors())

    def _unit_vectors(self) -> Tensor:
        return torch.eye(self.n_features).to(self.bias_vector())


def encoder_of(source: "Encoder | Model | Tensor") -> Encoder:
    """Returns the encoder of a model, or of a matrix W_enc; an encoder as it is.

    Raises:
        ValueError: It is something else.

    >>> from superposition.models import PersianRug
    >>> encoder_of(PersianRug.draw(8, 4)).is_tight
    True
    """
    match source:
        case Encoder():
            return source
        case Model():
            return source.encoder
        case Tensor():
            return DenseEncoder(source)
    raise ValueError(f"`encoder` must be an Encoder, a model or a matrix W_enc, got {_checks.shown(source)}")

"""What a decoder is: hidden activations in, features out, with what is known of how good they are."""

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder, encoder_of

if TYPE_CHECKING:
    from superposition.decoders.certificates import DualCertificate, SupportCertificate


@dataclass(frozen=True)
class Decoded:
    """Decoded features of a batch, one entry a sample in each field.

    Attributes:
        features: x̂, shape (batch, n_features).
        converged: Whether the decoder ended as it should; False never stands without `why`.
        iterations: Iterations done; 1 for a decoder of one step.
        residual: ‖hidden − W_enc x̂‖/‖hidden‖.
        certificate: What proves the answer, of the decoders that have such a thing.
        why: What went wrong, in a sentence; empty if every sample converged.
    """

    features: Float[Tensor, "batch n_features"]
    converged: Bool[Tensor, " batch"]
    iterations: Int[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    certificate: "SupportCertificate | DualCertificate | None" = None
    why: str = ""


class Decoder(abc.ABC):
    """A map from hidden activations to features. A decoder is frozen: it is its own configuration."""

    def __call__(
        self,
        hidden: Float[Tensor, "batch n_hidden"],
        W_enc: "Encoder | Float[Tensor, 'n_hidden n_features']",
        features: SparseFeatures,
    ) -> Decoded:
        """Decodes a batch.

        Args:
            hidden: Activations, finite, feature units.
            W_enc: What made them: a matrix, or an encoder that knows its products.
            features: What they are made of; decoders without a prior use its size only.

        Returns:
            Decoded.

        Raises:
            ValueError: Shapes do not match, an activation is not finite, or the decoder cannot work on this encoder.
        """
        encoder = encoder_of(W_enc)
        check_same_size(encoder, features)
        if hidden.ndim != 2 or hidden.shape[1] != encoder.n_hidden:
            raise ValueError(f"`hidden` must have shape (batch, {encoder.n_hidden}), got {tuple(hidden.shape)}")
        if not bool(torch.isfinite(hidden).all()):
            row = int((~torch.isfinite(hidden)).any(dim=1).nonzero()[0])
            raise ValueError(f"`hidden` must be finite, got NaN or an infinite entry in sample {row}")
        with torch.no_grad():
            return self.decode(hidden, encoder, features)

    @abc.abstractmethod
    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:
        """Decodes a batch whose shapes and entries are as they should be."""

    @property
    def name(self) -> str:
        """A short name for tables."""
        return type(self).__name__

    def told(self, x: Float[Tensor, "batch n_features"]) -> "Decoder":  # noqa: ARG002
        """Returns the decoder that knows what it may of the truth: itself, but for oracles."""
        return self

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:  # noqa: ARG002
        """Returns its loss per feature in theory (n → ∞), or None where none is known.

        Args:
            encoder: What makes the hidden activations.
            features: What they are made of.
            noise: Variance of the noise added to each, feature units squared.
        """
        return None


def check_same_size(encoder: Encoder, features: SparseFeatures) -> None:
    """Raises ValueError unless the encoder takes as many features as there are."""
    if encoder.n_features != features.n_features:
        raise ValueError(
            f"`features` must have the encoder's n_features = {encoder.n_features}, got {features.n_features}"
        )


def one_step(x: Tensor, hidden: Tensor, encoder: Encoder) -> Decoded:
    """Returns the result of a decoder that does a fixed amount of work."""
    done = torch.ones(len(x), dtype=torch.bool, device=x.device)
    return Decoded(x, done, done.long(), encoder.residual_norm(hidden, x))


def failed_because(converged: Bool[Tensor, " batch"], reason: str) -> str:
    """Returns the sentence for samples that did not converge, empty if all did."""
    count = int((~converged).sum())
    return f"{count} of {len(converged)} samples: {reason}" if count else ""

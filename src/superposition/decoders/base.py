"""What a decoder is: hidden activations in, features out, with what is known of how good they are."""

import abc
import dataclasses
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from superposition import _checks, _tensors
from superposition.features import SparseFeatures
from superposition.models.base import encoder_of
from superposition.models.encoders import Encoder

if TYPE_CHECKING:
    from superposition.decoders.certificates import DualCertificate, SupportCertificate


# Of its variance. Decoders compute in float32 too: squares of ten standard deviations, times what a read-out multiplies
# them by, stay far below its largest number, 3e38.
_MOST_NOISE = 1e30
# In which decoders compute.
_PRECISIONS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Decoded:
    """Decoded features of a batch, one entry a sample in each field.

    Attributes:
        features: x̂, shape (batch, n_features).
        converged: Whether the decoder ended as it should; False never stands without `why`.
        iterations: Iterations done; 1 for a decoder of one step.
        residual: ‖hidden − W_enc x̂‖/‖hidden‖; inf for a sample that left the range of its type.
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
            hidden: Activations, at least one sample, finite, feature units; float32 or float64, as W_enc.
            W_enc: What made them: a matrix, or an encoder that knows its products.
            features: What they are made of; decoders without a prior use its size only.

        Returns:
            Decoded. Its features are finite, and no sample converged whose features the precision cannot hold.

        Raises:
            ValueError: Shapes, dtypes or devices do not match, an activation is not finite, or the decoder cannot work
                on this encoder.
        """
        encoder = encoder_of(W_enc)
        check_same_size(encoder, features)
        hidden = _tensors.real("hidden", hidden, "batch", encoder.n_hidden).detach()
        if not len(hidden):
            raise ValueError(f"`hidden` must hold at least one sample, got shape {tuple(hidden.shape)}")
        if hidden.dtype not in _PRECISIONS:
            raise ValueError(f"`hidden` must be of float32 or float64, got {hidden.dtype}: convert it with .float()")
        _tensors.alike("hidden", hidden, "W_enc", encoder.dtype, encoder.device)
        _tensors.moderate("law", features.law.second_moment, hidden.dtype)
        _tensors.finite("hidden", hidden)
        with torch.no_grad():
            return within_range(self.decode(hidden, encoder, features))

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


def within_range(decoded: Decoded) -> Decoded:
    """Returns the result with samples that left the range of their type marked: not converged, and 0 where not finite.

    One sum tells whether there are any.
    """
    if isfinite(float(decoded.features.sum()) + float(decoded.residual.sum())):
        return decoded
    within = torch.isfinite(decoded.features).all(dim=1) & torch.isfinite(decoded.residual)
    reasons = decoded.why, failed_because(within, f"they left the range of {decoded.features.dtype}")
    return dataclasses.replace(
        decoded,
        features=decoded.features.nan_to_num(0.0, 0.0, 0.0),
        residual=torch.where(within, decoded.residual, torch.inf),
        converged=decoded.converged & within,
        why="; ".join(reason for reason in reasons if reason),
    )


def check_same_size(encoder: Encoder, features: SparseFeatures) -> None:
    """Raises ValueError unless the encoder takes as many features as there are."""
    _checks.instance("features", features, SparseFeatures, "a SparseFeatures")
    if encoder.n_features != features.n_features:
        raise ValueError(
            f"`features` must have the encoder's n_features = {encoder.n_features}, got {features.n_features}"
        )


def check_noise(variance: float) -> float:
    """Returns a variance of noise on hidden activations; raises ValueError unless it is one number in [0, 1e30]."""
    finite = _checks.finite("noise_variance", variance, non_negative=True)
    return _checks.one("noise_variance", _checks.in_interval("noise_variance", finite, 0, _MOST_NOISE))


def one_step(x: Tensor, hidden: Tensor, encoder: Encoder) -> Decoded:
    """Returns the result of a decoder that does a fixed amount of work."""
    done = torch.ones(len(x), dtype=torch.bool, device=x.device)
    return Decoded(x, done, done.long(), encoder.residual_norm(hidden, x))


def failed_because(converged: Bool[Tensor, " batch"], reason: str) -> str:
    """Returns the sentence for samples that did not converge, empty if all did."""
    count = int((~converged).sum())
    return f"{count} of {len(converged)} samples: {reason}" if count else ""

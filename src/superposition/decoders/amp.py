"""Approximate message passing, for encoders of independent entries."""

from dataclasses import dataclass
from math import sqrt
from typing import final

import torch
from torch import Tensor

from superposition.decoders.denoiser import denoiser
from superposition.decoders.state import MessagePassing, Progress, started
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder

# Squared norms of N(0, 1/m) columns spread by √(2/m) around 1: their mean by √(2/(mn)).
_NORM_SPREAD = 6.0


@final
@dataclass(frozen=True, eq=False)
class AMP(MessagePassing):
    """x ← E[x | x + W_encᵀ z], z ← hidden − W_enc x + z ⟨η′⟩/δ, the noise in the argument taken as ‖z‖²/n_hidden.

    Its analysis is for independent Gaussian entries of variance 1/n_hidden. Columns must have norms of about 1; on
    other encoders, a rug's or a trained one's, it may diverge, and says so. The noise need not be known: what is known
    of it bounds the estimate from below. No loss is predicted: what an encoder was drawn from
    cannot be seen from it.

    Raises (when called):
        ValueError: The features are not symmetric, or the columns have other norms.

    Reference: Donoho, Maleki and Montanari 2009; Rangan 2011.
    """

    def check(self, encoder: Encoder, features: SparseFeatures) -> None:
        """Raises ValueError if the decoder cannot work on these."""
        features.check_symmetric("AMP")
        _check_norms(encoder)

    def run(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Progress:
        """Iterates on some samples until all have ended."""
        ratio = encoder.n_hidden / encoder.n_features
        eta = denoiser(features.law, float(features.probability))
        progress = started(hidden, encoder, features, self.tolerance)
        x, y = progress.x.clone(), hidden
        z = y - encoder.encode(x)
        for _ in range(self.n_steps):
            # Its root is a number of float32, too.
            noise = z.double().square().mean(dim=1).clamp(min=max(self.noise_variance or 0.0, 1e-60))
            estimate, loss = eta(*progress.observed(encoder.adjoint(z).add_(x), noise))
            on = progress.advance(estimate, loss, noise)
            memory = (loss / noise / ratio).to(z)
            if on is not None:
                estimate, x, y, z, memory = (part[on] for part in (estimate, x, y, z, memory))
            if not len(z):
                break
            following = y - encoder.encode(estimate) + z * memory[:, None]
            x = torch.lerp(estimate, x, self.damping) if self.damping else estimate
            z = torch.lerp(following, z, self.damping) if self.damping else following
        return progress.ended(x)


def _check_norms(encoder: Encoder) -> None:
    """Raises ValueError unless columns have norms of about 1."""
    squares = encoder.column_norms().double() ** 2
    spread = _NORM_SPREAD * sqrt(2 / encoder.n_hidden)
    low, high = float(squares.min().sqrt()), float(squares.max().sqrt())
    if not (1 - spread <= low**2 and high**2 <= 1 + spread):
        raise ValueError(
            f"`W_enc` must have columns of norm about 1 for AMP, got norms from {low:.3g} to {high:.3g}: divide W_enc "
            "and hidden by the typical norm, or use OAMP"
        )

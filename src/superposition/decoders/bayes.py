"""The best elementwise decoder, E[x | z], and the one that is told which features are active."""

from dataclasses import dataclass
from math import isfinite
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder, check_noise, one_step
from superposition.decoders.denoiser import denoiser
from superposition.decoders.readout import best_readout
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder
from superposition.theory import bayes_loss, oracle_support_loss

# Distinct levels of interference; features between two of them take the nearer one.
_LEVELS = 32
_LEAST_NOISE = 1e-9


@final
@dataclass(frozen=True, eq=False)
class Bayes(Decoder):
    """x̂_i = E[x_i | z_i], z the read-out of least interference, the interference taken as Gaussian.

    Args:
        noise_variance: s² ≥ 0 of the noise on the hidden activations, feature units squared.

    Reference: The Persian Rug, eq. 27-28.
    """

    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        check_noise(self.noise_variance)

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:
        """Decodes a batch."""
        x = _posterior_mean(hidden, encoder, features, self.noise_variance, always_on=False)
        return one_step(x, hidden, encoder)

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the Bayes loss at the interference of a tight frame."""
        if not (encoder.is_tight and features.is_symmetric):
            return None
        sigma = float(best_readout(encoder, features, noise).noise_std)
        return float(bayes_loss(sigma, features.probability, features.law))


@final
@dataclass(frozen=True, eq=False)
class OracleSupport(Decoder):
    """x̂_i = E[x_i | z_i, whether x_i is active]: a ceiling for decoders that act on each entry by itself.

    It does not know which of the others are active: a decoder that does can do better.

    Args:
        active: Which features are active, shape (batch, n_features); `told` fills it in.
        noise_variance: s² ≥ 0 of the noise on the hidden activations, feature units squared.

    Reference: The Persian Rug, eq. 25-26.
    """

    active: Bool[Tensor, "batch n_features"] | None = None
    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        check_noise(self.noise_variance)
        if self.active is not None:
            _checks.instance("active", self.active, torch.Tensor, "a tensor of bools")
            object.__setattr__(self, "active", self.active.bool().clone())

    def told(self, x: Float[Tensor, "batch n_features"]) -> "OracleSupport":
        """Returns the decoder that knows where x is not 0."""
        _checks.instance("x", x, torch.Tensor, "a tensor")
        return OracleSupport(x != 0, self.noise_variance)

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:
        """Decodes a batch."""
        if self.active is None or self.active.shape != (len(hidden), encoder.n_features):
            got = None if self.active is None else tuple(self.active.shape)
            raise ValueError(f"`active` must have shape ({len(hidden)}, {encoder.n_features}), got {got}: use told(x)")
        x = _posterior_mean(hidden, encoder, features, self.noise_variance, always_on=True)
        return one_step(x.masked_fill_(~self.active, 0.0), hidden, encoder)

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the oracle's loss at the interference of a tight frame."""
        if not (encoder.is_tight and features.is_symmetric):
            return None
        sigma = float(best_readout(encoder, features, noise).noise_std)
        return float(oracle_support_loss(sigma, features.probability, features.law))


def _posterior_mean(
    hidden: Tensor, encoder: Encoder, features: SparseFeatures, noise: float, *, always_on: bool
) -> Float[Tensor, "batch n_features"]:
    """Returns E[x | z] of every entry, or E[u | u + ν = z], a feature at a time where their interference differs."""
    features.check_symmetric("a Bayes decoder")
    readout = best_readout(encoder, features, noise)
    # At ratio 1 there is no interference, and the table of a very small one is the identity.
    z, std = readout(hidden), readout.noise_std.double().clamp(min=_LEAST_NOISE)
    if not isfinite(float(z.sum())):  # of samples that leave the range of their type, nothing is known
        lost = ~torch.isfinite(z).all(dim=1)
        z = z.masked_fill_(lost[:, None], 0.0)
        return _denoised(z, std, features, always_on=always_on).masked_fill_(lost[:, None], torch.nan)
    return _denoised(z, std, features, always_on=always_on)


def _denoised(
    z: Float[Tensor, "batch n_features"], std: Tensor, features: SparseFeatures, *, always_on: bool
) -> Float[Tensor, "batch n_features"]:
    """Returns the posterior means at observations z, whose interference has one standard deviation or one a feature."""
    p = 1.0 if always_on else float(features.probability)
    table = denoiser(features.law, p)
    if std.ndim == 0:
        return table(z, std.expand(len(z)))[0]
    # Without a column nothing is seen of a feature: the posterior is the prior.
    x = torch.full_like(z, float(features.law.mean) * p)
    seen = torch.isfinite(std)
    if not bool(seen.any()):
        return x
    spread = std[seen].log()
    step = max(0.02, float(spread.max() - spread.min()) / _LEVELS)
    level = torch.where(seen, torch.round(std.log() / step), torch.nan)
    for one in torch.unique(level[seen]).tolist():
        columns = torch.nonzero(level == one)[:, 0]
        sigma = std[columns].mean()
        x[:, columns] = table(z[:, columns].contiguous(), sigma.expand(len(z)))[0]
    return x

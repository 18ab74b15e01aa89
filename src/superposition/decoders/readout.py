"""The linear part of a decoder: an estimate of every feature, x_i plus interference."""

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _tensors
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder
from superposition.theory import minimal_noise_variance


@dataclass(frozen=True)
class Readout:
    """z = W hidden with W W_enc of unit diagonal, so that z_i = x_i + ν_i.

    Attributes:
        encoder: Of whose hidden activations.
        W: Shape (n_features, n_hidden), or None for W_encᵀ, each row over its squared norm.
        mean: E ν_i, feature units; of shape (n_features,), or () where all are alike.
        noise_std: Standard deviation of ν_i, likewise; inf where a feature has no column.
    """

    encoder: Encoder
    W: Float[Tensor, "n_features n_hidden"] | None
    mean: Tensor
    noise_std: Tensor

    def __call__(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch n_features"]:
        """Returns x + ν with the mean of ν taken out."""
        z = matched(self.encoder, hidden) if self.W is None else hidden @ self.W.T
        return z.sub_(self.mean.to(z))


def matched(encoder: Encoder, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch n_features"]:
    """Returns W_encᵀ hidden, each entry over its column's squared norm (0 where the column is, but for rounding)."""
    z = encoder.adjoint(hidden)
    if encoder.is_tight:
        return z
    norms = encoder.column_norms()
    return z * torch.where(norms > _tensors.bounds(norms.dtype)[0], norms**-2, 0.0)


def linear_part(W_dec: Tensor | None, hidden: Tensor, encoder: Encoder) -> Float[Tensor, "batch n_features"]:
    """Returns z = W_dec hidden; raises ValueError if the shapes do not match."""
    if W_dec is None:
        return matched(encoder, hidden)
    _tensors.real("W_dec", W_dec, encoder.n_features, encoder.n_hidden)
    return hidden @ _tensors.alike("W_dec", W_dec, "hidden", hidden.dtype, hidden.device).T


def own_weights(W_dec: Tensor) -> Tensor:
    """Returns a copy of a finite W_dec, which nobody else can change; raises ValueError if it is something else."""
    return _tensors.finite("W_dec", _tensors.real("W_dec", W_dec, "n_features", "n_hidden").detach()).clone()


def best_readout(encoder: Encoder, features: SparseFeatures, noise_variance: float = 0.0) -> Readout:
    """The read-out of least interference, w_i ∝ (W_enc D W_encᵀ + s² I)⁻¹ (W_enc)_i, D = diag(Var x).

    With h_i its leverage score, Var ν_i = v_i (1/h_i − 1). For a tight frame it is W_encᵀ.

    Args:
        encoder: Of which.
        features: Their means and variances.
        noise_variance: s² ≥ 0 of the hidden activations, feature units squared.
    """
    if encoder.is_tight and features.is_symmetric:
        ratio = encoder.n_hidden / encoder.n_features
        least = float(minimal_noise_variance(ratio, features.probability, features.law)) + noise_variance
        total = matched(encoder, encoder.encode(torch.ones(1, encoder.n_features)))
        shared = (float(total.double().mean()) - 1) * float(features.mean)
        return Readout(encoder, None, *torch.tensor([shared, sqrt(least)], dtype=torch.float64))
    W_enc = encoder.columns(torch.arange(encoder.n_features)).T.double()
    v, mean = (torch.tensor(features.per_feature(x).copy()) for x in (features.variance, features.mean))
    covariance = (W_enc * v) @ W_enc.T
    # Enough for a rank below n_hidden to be found; its share of the variance is far below any loss.
    floor = 1e-12 * float(covariance.diagonal().mean())
    # Where nothing varies or nothing is encoded any diagonal does.
    covariance.diagonal().add_(max(noise_variance, floor) or 1.0)
    solved = torch.linalg.solve(covariance, W_enc)
    share = (W_enc * solved).sum(0)  # h_i/v_i
    # Capacities are solved for to some 1e-12 times a condition number: one below 1e-9 may be none.
    alive = share * v > 1e-9
    W = torch.where(alive, solved / torch.where(alive, share, 1.0), 0.0).T
    noise = torch.where(alive, v * (1 / (share * v).clamp(1e-9, 1) - 1), torch.inf)
    shift = W @ (W_enc @ mean) - torch.where(alive, mean, 0.0)
    return Readout(encoder, W.to(encoder.column_norms().dtype), shift, noise.sqrt())

"""From W to an encoder and a decoder: the two ways to write one low-rank map."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors

# A singular value below this share of the largest is none: those of a product of float32 matrices are off by some
# √n u, u = 6e-8, and those in float64 by u = 1e-16 of the largest.
_RANK = {torch.float64: 1e-10}


def factorise(
    W: Float[Tensor, "n_features n_features"], n_hidden: int
) -> tuple[Float[Tensor, "n_hidden n_features"], Float[Tensor, "n_features n_hidden"]]:
    """Encoder and decoder of a given W = W_dec W_enc, balanced: W_enc = Σ^½ Vᵀ and W_dec = U Σ^½ of W = U Σ Vᵀ.

    Any W of rank at most n_hidden is such a product, so that models may be thought of as (W, b). Of all pairs the
    balanced one, W_enc W_encᵀ = W_decᵀ W_dec = Σ, has the least ‖W_enc‖² + ‖W_dec‖², which is twice the nuclear norm
    of W; it is unique but for rotations among equal singular values. Signs are such that every row of W_enc has a
    positive largest entry. Rows beyond the rank are 0.

    Args:
        W: Any square matrix of real numbers, finite; the SVD is taken in float64 and the factors have its dtype.
        n_hidden: Width of the bottleneck, in [1, n_features], at least the rank of W: singular values of less than 1e-5
            of the largest count as none (1e-10 in float64).

    Returns:
        W_enc and W_dec.

    Raises:
        ValueError: The rank is larger than `n_hidden`, or an argument is not valid.

    Reference: The Persian Rug, section 4.1.

    >>> W_enc, W_dec = factorise(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), n_hidden=1)
    >>> W_enc.round(decimals=4), W_dec.round(decimals=4)
    (tensor([[ 1., -1.]]), tensor([[ 1.],
            [-1.]]))
    """
    W = _tensors.real("W", W, "n_features", "n_features").detach()
    n = W.shape[0]
    if W.shape != (n, n) or not n:
        raise ValueError(f"`W` must be square and not empty, got shape {tuple(W.shape)}")
    n_hidden = _checks.hidden_width(n_hidden, n)
    _tensors.finite("W", W)
    unit = W.double().abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    U, values, Vt = torch.linalg.svd(W.double() / unit)
    rank = int((values > _RANK.get(W.dtype, 1e-5) * values[0]).sum())
    if rank > n_hidden:
        share = float(values[n_hidden] / values[0])
        raise ValueError(
            f"`n_hidden` must be at least the rank of W, {rank}, got {n_hidden}: the next singular value is "
            f"{share:.2g} of the largest"
        )
    root = torch.where(torch.arange(n) < rank, values, 0.0)[:n_hidden].sqrt()
    Vt, U = Vt[:n_hidden], U[:, :n_hidden]
    largest = Vt.gather(1, Vt.abs().argmax(1, keepdim=True))
    sign = torch.where(largest < 0, -1.0, 1.0)
    W_enc = unit.sqrt() * root[:, None] * sign * Vt
    W_dec = unit.sqrt() * root * sign.T * U
    return W_enc.to(W.dtype), W_dec.to(W.dtype)

"""The transform by a Hadamard matrix: Walsh–Hadamard's fast one of order 2^k, times a dense factor for other orders."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.models.hadamard_constructions import construction_of, core_matrix

# Radix of a pass: a product with a 64 × 64 Hadamard matrix is bound by memory, not arithmetic.
_RADIX_BITS = 6


def hadamard_transform(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    """Returns H x along the last axis, H the Hadamard matrix of order n, unnormalised.

    O(n log n) and no matrix of order n for n = 2^k: H is a Kronecker product of small Hadamard matrices, applied one
    after the other, H_ij = (−1)^popcount(i & j). Of other orders it is that of 2^k times Paley's of order c, a dense
    factor: O(n (c + log n)). H is symmetric, its first row is of ones, H² = n.

    Args:
        x: Real numbers; the last axis has a length n of `hadamard_orders`.

    Raises:
        ValueError: n is the order of no Hadamard matrix that is known here.

    Reference: The Persian Rug, section 4.2.2 (Sylvester 1867, Paley 1933).

    >>> hadamard_transform(torch.tensor([1.0, 2.0]))
    tensor([ 3., -1.])
    """
    if not (isinstance(x, Tensor) and x.is_floating_point() and x.layout == torch.strided and x.ndim):
        raise ValueError(f"`x` must be a tensor of real numbers with at least one axis, got {_checks.shown(x)}")
    made = construction_of(x.shape[-1])
    bits, done = made.sylvester.bit_length() - 1, made.core
    y = x if done == 1 else x.reshape(-1, done) @ paley(made.paley, made.q, x.dtype, x.device)
    while bits:
        step = min(bits, _RADIX_BITS)
        order = 1 << step
        H = sylvester(order, x.dtype, x.device)
        # The axis of this factor stands `done` from the right; for the first pass it is the last one.
        y = y.reshape(-1, order) @ H if done == 1 else torch.matmul(H, y.reshape(-1, order, done))
        done, bits = done * order, bits - step
    return y.reshape(x.shape) if y is not x else x.clone()


@lru_cache(maxsize=32)
def sylvester(order: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "order order"]:
    """Returns the Sylvester Hadamard matrix of a small order as a dense tensor."""
    # A tensor made in inference mode could not take part in a later backward pass.
    with torch.inference_mode(mode=False):
        H = torch.ones(1, 1, dtype=dtype, device=device)
        block = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=dtype, device=device)
        while len(H) < order:
            H = torch.kron(block, H)
    return H


@lru_cache(maxsize=8)
def paley(kind: int, q: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "order order"]:
    """Returns Paley's symmetric matrix of one of his kinds as a dense tensor."""
    with torch.inference_mode(mode=False):
        return torch.from_numpy(core_matrix(kind, q)).to(device, dtype)

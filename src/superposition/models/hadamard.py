"""The fast Walsh–Hadamard transform of Sylvester order 2^k."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks

# Radix of a pass: a product with a 64 × 64 Hadamard matrix is bound by memory, not arithmetic.
_RADIX_BITS = 6


def check_order(n: int) -> int:
    """Returns n if it is a power of two; raises ValueError naming the neighbours otherwise."""
    if n < 1:
        raise ValueError(f"`n_features` must be a power of two for a Sylvester Hadamard matrix, got {n}: use 1 or more")
    if n & (n - 1):
        below = 1 << (n.bit_length() - 1)
        raise ValueError(
            f"`n_features` must be a power of two for a Sylvester Hadamard matrix, got {n}: use {below} or {2 * below}"
        )
    return n


def hadamard_transform(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    """Returns H x along the last axis, H the Sylvester Hadamard matrix of order n = 2^k, unnormalised.

    O(n log n) and no matrix of order n: H is a Kronecker product of small Hadamard matrices, applied one
    after the other. H_ij = (−1)^popcount(i & j), H² = n.

    Raises:
        ValueError: n is not a power of two.

    >>> hadamard_transform(torch.tensor([1.0, 2.0]))
    tensor([ 3., -1.])
    """
    if not (isinstance(x, Tensor) and x.is_floating_point() and x.layout == torch.strided and x.ndim):
        raise ValueError(f"`x` must be a tensor of real numbers with at least one axis, got {_checks.shown(x)}")
    n = check_order(x.shape[-1])
    bits = n.bit_length() - 1
    done = 1
    y = x
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

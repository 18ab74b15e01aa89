"""Exactly k-sparse vectors."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import torch_generator


def sparse_vectors(
    n_features: int, k: int, n_samples: int, *, seed: int = 0, lowest: float = 0.0, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n_samples n_features"]:
    """Vectors of exactly k active features, the set uniform, the values uniform on (lowest, 1].

    Args:
        n_features: Length, ≥ 1.
        k: Number of active features, in [1, n_features].
        n_samples: How many, ≥ 1.
        seed: Seed of the sets and values.
        lowest: Least value, in [0, 1).
        dtype: A floating dtype.

    Raises:
        ValueError: An argument is out of range.

    >>> (sparse_vectors(100, 7, 5) > 0).sum(dim=1).tolist()
    [7, 7, 7, 7, 7]
    """
    n_features = _checks.whole_number("n_features", n_features)
    k = _checks.whole_number("k", k, high=n_features, hint="no more than there are features")
    n_samples = _checks.whole_number("n_samples", n_samples)
    lowest = _checks.one("lowest", _checks.in_interval("lowest", lowest, 0, 1, open_high=True))
    _tensors.floating("dtype", dtype)
    generator = torch_generator(seed, "sparse vectors")
    order = torch.rand(n_samples, n_features, generator=generator)
    # (0, 1]: an active value is never 0.
    values = 1 - torch.rand(n_samples, k, generator=generator, dtype=torch.float64)
    x = torch.zeros(n_samples, n_features, dtype=dtype)
    return x.scatter_(1, order.topk(k, dim=1).indices, (lowest + (1 - lowest) * values).to(dtype))

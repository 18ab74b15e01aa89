"""How far an encoder's columns are from orthogonal: coherence, and bounds on its restricted isometry constant."""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition._random import torch_generator
from superposition.models import Model
from superposition.models.base import encoder_of
from superposition.models.encoders import Encoder
from superposition.theory import welch_bound

# Supports up to this number are all looked at.
_ALL_SUPPORTS = 50_000
_ROWS = 1024


@dataclass(frozen=True)
class Coherence:
    """Inner products of unit columns.

    Attributes:
        mutual_coherence: max_{i≠j} |⟨a_i, a_j⟩|/(‖a_i‖‖a_j‖).
        welch_bound: The least that n_features columns in n_hidden dimensions can have.
        largest_norm: Largest norm of a column.
        smallest_norm: Smallest norm.
    """

    mutual_coherence: float
    welch_bound: float
    largest_norm: float
    smallest_norm: float

    @property
    def welch_gap(self) -> float:
        """How far the coherence is above the least possible: their difference."""
        return self.mutual_coherence - self.welch_bound


@dataclass(frozen=True)
class RestrictedIsometry:
    """Bounds on δ_k, the least δ with (1 − δ)‖x‖² ≤ ‖A x‖² ≤ (1 + δ)‖x‖² for all k-sparse x.

    Attributes:
        lower: The largest deviation among the supports looked at: a bound from below, and δ_k itself if `exhaustive`.
        upper: max |‖a_i‖² − 1| + (k − 1) max_{i≠j} |⟨a_i, a_j⟩|, Gershgorin's bound from above.
        exhaustive: Whether every support was looked at.
        n_supports: How many were.
    """

    lower: float
    upper: float
    exhaustive: bool
    n_supports: int


def coherence(encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']") -> Coherence:
    """Mutual coherence of an encoder beside the Welch bound (exact).

    Args:
        encoder: An encoder, a model or a matrix W_enc.

    Raises:
        ValueError: A column is 0.

    >>> coherence(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])).mutual_coherence
    0.800000011920929
    """
    encoder = encoder_of(encoder)
    norms = encoder.column_norms()
    if not bool((norms > 0).all()):
        dead = int((norms == 0).nonzero()[0])
        raise ValueError(f"`encoder` must have no column of norm 0, got one for feature {dead}")
    n, m = encoder.n_features, encoder.n_hidden
    largest = float(_largest_products(encoder, norms))
    return Coherence(largest, welch_bound(n, m) if m <= n else 0.0, float(norms.max()), float(norms.min()))


def restricted_isometry(
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']", k: int, *, n_samples: int = 10_000, seed: int = 0
) -> RestrictedIsometry:
    """Bounds on the restricted isometry constant δ_k, which itself is NP-hard to find.

    Args:
        encoder: An encoder, a model or a matrix W_enc.
        k: Size of supports, in [1, n_features].
        n_samples: Supports drawn where there are too many to look at all, ≥ 1.
        seed: Seed of the draw.

    Raises:
        ValueError: An argument is out of range.

    Reference: Candès and Tao 2005; Toy Models of Superposition, appendix on compressed sensing.

    >>> restricted_isometry(torch.eye(3), 2)
    RestrictedIsometry(lower=0.0, upper=0.0, exhaustive=True, n_supports=3)
    """
    encoder = encoder_of(encoder)
    n = encoder.n_features
    k = _checks.whole_number("k", k, high=n, hint="no more than there are features")
    _checks.whole_number("n_samples", n_samples)
    exhaustive = comb(n, k) <= _ALL_SUPPORTS
    if exhaustive:
        supports = torch.tensor(list(combinations(range(n), k)))
    else:
        generator = torch_generator(seed, "supports")
        supports = torch.stack([torch.randperm(n, generator=generator)[:k] for _ in range(n_samples)])
    lower = 0.0
    for start in range(0, len(supports), _ROWS):
        values = torch.linalg.eigvalsh(encoder.gram(supports[start : start + _ROWS]).double())
        lower = max(lower, float((values - 1).abs().max()))
    norms = encoder.column_norms()
    upper = float((norms.double() ** 2 - 1).abs().max())
    if k > 1:
        upper += (k - 1) * float(_largest_products(encoder, torch.ones_like(norms)))
    return RestrictedIsometry(lower, upper, exhaustive, len(supports))


def _largest_products(encoder: Encoder, norms: Tensor) -> Tensor:
    """Returns the largest |⟨a_i, a_j⟩|/(norms_i norms_j) over i ≠ j, a block of rows at a time."""
    n = encoder.n_features
    largest = norms.new_zeros(())
    # Of a tight frame of Hadamard rows every row of products is a rearrangement of the first.
    last = 1 if encoder.columns_are_alike else n
    for start in range(0, last, _ROWS):
        index = torch.arange(start, min(start + _ROWS, last))
        products = encoder.adjoint(encoder.columns(index).to(norms)) / (norms[index][:, None] * norms)
        products[torch.arange(len(index)), index] = 0
        largest = torch.maximum(largest, products.abs().max())
    return largest

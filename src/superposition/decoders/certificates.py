"""What proves a decoder's answer."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class SupportCertificate:
    """A support and what speaks for it, one entry a sample.

    Attributes:
        support: Indices of the k features, shape (batch, k), increasing.
        condition: Bound from above on the condition number of their columns; inf where they are dependent.
        margin: x_(k)/2 − ‖T(x̂) − x̂‖_∞, feature units, T the thresholded first estimate and x_(k) the smallest of the k
            values: positive where the sufficient condition for the support holds at x̂.
        holds: Whether x̂ explains the activations, its values are positive and the margin is: then x̂ is the only
            k-sparse x ≥ 0 that explains them and meets the condition.
    """

    support: Int[Tensor, "batch k"]
    condition: Float[Tensor, " batch"]
    margin: Float[Tensor, " batch"]
    holds: Bool[Tensor, " batch"]


@dataclass(frozen=True)
class DualCertificate:
    """A dual solution of min ‖x‖₁ subject to W_enc x = hidden, one entry a sample.

    Attributes:
        multipliers: λ, shape (batch, n_hidden).
        infeasibility: By how much λ violates its constraints, W_encᵀ λ ≤ 1 (in absolute value, if x may be negative).
        gap: ‖x̂‖₁ − hidden · λ as a share of ‖x̂‖₁: x̂ is within it of the least norm.
        holds: Whether residual, infeasibility and gap are all below the tolerance.
    """

    multipliers: Float[Tensor, "batch n_hidden"]
    infeasibility: Float[Tensor, " batch"]
    gap: Float[Tensor, " batch"]
    holds: Bool[Tensor, " batch"]

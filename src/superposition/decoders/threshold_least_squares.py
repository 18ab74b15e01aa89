"""Lemma 1 of the compressed-sensing appendix: the k largest of a first estimate, then least squares on them."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder, failed_because
from superposition.decoders.certificates import SupportCertificate
from superposition.decoders.elementwise import linear_part
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder

# Entries of the gathered columns taken together.
_BLOCK = 2**24
# A residual below it, in units of the precision, is rounding.
_ROUNDING = 1e3


@final
@dataclass(frozen=True, eq=False)
class ThresholdLeastSquares(Decoder):
    """The k largest entries of T = ReLU(a z + b) are the support; least squares on it gives the values.

    If x ≥ 0 is k-sparse, ‖T − x‖_∞ < x_(k)/2 with x_(k) its smallest active value, and the columns of its support are
    independent, then the result is x, exactly: an entry outside is below x_(k)/2, one inside above. (The text asks that
    ε be below the (k+1)-th largest entry of x, which is 0 for an exactly k-sparse x.) A sample converged if its support
    has independent columns.

    Args:
        k: Size of the support, in [1, n_hidden].
        scale: a > 0.
        bias: b in feature units.
        W_dec: Linear part of T, shape (n_features, n_hidden); the transposed encoder, each row over its squared norm,
            if not given.

    Reference: Toy Models of Superposition, appendix on compressed sensing, lemma 1.
    """

    k: int
    scale: float = 1.0
    bias: float = 0.0
    W_dec: Float[Tensor, "n_features n_hidden"] | None = None

    def __post_init__(self) -> None:
        _checks.whole_number("k", self.k)
        _checks.finite("bias", self.bias)
        _checks.in_interval("scale", self.scale, 0, float("inf"), open_low=True, open_high=True)

    @property
    def name(self) -> str:
        """With k."""
        return f"ThresholdLeastSquares(k={self.k})"

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:  # noqa: ARG002
        """Decodes a batch."""
        _checks.whole_number("k", self.k, high=encoder.n_hidden, hint="k columns in fewer dimensions are dependent")
        linear = self.scale * linear_part(self.W_dec, hidden, encoder) + self.bias
        # The largest before the ReLU are the largest after it, and it leaves no order among those it silences.
        support = linear.topk(self.k, dim=1).indices.sort(dim=1).values
        first = linear.relu_()
        values, condition = least_squares(hidden, encoder, support)
        independent = torch.isfinite(condition)
        values = torch.where(independent[:, None], values, first.gather(1, support))
        x = torch.zeros_like(first).scatter_(1, support, values)
        residual = encoder.residual_norm(hidden, x)
        margin = values.amin(dim=1) / 2 - (first - x).abs().amax(dim=1)
        explained = residual <= _ROUNDING * torch.finfo(hidden.dtype).eps
        holds = independent & explained & (values.amin(dim=1) > 0) & (margin > 0)
        return Decoded(
            x,
            independent,
            torch.ones_like(independent, dtype=torch.long),
            residual,
            SupportCertificate(support, condition, margin, holds),
            failed_because(
                independent, "the columns of the support are dependent, and its values are the first estimate's"
            ),
        )


def least_squares(
    hidden: Float[Tensor, "batch n_hidden"], encoder: Encoder, support: Int[Tensor, "batch k"]
) -> tuple[Float[Tensor, "batch k"], Float[Tensor, " batch"]]:
    """Returns the values on each sample's support that fit best, and a bound on its columns' condition number.

    Normal equations, with one step of refinement. The bound is √(‖G‖₁ ‖G⁻¹‖₁) of the columns' inner products G, and inf
    where they are dependent to the precision of the activations.
    """
    values = hidden.new_empty(support.shape)
    condition = hidden.new_empty(len(hidden))
    step = max(1, _BLOCK // (support.shape[1] * max(support.shape[1], 1 if encoder.is_tight else encoder.n_hidden)))
    for start in range(0, len(hidden), step):
        part = slice(start, start + step)
        values[part], condition[part] = _least_squares(hidden[part], encoder, support[part])
    return values, condition


def _least_squares(hidden: Tensor, encoder: Encoder, support: Tensor) -> tuple[Tensor, Tensor]:
    gram = encoder.gram(support).to(hidden)
    root, failed = torch.linalg.cholesky_ex(gram)
    root = torch.where((failed == 0)[:, None, None], root, torch.eye(gram.shape[-1]).to(gram))
    inverse = torch.cholesky_inverse(root)
    condition = (_norm(gram) * _norm(inverse)).sqrt()
    # The inner products hold the square of the condition number.
    resolved = (failed == 0) & (condition**2 * torch.finfo(hidden.dtype).eps < 0.1)

    def correlations(rest: Tensor) -> Tensor:
        return encoder.adjoint(rest).gather(1, support)[:, :, None]

    values = inverse @ correlations(hidden)
    spread = hidden.new_zeros(len(hidden), encoder.n_features)
    rest = hidden - encoder.encode(spread.scatter_(1, support, values[:, :, 0]))
    values = values + inverse @ correlations(rest)
    return values[:, :, 0], torch.where(resolved, condition, torch.inf)


def _norm(matrices: Float[Tensor, "batch k k"]) -> Float[Tensor, " batch"]:
    """Returns the largest column sum of each matrix."""
    return matrices.abs().sum(dim=1).amax(dim=1)

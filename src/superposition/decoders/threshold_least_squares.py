"""Lemma 1 of the compressed-sensing appendix: the k largest of a first estimate, then least squares on them."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder, failed_because
from superposition.decoders.certificates import SupportCertificate
from superposition.decoders.readout import linear_part, matched, own_weights
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder

# Entries of the gathered columns taken together.
_BLOCK = 2**24
# A residual below it, in units of the precision, is rounding.
_ROUNDING = 100.0


@final
@dataclass(frozen=True, eq=False)
class ThresholdLeastSquares(Decoder):
    """The k largest entries of T = ReLU(a z + b) are the support; least squares on it gives the values.

    If x ≥ 0 is k-sparse, ‖T − x‖_∞ < x_(k)/2 with x_(k) its smallest active value, and the columns of its support are
    independent, then the result is x, exactly: an entry outside is below x_(k)/2, one inside above. (The text asks that
    ε be below the (k+1)-th largest entry of x, which is 0 for an exactly k-sparse x.)

    More rounds go on from there by hard thresholding pursuit: the k largest of x̂ + W_encᵀ(hidden − W_enc x̂), least
    squares on them, until the support stays. They find many supports that one round misses.

    A sample converged if its support has independent columns and, of several rounds, has stayed or explains the
    activations.

    Args:
        k: Size of the support, in [1, n_hidden].
        scale: a > 0.
        bias: b in feature units.
        W_dec: Linear part of T, shape (n_features, n_hidden); the transposed encoder, each row over its squared norm,
            if not given.
        rounds: Most rounds, ≥ 1; 1 is the lemma's.

    Reference: Toy Models of Superposition, appendix on compressed sensing, lemma 1; Foucart 2011 for further rounds.
    """

    k: int
    scale: float = 1.0
    bias: float = 0.0
    W_dec: Float[Tensor, "n_features n_hidden"] | None = None
    rounds: int = 1

    def __post_init__(self) -> None:
        _checks.whole_number("k", self.k)
        _checks.whole_number("rounds", self.rounds)
        _checks.one("bias", _checks.finite("bias", self.bias))
        _checks.one("scale", _checks.in_interval("scale", self.scale, 0, float("inf"), open_low=True, open_high=True))
        if self.W_dec is not None:
            object.__setattr__(self, "W_dec", own_weights(self.W_dec))

    @property
    def name(self) -> str:
        """With k, and the rounds if several."""
        return f"ThresholdLS(k={self.k}{f', rounds={self.rounds}' if self.rounds > 1 else ''})"

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:  # noqa: ARG002
        """Decodes a batch."""
        _checks.whole_number("k", self.k, high=encoder.n_hidden, hint="k columns in fewer dimensions are dependent")
        linear = self.scale * linear_part(self.W_dec, hidden, encoder) + self.bias
        # The largest before the ReLU are the largest after it, and it leaves no order among those it silences.
        support = _largest(linear, self.k)
        first = linear.relu_()
        values, condition = least_squares(hidden, encoder, support)
        limit = _ROUNDING * torch.finfo(hidden.dtype).eps
        iterations = torch.ones(len(hidden), dtype=torch.long, device=hidden.device)
        settled = torch.isfinite(condition)
        rows = torch.arange(len(hidden), device=hidden.device)
        for _ in range(self.rounds - 1):
            x = torch.zeros_like(first[rows]).scatter_(1, support[rows], values[rows])
            unexplained = encoder.residual_norm(hidden[rows], x) > limit
            settled[rows] |= ~unexplained
            rows, x = rows[unexplained], x[unexplained]
            if not len(rows):
                break
            following = _largest(matched(encoder, hidden[rows] - encoder.encode(x)).add_(x), self.k)
            moved = (following != support[rows]).any(dim=1)
            settled[rows] = ~moved & torch.isfinite(condition[rows])
            rows = rows[moved]
            if not len(rows):
                break
            support[rows] = following[moved]
            values[rows], condition[rows] = least_squares(hidden[rows], encoder, support[rows])
            iterations[rows] += 1
        independent = torch.isfinite(condition)
        values = torch.where(independent[:, None], values, first.gather(1, support))
        x = torch.zeros_like(first).scatter_(1, support, values)
        residual = encoder.residual_norm(hidden, x)
        settled |= residual <= limit
        margin = values.amin(dim=1) / 2 - (first - x).abs().amax(dim=1)
        holds = independent & (residual <= limit) & (values.amin(dim=1) > 0) & (margin > 0)
        reasons = (
            failed_because(
                independent, "the columns of the support are dependent, and its values are the first estimate's"
            ),
            failed_because(settled | ~independent, "the support still changed in the last round"),
        )
        return Decoded(
            x,
            independent & settled,
            iterations,
            residual,
            SupportCertificate(support, condition, margin, holds),
            "; ".join(reason for reason in reasons if reason),
        )


def _largest(z: Float[Tensor, "batch n_features"], k: int) -> Int[Tensor, "batch k"]:
    """Returns where each sample's k largest entries are, increasing."""
    return z.topk(k, dim=1).indices.sort(dim=1).values


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

"""Recovery of exactly sparse features by a model that was trained to reconstruct them."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from superposition import _checks
from superposition.decoders.certificates import SupportCertificate
from superposition.decoders.threshold_least_squares import ThresholdLeastSquares
from superposition.features import SparseFeatures
from superposition.models import Model


@dataclass(frozen=True)
class Recovery:
    """k-sparse features recovered from activations, one entry a sample.

    Attributes:
        x: Shape (batch, n_features), feature units.
        support: Their active features, shape (batch, k), increasing.
        residual: ‖y − W_enc x‖/‖y‖.
        condition: Bound from above on the condition number of the support's columns; inf where they are dependent.
        certified: Whether x explains y and meets the sufficient condition: then no other k-sparse x ≥ 0 does both.
        why: What went wrong, empty if every support stayed and has independent columns.
    """

    x: Float[Tensor, "batch n_features"]
    support: Int[Tensor, "batch k"]
    residual: Float[Tensor, " batch"]
    condition: Float[Tensor, " batch"]
    certified: Bool[Tensor, " batch"]
    why: str


def recover(model: Model, y: Float[Tensor, "batch n_hidden"], k: int, *, rounds: int = 20) -> Recovery:
    """Recovers k-sparse features x ≥ 0 from y = W_enc x: the k largest of a first estimate, least squares on them.

    The first estimate is T = ReLU(W_dec y), each row of W_dec over the diagonal entry W_ii: a trained scale and bias
    serve the mean square error, at the cost of ‖T − x‖_∞, and are left out. The result is exact where
    ‖T − x‖_∞ < x_(k)/2, x_(k) the smallest active value, if the support's columns are independent. Where it does not
    explain the activations, further rounds correct the support.

    Args:
        model: Any model; of its W_dec the directions count.
        y: Activations, finite.
        k: Number of active features, in [1, n_hidden].
        rounds: Most rounds, ≥ 1; with 1 it is the lemma's algorithm.

    Raises:
        ValueError: `k` or a shape is not valid, y is not finite, or it is no model.

    Reference: Toy Models of Superposition, appendix on compressed sensing, lemma 1, with its condition corrected.

    >>> import torch
    >>> from superposition.models import PersianRug
    >>> from superposition.features.exactly_sparse import sparse_vectors
    >>> rug, x = PersianRug.draw(64, 32), sparse_vectors(64, 1, 3)
    >>> bool(torch.allclose(recover(rug, rug.encode(x), 1).x, x, atol=1e-5))
    True
    """
    # A dead feature is never among the largest.
    W_dec = _checks.instance("model", model, Model, "a model").W_dec_of_unit_diagonal()
    decoder = ThresholdLeastSquares(k, W_dec=W_dec, rounds=rounds)
    decoded = decoder(y, model.encoder, SparseFeatures(model.n_features, 1.0))
    certificate = decoded.certificate
    assert isinstance(certificate, SupportCertificate)
    return Recovery(
        decoded.features, certificate.support, decoded.residual, certificate.condition, certificate.holds, decoded.why
    )

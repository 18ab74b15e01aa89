"""The spectrum of W = W_dec W_enc, from its factors: how far W is from a multiple of a projection."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray
from superposition.diagnostics.activations import check_supported
from superposition.models import Model, PersianRug


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues and singular values of W; the n_features − n_hidden others are 0.

    Attributes:
        eigenvalues: Shape (n_hidden,), of largest modulus first; complex pairs where W is not symmetric.
        singular_values: Shape (n_hidden,), decreasing.
        scale: c of least ‖W² − cW‖, the Frobenius norm: ⟨W², W⟩/‖W‖²; 1/ratio times the diagonal for a rug.
        distance: ‖W² − cW‖/‖W²‖ there, in [0, 1], the sine of the angle between W² and W; 0 if and only if W/c is
            a projection, orthogonal if the singular values too are all c. NaN if W² is 0.
    """

    eigenvalues: npt.NDArray[np.complex128]
    singular_values: FloatArray
    scale: float
    distance: float


def spectrum(model: Model) -> Spectrum:
    """Spectrum of W and its distance from a multiple of a projection, in float64, in O(n_features n_hidden²).

    The nonzero eigenvalues of W_dec W_enc are those of the small matrix W_enc W_dec. With W_dec = Q R and
    W_encᵀ = Q′ R′, the singular values are those of R R′ᵀ, and ‖W² − cW‖ = ‖R (W_enc W_dec − c) R′ᵀ‖. A rug has
    them in closed form: all n_hidden of them are a/r, and W² = (a/r) W.

    Args:
        model: An Autoencoder, LinearAutoencoder or PersianRug.

    Raises:
        ValueError: It is another model, or a weight is not finite.

    Reference: The Persian Rug, eq. 42–45 (which drop the factor a/r).

    >>> found = spectrum(PersianRug.draw(n_features=64, n_hidden=16))
    >>> found.scale, found.distance
    (4.0, 0.0)
    """
    check_supported(model)
    if isinstance(model, PersianRug):
        value = float(_checks.finite("scale", float(model.scale))) * model.n_features / model.n_hidden
        values = np.full(model.n_hidden, value)
        return Spectrum(values.astype(complex), values, value, 0.0)
    W_enc, W_dec = (_float64(name, getattr(model, name)) for name in ("W_enc", "W_dec"))
    small = W_enc @ W_dec
    eigenvalues = np.linalg.eigvals(small).astype(complex)
    R, R_enc = (np.asarray(np.linalg.qr(factor, mode="r")) for factor in (W_dec, W_enc.T))
    W, square = R @ R_enc.T, R @ small @ R_enc.T
    norm = np.linalg.norm(square)
    scale = float((square * W).sum() / (W**2).sum()) if norm > 0 else float("nan")
    return Spectrum(
        eigenvalues=eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")],
        singular_values=np.linalg.svd(W, compute_uv=False),
        scale=scale,
        distance=float(np.linalg.norm(square - scale * W) / norm) if norm > 0 else float("nan"),
    )


def _float64(name: str, weights: Tensor) -> FloatArray:
    return _checks.finite(name, weights.detach().cpu().double().numpy())

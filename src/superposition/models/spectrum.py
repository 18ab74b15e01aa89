"""The spectrum of W = W_dec W_enc, from its factors: how far W is from a multiple of a projection."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray


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

    @classmethod
    def of_factors(cls, W_enc: Tensor, W_dec: Tensor) -> Self:
        """Returns the spectrum in float64, in O(n_features n_hidden²).

        The nonzero eigenvalues of W_dec W_enc are those of the small matrix W_enc W_dec. With W_dec = Q R and
        W_encᵀ = Q′ R′, the singular values are those of R R′ᵀ, and ‖W² − cW‖ = ‖R (W_enc W_dec − c) R′ᵀ‖.

        Raises:
            ValueError: A weight is not finite.
        """
        enc, dec = (_float64(name, factor) for name, factor in (("W_enc", W_enc), ("W_dec", W_dec)))
        small = enc @ dec
        eigenvalues = np.linalg.eigvals(small).astype(complex)
        R, R_enc = (np.asarray(np.linalg.qr(factor, mode="r")) for factor in (dec, enc.T))
        W, square = R @ R_enc.T, R @ small @ R_enc.T
        norm = np.linalg.norm(square)
        scale = float((square * W).sum() / (W**2).sum()) if norm > 0 else float("nan")
        return cls(
            eigenvalues=eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")],
            singular_values=np.linalg.svd(W, compute_uv=False),
            scale=scale,
            distance=float(np.linalg.norm(square - scale * W) / norm) if norm > 0 else float("nan"),
        )

    @classmethod
    def of_projection(cls, scale: float, rank: int) -> Self:
        """Returns the spectrum of c times an orthogonal projection, c = `scale`, where W² = c W."""
        values = np.full(rank, _checks.one("scale", _checks.finite("scale", scale)))
        return cls(values.astype(complex), values, scale, 0.0)


def _float64(name: str, weights: Tensor) -> FloatArray:
    return _checks.finite(name, weights.detach().cpu().double().numpy())

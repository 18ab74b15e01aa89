"""Orthogonal matching pursuit, by scikit-learn."""

import warnings
from dataclasses import dataclass
from math import ceil, isfinite
from typing import final

import numpy as np
import torch
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder, failed_because
from superposition.decoders.parallel import in_parallel
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class OMP(Decoder):
    """Greedy: the column that correlates most with what is left, then least squares on all that were taken.

    A sample converged if what is left is below the tolerance. Correlations are with columns of unit norm, whatever the
    encoder's own.

    Args:
        k: Columns taken, in [1, n_hidden]; if not given, the expected number of active features and four standard
            deviations.
        tolerance: Largest share ‖hidden − W_enc x̂‖/‖hidden‖ of a converged sample.

    Reference: Pati, Rezaiifar and Krishnaprasad 1993; Rubinstein, Zibulevsky and Elad 2008.
    """

    k: int | None = None
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if self.k is not None:
            _checks.whole_number("k", self.k)
        _checks.one("tolerance", _checks.in_interval("tolerance", self.tolerance, 0, 1, open_low=True))

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:
        """Decodes a batch, samples on all cores."""
        from sklearn.linear_model import orthogonal_mp_gram

        k = self._count(encoder, features)
        norms = encoder.column_norms().double()
        W_enc = encoder.columns(torch.arange(encoder.n_features)).double() / norms.clamp(min=1e-300)[:, None]
        gram = (W_enc @ W_enc.T).cpu().numpy()
        # Columns of the features, rows of the samples.
        products = (W_enc @ hidden.double().T).cpu().numpy()

        if not isfinite(float(np.abs(gram).sum() + np.abs(products).sum())):
            raise ValueError("`hidden` must have products with W_enc in the range of float64: use another unit")

        def solve(samples: range) -> np.ndarray:
            part = products[:, samples.start : samples.stop]
            return np.asarray(orthogonal_mp_gram(gram, part, n_nonzero_coefs=k)).reshape(len(gram), -1).T

        with warnings.catch_warnings():  # of a sample that needs fewer columns than it may take
            warnings.simplefilter("ignore", RuntimeWarning)
            found = np.concatenate(in_parallel(solve, len(hidden)))
        x = (torch.from_numpy(found).to(norms) / norms.clamp(min=1e-300)).to(hidden)
        residual = encoder.residual_norm(hidden, x)
        converged = residual <= self.tolerance
        steps = (x != 0).sum(dim=1)
        reason = f"{k} columns leave more than {self.tolerance:g} of the activations unexplained"
        return Decoded(x, converged, steps, residual, None, failed_because(converged, reason))

    def _count(self, encoder: Encoder, features: SparseFeatures) -> int:
        if self.k is not None:
            most, hint = encoder.n_hidden, "k columns in fewer dimensions are dependent"
            return _checks.whole_number("k", self.k, high=most, hint=hint)
        p = features.per_feature(features.probability)
        expected = float(p.sum() + 4 * np.sqrt((p * (1 - p)).sum()))
        return max(1, min(encoder.n_hidden, ceil(expected)))

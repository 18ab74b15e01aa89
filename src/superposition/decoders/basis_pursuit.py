"""Basis pursuit: the vector of least ℓ1 norm that explains the activations, by linear programming."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder, failed_because
from superposition.decoders.certificates import DualCertificate
from superposition.decoders.parallel import in_parallel
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class BasisPursuit(Decoder):
    """min ‖x‖₁ subject to W_enc x = hidden, and x ≥ 0 unless features may be negative.

    A sample converged if its dual solution proves it optimal: W_encᵀ λ ≤ 1, hidden · λ = ‖x̂‖₁. There is no allowance
    for noise. The solver is HiGHS; n_features of a thousand take a second or so a sample, four thousand half a minute.

    Args:
        nonnegative: Whether x ≥ 0 is known.
        tolerance: Of the certificate, relative.

    Reference: Chen, Donoho and Saunders 1998.
    """

    nonnegative: bool = True
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        _checks.flag("nonnegative", self.nonnegative)
        _checks.one("tolerance", _checks.in_interval("tolerance", self.tolerance, 0, 1, open_low=True))

    @property
    def name(self) -> str:
        """BasisPursuit, and whether signed."""
        return "BasisPursuit" if self.nonnegative else "BasisPursuit(signed)"

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:  # noqa: ARG002
        """Decodes a batch, samples on all cores."""
        W_enc = encoder.columns(torch.arange(encoder.n_features)).T.double().cpu().numpy()
        activations = hidden.double().cpu().numpy()

        def solve(samples: range) -> list[tuple[np.ndarray, np.ndarray]]:
            return [_solve(W_enc, activations[sample], nonnegative=self.nonnegative) for sample in samples]

        solutions = [pair for part in in_parallel(solve, len(hidden)) for pair in part]
        x, multipliers = (np.stack(part) for part in zip(*solutions, strict=True))
        with np.errstate(over="ignore", invalid="ignore"):  # no certificate is then made of them
            products = multipliers @ W_enc
            excess = (products if self.nonnegative else np.abs(products)).max(axis=1) - 1
            norm = np.abs(x).sum(axis=1)
            gap = np.abs(norm - (activations * multipliers).sum(axis=1)) / np.maximum(norm, 1e-300)
        estimate = torch.from_numpy(x).to(hidden)
        residual = encoder.residual_norm(hidden, estimate)
        # In units of the activations, whose squares may leave float64.
        unit = np.maximum(np.abs(activations).max(axis=1, keepdims=True), 1e-300)
        rest, size = (np.linalg.norm(part / unit, axis=1) for part in (activations - x @ W_enc.T, activations))
        exact = rest / np.maximum(size, 1e-300)
        limit = self.tolerance
        holds = torch.from_numpy((exact <= limit) & (excess <= limit) & ((gap <= limit) | (norm == 0))).to(
            hidden.device
        )
        dual, infeasibility, share = (torch.from_numpy(part).to(hidden) for part in (multipliers, excess, gap))
        certificate = DualCertificate(dual, infeasibility, share, holds)
        why = failed_because(holds, "no x meets the constraints, or the solver did not prove its own optimal")
        return Decoded(estimate, holds, torch.ones_like(holds, dtype=torch.long), residual, certificate, why)


def _solve(W_enc: np.ndarray, hidden: np.ndarray, *, nonnegative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and the multipliers of one sample; NaN multipliers if there is no solution."""
    from scipy.optimize import linprog

    n = W_enc.shape[1]
    matrix = W_enc if nonnegative else np.hstack([W_enc, -W_enc])
    # In units of the activations: the solver's tolerances are absolute.
    unit = float(np.abs(hidden).max()) or 1.0
    found = linprog(np.ones(matrix.shape[1]), A_eq=matrix, b_eq=hidden / unit, bounds=(0, None), method="highs")
    if found.x is None:
        return np.zeros(n), np.full(len(hidden), np.nan)
    x = unit * (found.x if nonnegative else found.x[:n] - found.x[n:])
    return x, found.eqlin.marginals

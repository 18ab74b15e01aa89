"""What came out: held-out loss and its parts, symmetry, the interference beyond Gaussian."""

from superposition.diagnostics.isometry import Coherence, RestrictedIsometry, coherence, restricted_isometry
from superposition.diagnostics.loss import held_out_loss
from superposition.diagnostics.noise import Interference, cumulants, interference
from superposition.diagnostics.permutation_symmetry import (
    Spread,
    Symmetry,
    predicted_symmetry,
    symmetry,
    symmetry_of_weights,
)
from superposition.diagnostics.spectrum import spectrum
from superposition.diagnostics.split import LossSplit, can_split_loss, loss_split

__all__ = [
    "Coherence",
    "Interference",
    "LossSplit",
    "RestrictedIsometry",
    "Spread",
    "Symmetry",
    "can_split_loss",
    "coherence",
    "cumulants",
    "held_out_loss",
    "interference",
    "loss_split",
    "predicted_symmetry",
    "restricted_isometry",
    "spectrum",
    "symmetry",
    "symmetry_of_weights",
]

"""What came out: held-out loss and symmetry statistics."""

from superposition.diagnostics.loss import held_out_loss
from superposition.diagnostics.permutation_symmetry import (
    Spread,
    Symmetry,
    predicted_symmetry,
    symmetry,
    symmetry_of_weights,
)

__all__ = ["Spread", "Symmetry", "held_out_loss", "predicted_symmetry", "symmetry", "symmetry_of_weights"]

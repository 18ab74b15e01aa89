"""The thresholded rectifier, ProLU: the bias decides whether, and is not added."""

from dataclasses import dataclass
from typing import Self, final

from jaxtyping import Float
from torch import Tensor

from superposition.decoders.elementwise import Calibration, Elementwise, gated_loss, is_open
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class TRec(Elementwise):
    """x̂ = m 1[m + b > 0 and m > 0], m = a z.

    Reference: Konda, Memisevic and Krueger 2014 (TRec); Taggart 2024 (ProLU).
    """

    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns m where the gate is open."""
        value = self.scale * z
        return is_open(value, value > max(0.0, -self.bias))

    def fitted(self, sample: Calibration) -> Self:
        """Returns the best a and b."""
        gate, scale, _ = sample.by_threshold().proportional()
        return type(self)(scale, -scale * max(0.0, float(gate)), sample.W_dec)

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the mean-field loss on a tight frame."""
        return gated_loss(self.scale, 0.0, max(0.0, -self.bias / self.scale), encoder, features, noise)

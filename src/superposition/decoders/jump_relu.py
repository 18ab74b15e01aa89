"""JumpReLU: a z + b where that is above a threshold, else 0."""

from dataclasses import dataclass
from typing import Self, final

from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.elementwise import Calibration, Elementwise, gated_loss, is_open
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class JumpReLU(Elementwise):
    """x̂ = v 1[v > θ], v = a z + b.

    Args:
        threshold: θ ≥ 0 in feature units.

    Reference: Erichson et al. 2019; Rajamanoharan et al. 2024.
    """

    threshold: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.one("threshold", _checks.finite("threshold", self.threshold, non_negative=True))

    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns v where it is above the threshold."""
        value = self.scale * z + self.bias
        return is_open(value, value > self.threshold)

    def fitted(self, sample: Calibration) -> Self:
        """Returns the best a, b and θ."""
        gate, scale, bias = sample.by_threshold().affine()
        return type(self)(scale, bias, sample.W_dec, max(0.0, scale * float(gate) + bias))

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the mean-field loss on a tight frame."""
        gate = (self.threshold - self.bias) / self.scale
        return gated_loss(self.scale, self.bias, gate, encoder, features, noise)

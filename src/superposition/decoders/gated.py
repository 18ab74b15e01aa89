"""The gated activation: one affine function decides whether, another one how much."""

from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.elementwise import Calibration, Elementwise, gated_loss, is_open
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class Gated(Elementwise):
    """x̂ = ReLU(a z + b) 1[z > gate].

    With one gate for all features it is the same family of functions as JumpReLU; the two differ in training.

    Args:
        gate: In feature units, of z.

    Reference: Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders".
    """

    gate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.one("gate", _checks.finite("gate", self.gate))

    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns ReLU(a z + b) where the gate is open."""
        return is_open(torch.relu(self.scale * z + self.bias), z > self.gate)

    def fitted(self, sample: Calibration) -> Self:
        """Returns the best a, b and gate."""
        gate, scale, bias = sample.by_threshold().affine()
        return type(self)(scale, bias, sample.W_dec, float(gate))

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the mean-field loss on a tight frame."""
        gate = max(self.gate, -self.bias / self.scale)
        return gated_loss(self.scale, self.bias, gate, encoder, features, noise)

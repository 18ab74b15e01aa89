"""The toy model's decoder: ReLU(a z + b)."""

from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.decoders.elementwise import Calibration, Elementwise
from superposition.decoders.readout import best_readout
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder
from superposition.theory import relu_loss


@final
@dataclass(frozen=True, eq=False)
class ReLU(Elementwise):
    """x̂ = ReLU(a z + b).

    >>> from superposition.features import SparseFeatures
    >>> ReLU(bias=-0.5)(torch.tensor([[1.0, 0.4]]), torch.eye(2), SparseFeatures(2, 0.5)).features
    tensor([[0.5000, 0.0000]])
    """

    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns ReLU(a z + b)."""
        return torch.relu(self.scale * z + self.bias)

    def fitted(self, sample: Calibration) -> Self:
        """Returns the best a and b."""
        _, scale, bias = sample.by_threshold().rectified()
        return type(self)(scale, bias, sample.W_dec)

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the mean-field loss on a tight frame."""
        if not (encoder.is_tight and features.is_symmetric):
            return None
        readout = best_readout(encoder, features, noise)
        shift = self.scale * float(readout.mean)
        return float(
            relu_loss(self.scale, self.bias + shift, float(readout.noise_std), features.probability, features.law)
        )

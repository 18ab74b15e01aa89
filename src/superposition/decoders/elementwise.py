"""Decoders that act on each entry by itself: an affine read-out and an activation, of those that models have."""

import copy
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtr
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray
from superposition.decoders.base import Decoded, Decoder, one_step
from superposition.decoders.readout import best_readout, linear_part, own_weights
from superposition.features import Law, SparseFeatures
from superposition.features.smoothing import normal_density, standardised
from superposition.models import Activation
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class Elementwise(Decoder):
    """x̂ = activation(a z, b), z = W_dec hidden = x + ν. It is an activation of models that is fitted and not trained.

    Args:
        activation: Of models, its parameters shared by all features or one a feature; copied.
        scale: a > 0.
        bias: b in feature units.
        W_dec: Linear part, shape (n_features, n_hidden), with W_dec W_enc of unit diagonal; the transposed encoder,
            each row over its squared norm, if not given.

    Raises:
        ValueError: An argument is out of range.

    >>> from superposition.models import ReLU
    >>> decoder = Elementwise(ReLU(), bias=-0.5)
    >>> decoder(torch.tensor([[1.0, 0.4]]), torch.eye(2), SparseFeatures(2, 0.5)).features
    tensor([[0.5000, 0.0000]])
    """

    activation: Activation
    scale: float = 1.0
    bias: float = 0.0
    W_dec: Float[Tensor, "n_features n_hidden"] | None = None

    def __post_init__(self) -> None:
        activation = _checks.instance("activation", self.activation, Activation, "an Activation such as ReLU()")
        object.__setattr__(self, "activation", copy.deepcopy(activation).requires_grad_(requires_grad=False))
        _checks.one("scale", _checks.in_interval("scale", self.scale, 0, np.inf, open_low=True, open_high=True))
        _checks.one("bias", _checks.finite("bias", self.bias))
        if self.W_dec is not None:
            object.__setattr__(self, "W_dec", own_weights(self.W_dec))

    @property
    def name(self) -> str:
        """The activation's."""
        return self.activation.name

    @property
    def has_own_parameters(self) -> bool:
        """Whether a scale, bias or linear part was given or fitted."""
        return (self.scale, self.bias) != (1.0, 0.0) or self.W_dec is not None

    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns x̂ from z."""
        bias = torch.tensor(self.bias, dtype=torch.float64, device=z.device)
        return self.activation(self.scale * z, bias)  # type: ignore[no-any-return]

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:  # noqa: ARG002
        """Decodes a batch."""
        return one_step(self.activate(linear_part(self.W_dec, hidden, encoder)), hidden, encoder)

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the mean-field loss on a tight frame, of an activation that is a gate alike for all features.

        z = x + ν, ν Gaussian of the mean and variance that a tight frame's interference has, and the noise's.
        """
        gate = self.activation.gate(self.bias)
        if gate is None or not (encoder.is_tight and features.is_symmetric):
            return None
        readout = best_readout(encoder, features, noise)
        sigma, mean = float(readout.noise_std), float(readout.mean)
        slope = gate.slope * self.scale
        # With the mean of ν in z, a gate at θ and bias b act on z − mean as one at θ − mean and b + slope · mean.
        threshold = gate.threshold / self.scale - mean
        p = float(features.probability)
        return _mean_field_loss(slope, gate.bias + slope * mean, threshold, sigma, p, features.law)


def _mean_field_loss(a: float, b: float, theta: float, sigma: float, p: float, law: Law) -> float:
    def loss(u: FloatArray) -> FloatArray:
        """E (u − f(u + σg))²: u² below the gate, (m − a σ g)² above with m = (1 − a)u − b."""
        t = standardised(u - theta, np.asarray(sigma))
        is_open, density = ndtr(t), normal_density(t)
        m, s = (1 - a) * u - b, a * sigma
        # E g over g > −t is φ(t), E g² is Φ(t) − tφ(t).
        return np.asarray(u**2 * ndtr(-t) + m**2 * is_open - 2 * m * s * density + s**2 * (is_open - t * density))

    values, weights = law.nodes(theta, sigma)
    return float((1 - p) * loss(np.zeros(1))[0] + p * (weights @ loss(values)))

"""What decoders that act on each entry by itself have in common: a gate z > θ, and a z + b where it is open."""

import abc
import dataclasses
from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.special import ndtr
from torch import Tensor

from superposition import _checks, _tensors
from superposition._checks import FloatArray
from superposition.decoders.base import Decoded, Decoder, one_step
from superposition.decoders.readout import best_readout, matched
from superposition.features import Law, SparseFeatures
from superposition.features.smoothing import normal_density, standardised
from superposition.models.encoders import Encoder
from superposition.theory import minimal_noise_variance


@dataclass(frozen=True, eq=False)
class Elementwise(Decoder):
    """A function of each entry of z = W_dec hidden, z = x + ν.

    Args:
        scale: a > 0, the slope where the gate is open.
        bias: b in feature units.
        W_dec: Linear part, shape (n_features, n_hidden), with W_dec W_enc of unit diagonal; the transposed encoder,
            each row over its squared norm, if not given.
    """

    scale: float = 1.0
    bias: float = 0.0
    W_dec: Float[Tensor, "n_features n_hidden"] | None = None

    def __post_init__(self) -> None:
        _checks.one("scale", _checks.in_interval("scale", self.scale, 0, np.inf, open_low=True, open_high=True))
        _checks.one("bias", _checks.finite("bias", self.bias))
        if self.W_dec is not None:
            object.__setattr__(self, "W_dec", own_weights(self.W_dec))

    @property
    def has_own_parameters(self) -> bool:
        """Whether a scale, bias or linear part was given or fitted."""
        return (self.scale, self.bias) != (1.0, 0.0) or self.W_dec is not None

    @abc.abstractmethod
    def activate(self, z: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
        """Returns x̂ from z."""

    @abc.abstractmethod
    def fitted(self, sample: "Calibration") -> Self:
        """Returns the decoder with the best parameters for a sample."""

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:  # noqa: ARG002
        """Decodes a batch."""
        return one_step(self.activate(linear_part(self.W_dec, hidden, encoder)), hidden, encoder)


def linear_part(W_dec: Tensor | None, hidden: Tensor, encoder: Encoder) -> Float[Tensor, "batch n_features"]:
    """Returns z = W_dec hidden; raises ValueError if the shapes do not match."""
    if W_dec is None:
        return matched(encoder, hidden)
    _tensors.real("W_dec", W_dec, encoder.n_features, encoder.n_hidden)
    return hidden @ _tensors.alike("W_dec", W_dec, "hidden", hidden.dtype, hidden.device).T


def own_weights(W_dec: Tensor) -> Tensor:
    """Returns a copy of a finite W_dec, which nobody else can change; raises ValueError if it is something else."""
    return _tensors.finite("W_dec", _tensors.real("W_dec", W_dec, "n_features", "n_hidden").detach()).clone()


@dataclass(frozen=True)
class Calibration:
    """A sample to fit a decoder to: features and their linear estimates.

    Attributes:
        W_dec: The linear part of least interference; None where it is the transposed encoder.
        z: Shape (batch, n_features).
        x: Likewise.
        noise_std: Standard deviation of z − x, feature units; of shape (n_features,), or () where all are alike.
    """

    W_dec: Float[Tensor, "n_features n_hidden"] | None
    z: Float[Tensor, "batch n_features"]
    x: Float[Tensor, "batch n_features"]
    noise_std: Tensor

    @classmethod
    def of(cls, x: Tensor, hidden: Tensor, encoder: Encoder, features: SparseFeatures, noise: float) -> Self:
        """Returns the sample for an encoder, with the read-out of least interference."""
        readout = best_readout(encoder, features, noise)
        return cls(readout.W, linear_part(readout.W, hidden, encoder), x, readout.noise_std)

    def part(self, size: int) -> "Calibration":
        """Returns the first samples."""
        return dataclasses.replace(self, z=self.z[:size], x=self.x[:size])

    def giving_up_above(self, most: float) -> "Calibration":
        """Returns the sample where features of more noise are not read out at all."""
        if self.W_dec is None:
            return self
        is_kept = self.noise_std <= most
        return dataclasses.replace(
            self, W_dec=torch.where(is_kept[:, None], self.W_dec, 0.0), z=torch.where(is_kept, self.z, 0.0)
        )

    def by_threshold(self) -> "Sums":
        """Returns the sums over the entries z > θ for every θ that tells entries apart."""
        z, order = self.z.reshape(-1).sort(descending=True)
        z, x = z.double(), self.x.reshape(-1)[order].double()
        # A gate between this value and the next; the last one is open for all.
        following = torch.cat([z[1:], z[-1:] - 1])
        return Sums.of(z, x, ((z + following) / 2).numpy())

    def by_rank(self) -> "Sums":
        """Returns the sums over each sample's k largest entries, for every k."""
        z, order = self.z.sort(dim=1, descending=True)
        x = self.x.gather(1, order).double()
        z = z.double().clamp(min=0)
        return Sums.of(z, x, np.arange(1, z.shape[1] + 1))


@dataclass(frozen=True)
class Sums:
    """Running sums over open entries, each of shape (choices,).

    Attributes:
        choice: θ, or k.
        n: Number of open entries.
        z: Σ z.
        zz: Σ z².
        x: Σ x.
        zx: Σ z x.
    """

    choice: Any
    n: FloatArray
    z: FloatArray
    zz: FloatArray
    x: FloatArray
    zx: FloatArray

    @classmethod
    def of(cls, z: Tensor, x: Tensor, choice: Any) -> Self:
        """Returns the sums over entries in their order along the last axis."""

        def running(terms: Tensor) -> FloatArray:
            return np.cumsum(terms.reshape(-1, terms.shape[-1]).sum(0).numpy())

        n = running(torch.ones_like(z))
        return cls(choice, n, running(z), running(z * z), running(x), running(z * x))

    def only(self, index: int) -> "Sums":
        """Returns the sums of one choice."""
        return Sums(**{field.name: getattr(self, field.name)[[index]] for field in dataclasses.fields(self)})

    def affine(self) -> tuple[Any, float, float]:
        """Returns the choice, a and b for which a z + b on open entries is best."""
        spread = self.zz - self.z**2 / self.n
        # Of sums over millions of entries some 1e-10 is rounding: a spread below it, of entries alike, is none.
        a = np.divide(
            self.zx - self.z * self.x / self.n, spread, out=np.zeros_like(spread), where=spread > 1e-9 * self.zz
        )
        b = (self.x - a * self.z) / self.n
        saved = np.where(a > 0, a * self.zx + b * self.x, -np.inf)
        return self._best(saved, a, b)

    def proportional(self) -> tuple[Any, float, float]:
        """Returns the choice and a for which a z on open entries is best, and 0."""
        a = np.divide(self.zx, self.zz, out=np.zeros_like(self.zz), where=self.zz > 0)
        return self._best(np.where(a > 0, a * self.zx, -np.inf), a, np.zeros_like(a))

    def rectified(self) -> tuple[Any, float, float]:
        """Returns the threshold θ, a and b = −a θ for which ReLU(a (z − θ)) is best."""
        theta = self.choice
        product = self.zx - theta * self.x
        power = self.zz - 2 * theta * self.z + theta**2 * self.n
        a = np.divide(product, power, out=np.zeros_like(power), where=power > 0)
        return self._best(np.where(a > 0, a * product, -np.inf), a, -a * theta)

    def _best(self, saved: FloatArray, a: FloatArray, b: FloatArray) -> tuple[Any, float, float]:
        best = int(np.argmax(saved))
        return self.choice[best], float(a[best]), float(b[best])


def gated_loss(
    scale: float, bias: float, threshold: float, encoder: Encoder, features: SparseFeatures, noise: float
) -> float | None:
    """Loss per feature of (a z + b) 1[z > θ] by mean field, or None where that does not describe the encoder.

    z = x + ν, ν Gaussian of the mean and variance that a tight frame's interference has, and the noise's.
    """
    if not (encoder.is_tight and features.is_symmetric):
        return None
    readout = best_readout(encoder, features, noise)
    sigma, mean = float(readout.noise_std), float(readout.mean)
    # With the mean of ν in z, a gate at θ and bias b act on z − mean as one at θ − mean and b + a mean.
    return _mean_field_loss(
        scale, bias + scale * mean, threshold - mean, sigma, float(features.probability), features.law
    )


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


def interference_std(encoder: Encoder, features: SparseFeatures, noise: float) -> float:
    """Returns σ of a tight frame's interference and the noise, feature units."""
    ratio = encoder.n_hidden / encoder.n_features
    return sqrt(float(minimal_noise_variance(ratio, features.probability, features.law)) + noise)


def is_open(values: Tensor, gate: Bool[Tensor, "batch n_features"]) -> Tensor:
    """Returns the values where the gate is open, 0 elsewhere."""
    return values.masked_fill_(~gate, 0.0)

"""A sample to fit decoders to, and sums over its entries from which best parameters follow in closed form."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from superposition._checks import FloatArray
from superposition.decoders.readout import best_readout, linear_part
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder


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

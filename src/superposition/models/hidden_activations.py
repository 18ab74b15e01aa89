"""Hidden activations as features: what a dictionary learns from."""

import hashlib
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features import Features
from superposition.models.base import Model, encoder_of
from superposition.models.encoders import Encoder


@final
class HiddenActivations(Features):
    """The hidden activations h = W_enc x of other features: samples for whatever explains them, such as a `Dictionary`.

    Their moments are exact, E h = W_enc E x and Cov h = W_enc Cov(x) W_encᵀ.

    Args:
        encoder: W_enc: an encoder, a model or a matrix, of shape (n_hidden, n_features).
        features: x, as many as the encoder takes.

    Attributes:
        n_features: Entries of a sample: the encoder's n_hidden.
        encoder: W_enc.
        features: x.

    Raises:
        ValueError: The encoder takes another number of features, or an argument is none.

    >>> from superposition import SparseFeatures
    >>> hidden = HiddenActivations(torch.ones(1, 4), SparseFeatures(4, 0.5))
    >>> hidden.n_features, float(hidden.mean[0])
    (1, 1.0)
    """

    def __init__(self, encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']", features: Features) -> None:
        self.encoder = encoder_of(encoder)
        self.features = _checks.instance("features", features, Features, "features such as SparseFeatures")
        if self.encoder.n_features != features.n_features:
            raise ValueError(
                f"`features` must have the encoder's n_features = {self.encoder.n_features}, got {features.n_features}"
            )
        self.n_features = self.encoder.n_hidden

    @cached_property
    def columns(self) -> Float[Tensor, "n_hidden n_features"]:
        """W_enc, of which a dictionary is to find the columns."""
        return self.encoder.columns(torch.arange(self.encoder.n_features, device=self.encoder.device)).T

    @property
    def mean(self) -> FloatArray:
        """E h."""
        return self._matrix @ self.features.per_feature(self.features.mean)

    @property
    def variance(self) -> FloatArray:
        """Var h_i."""
        return self.covariance.diagonal()

    @cached_property
    def covariance(self) -> FloatArray:
        """Cov(h_i, h_j)."""
        inner = self.features.covariance
        if inner is None:
            return (self._matrix * self.features.per_feature(self.features.variance)) @ self._matrix.T
        return self._matrix @ inner @ self._matrix.T

    @property
    def _matrix(self) -> FloatArray:
        return np.asarray(self.columns.double().cpu())

    def sample(
        self, n_samples: int, generator: torch.Generator, *, dtype: torch.dtype | None = None
    ) -> Float[Tensor, "n_samples n_features"]:
        """Returns a batch of hidden activations, computed in the encoder's precision."""
        x = self.features.sample(n_samples, generator, dtype=self.encoder.dtype or dtype)
        return self.encoder.encode(x).to(dtype or torch.float32)

    def to_config(self) -> dict[str, Any]:
        """Returns the features, and of the encoder a digest: it would be a file of its own."""
        digest = hashlib.blake2b(self._matrix.tobytes(), digest_size=16).hexdigest()
        return {"n_features": self.n_features, "encoder": digest, "features": self.features.to_config()}

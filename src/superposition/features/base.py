"""What every source of samples answers: how many features, what they weigh, their moments, and samples."""

import abc
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from superposition import _checks, features
from superposition._checks import FloatArray

if TYPE_CHECKING:
    import torch

    from superposition.features.sampling import SparseBatch


class Features(abc.ABC):
    """Where samples come from: all that training and the held-out loss ask of it.

    A kind needs n_features, `mean`, `variance`, `sample` and `to_config`; what else is asked follows from these.
    Features are independent unless a kind has a `covariance`.

    Attributes:
        kind: Name of the kind in files; empty for one that is not saved with models.
        n_features: Number of features.
        importance: Weight M_i ≥ 0 of each feature's squared error; a scalar or one per feature.
    """

    kind: ClassVar[str] = ""

    n_features: int
    importance: "float | FloatArray" = 1.0

    @property
    @abc.abstractmethod
    def mean(self) -> "float | FloatArray":
        """E x_i, of all features or of each."""

    @property
    @abc.abstractmethod
    def variance(self) -> "float | FloatArray":
        """Var x_i, of all features or of each."""

    @property
    def covariance(self) -> "FloatArray | None":
        """Cov(x_i, x_j), shape (n_features, n_features); None where features are independent."""
        return None

    @property
    def parts(self) -> "tuple[Features, ...]":
        """Features that are independent of each other and together these: more than one where they were joined."""
        return (self,)

    @property
    def is_symmetric(self) -> bool:
        """Whether the features are independent and alike, as far as is known: one law, probability and importance."""
        return False

    @property
    def density(self) -> float:
        """Mean share of entries of a sample that are not 0, which bounds the learning rate; 1 if nothing is known."""
        return 1.0

    @abc.abstractmethod
    def sample(
        self,
        n_samples: int,
        generator: "torch.Generator",
        *,
        dtype: "torch.dtype | None" = None,
    ) -> "torch.Tensor":
        """Returns a dense batch of shape (n_samples, n_features) on the generator's device.

        Args:
            n_samples: Batch size, ≥ 1.
            generator: Source of all randomness; its state alone decides the batch.
            dtype: A floating dtype; torch.float32 if not given.
        """

    def sample_sparse(
        self,
        n_samples: int,
        generator: "torch.Generator",
        *,
        dtype: "torch.dtype | None" = None,
    ) -> "SparseBatch":
        """Returns the same batch as `sample` as its active entries alone."""
        return features.sampling.SparseBatch.of(self.sample(n_samples, generator, dtype=dtype))

    @abc.abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Returns what the features are as plain data: others give other data."""

    def to_named_config(self) -> dict[str, Any]:
        """Returns the configuration with the kind, or the name of the class where that has none: one for all kinds."""
        return {"kind": self.kind or type(self).__name__, **self.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns the features that `to_config` described; raises ValueError on anything else."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_config() == other.to_config()

    def __hash__(self) -> int:
        return hash((self.kind, self.n_features))

    def per_feature(self, value: npt.ArrayLike) -> FloatArray:
        """Returns a scalar or per-feature value as an array of shape (n_features,); raises ValueError for others."""
        array = np.asarray(value) if isinstance(value, np.ndarray) else _checks.real_array("value", value)
        if array.ndim and array.shape != (self.n_features,):
            raise ValueError(f"`value` must be a scalar or have shape ({self.n_features},), got shape {array.shape}")
        return np.broadcast_to(np.asarray(array, np.float64), (self.n_features,))

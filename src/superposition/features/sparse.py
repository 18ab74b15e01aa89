"""The sparse feature model: x_i = c_i u_i with c_i ~ Bernoulli(p_i) and u_i drawn from a law."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from superposition import _checks, features
from superposition._checks import FloatArray
from superposition.features.base import Features
from superposition.features.laws.base import Law
from superposition.features.laws.kinds import law_from_config
from superposition.features.laws.uniform import Uniform

if TYPE_CHECKING:
    import torch

    from superposition.features.sampling import SparseBatch


@final
@dataclass(frozen=True, eq=False)
class SparseFeatures(Features):
    """Independent sparse features x_i = c_i u_i, c_i ~ Bernoulli(p_i), u_i ~ law.

    Args:
        n_features: Number of features, ≥ 1.
        probability: Probability that a feature is active, in (0, 1]; a scalar or one per feature.
        law: Distribution of an active value.
        importance: Weight M_i ≥ 0 of each feature's squared error; a scalar or one per feature.

    Raises:
        ValueError: A value is out of its range or an array has another length than n_features.

    Reference: The Persian Rug, section 2; importance: eq. 46.

    >>> features = SparseFeatures(n_features=4, probability=0.3)
    >>> round(float(features.variance), 6)
    0.0775
    """

    kind: ClassVar[str] = "sparse"

    n_features: int
    probability: "float | FloatArray"
    law: Law = field(default_factory=Uniform)
    importance: "float | FloatArray" = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_features", _checks.whole_number("n_features", self.n_features))
        _checks.instance("law", self.law, Law, "a law such as Uniform() or Constant()")
        importance = _checks.finite("importance", self.importance, non_negative=True)
        if not importance.any():
            raise ValueError(
                f"`importance` must be positive somewhere, got {_checks.shown(self.importance)}: the loss would be zero"
            )
        self._settle("probability", _checks.probability(self.probability))
        self._settle("importance", importance)

    def _settle(self, name: str, value: FloatArray) -> None:
        """Stores a scalar as float and an array as a read-only copy of shape (n_features,)."""
        if value.ndim and value.shape != (self.n_features,):
            raise ValueError(f"`{name}` must be a scalar or have shape ({self.n_features},), got shape {value.shape}")
        value.flags.writeable = False
        object.__setattr__(self, name, value if value.ndim else float(value))

    @property
    def mean(self) -> "float | FloatArray":
        """E x_i = p_i E u."""
        return self.probability * self.law.mean

    @property
    def second_moment(self) -> "float | FloatArray":
        """E x_i² = p_i E u²."""
        return self.probability * self.law.second_moment

    @property
    def variance(self) -> "float | FloatArray":
        """Var x_i = p_i Var u + p_i (1 − p_i) (E u)², a sum that does not cancel."""
        return self.law.sparse_variance(self.probability)  # type: ignore[no-any-return]

    @property
    def density(self) -> float:
        """Mean probability."""
        return float(self.per_feature(self.probability).mean())

    @property
    def is_symmetric(self) -> bool:
        """Whether no feature is privileged: one probability and one importance for all."""
        return not (np.ndim(self.probability) or np.ndim(self.importance))

    def check_symmetric(self, purpose: str) -> None:
        """Raises ValueError unless no feature is privileged."""
        if not self.is_symmetric:
            raise ValueError(
                f"`features` must be symmetric for {purpose}: give one probability and one importance for all, "
                "got one per feature"
            )

    def sample(
        self,
        n_samples: int,
        generator: "torch.Generator",
        *,
        dtype: "torch.dtype | None" = None,
    ) -> "torch.Tensor":
        """Returns a dense batch of shape (n_samples, n_features) on the generator's device."""
        return self.sample_sparse(n_samples, generator, dtype=dtype).to_dense()

    def sample_sparse(
        self,
        n_samples: int,
        generator: "torch.Generator",
        *,
        dtype: "torch.dtype | None" = None,
    ) -> "SparseBatch":
        """Returns the same batch as `sample` as its active entries alone, in O(active entries)."""
        shape = _checks.whole_number("n_samples", n_samples), self.n_features
        return features.sampling.draw(self.law, np.asarray(self.probability), shape, generator, dtype)

    def to_config(self) -> dict[str, Any]:
        """Returns the model as plain data (arrays as lists)."""
        return {
            "n_features": self.n_features,
            "probability": np.asarray(self.probability).tolist(),
            "law": self.law.to_config(),
            "importance": np.asarray(self.importance).tolist(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SparseFeatures":
        """Returns the features that `to_config` described; raises ValueError on anything else."""
        expected = {"n_features", "probability", "law", "importance"}
        _checks.instance("features", config, dict, "a table of plain data")
        if set(config) != expected:
            raise ValueError(
                f"features must have the keys {sorted(expected)}, got {_checks.shown(sorted(map(str, config)))}"
            )
        return cls(
            n_features=config["n_features"],
            probability=_checks.real_array("probability", config["probability"]),
            law=law_from_config(config["law"]),
            importance=_checks.real_array("importance", config["importance"]),
        )

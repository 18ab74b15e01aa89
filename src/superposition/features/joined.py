"""Features of several laws or kinds side by side."""

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from superposition import _checks, features
from superposition._checks import FloatArray
from superposition.features.base import Features
from superposition.features.sparse import SparseFeatures

if TYPE_CHECKING:
    import torch

    from superposition.features.sampling import SparseBatch

# Parts in a repr.
_SHOWN = 3


@final
class JoinedFeatures(Features):
    """Features one after the other, parts independent of each other: a law for each of them, or a kind.

    Args:
        parts: Features of any kinds, one or more; of parts that are joined themselves, their parts.

    Attributes:
        parts: Those given.
        n_features: Of all parts together.

    Raises:
        ValueError: There is no part, or one is none.

    >>> from superposition import Constant, SparseFeatures
    >>> joined = JoinedFeatures(SparseFeatures(2, 0.5), SparseFeatures(1, 0.1, Constant(), importance=3.0))
    >>> joined.mean.tolist(), joined.importance.tolist()
    ([0.25, 0.25, 0.1], [1.0, 1.0, 3.0])
    """

    kind: ClassVar[str] = "joined"

    def __init__(self, *parts: Features) -> None:
        for part in parts:
            _checks.instance("parts", part, Features, "features such as SparseFeatures")
        if not parts:
            raise ValueError("`parts` must be features, one or more, got none")
        self._parts = tuple(inner for part in parts for inner in part.parts)
        self.n_features = sum(part.n_features for part in self._parts)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._parts[:_SHOWN])) + ", …" * (len(self._parts) > _SHOWN)
        return f"JoinedFeatures({shown}; {self.n_features} features in {len(self._parts)} parts)"

    @property
    def parts(self) -> tuple[Features, ...]:
        """The features that are joined, in order."""
        return self._parts

    @property
    def importance(self) -> "float | FloatArray":  # type: ignore[override]
        """M_i, one for all if all parts have the same."""
        return self._joined(lambda part: part.importance)

    @property
    def mean(self) -> "float | FloatArray":
        """E x_i."""
        return self._joined(lambda part: part.mean)

    @property
    def variance(self) -> "float | FloatArray":
        """Var x_i."""
        return self._joined(lambda part: part.variance)

    @property
    def covariance(self) -> "FloatArray | None":
        """Cov(x_i, x_j), 0 between parts; None where features are independent within each of them too."""
        if all(part.covariance is None for part in self._parts):
            return None
        whole = np.zeros((self.n_features, self.n_features))
        for part, (start, stop) in zip(self._parts, pairwise(self._offsets), strict=True):
            own = part.covariance
            whole[start:stop, start:stop] = np.diag(part.per_feature(part.variance)) if own is None else own
        return whole

    @property
    def density(self) -> float:
        """Mean share of entries that are not 0."""
        return sum(part.n_features * part.density for part in self._parts) / self.n_features

    def sample(
        self, n_samples: int, generator: "torch.Generator", *, dtype: "torch.dtype | None" = None
    ) -> "torch.Tensor":
        """Returns a dense batch of shape (n_samples, n_features), drawn part by part."""
        import torch

        return torch.cat([part.sample(n_samples, generator, dtype=dtype) for part in self._parts], dim=1)

    def sample_sparse(
        self, n_samples: int, generator: "torch.Generator", *, dtype: "torch.dtype | None" = None
    ) -> "SparseBatch":
        """Returns the same batch as its active entries alone, in O(active entries) but for their sorting."""
        batches = [part.sample_sparse(n_samples, generator, dtype=dtype) for part in self._parts]
        return features.sampling.SparseBatch.side_by_side(batches)

    def to_config(self) -> dict[str, Any]:
        """Returns the parts as plain data, each with its kind."""
        return {"parts": [part.to_named_config() for part in self._parts]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "JoinedFeatures":
        """Returns the features that `to_config` described; raises ValueError on anything else."""
        parts = _checks.instance("parts", config.get("parts"), list, "a list of features")
        if set(config) != {"parts"} or any(isinstance(part, dict) and "parts" in part for part in parts):
            raise ValueError(f"joined features must have `parts` alone, not joined again, got {_checks.shown(config)}")
        return cls(*(features.kinds.features_from_file(part) for part in parts))

    @property
    def _offsets(self) -> list[int]:
        """Where each part begins, and where the last one ends."""
        return list(accumulate((part.n_features for part in self._parts), initial=0))

    def _joined(self, value: Callable[[Features], "float | FloatArray"]) -> "float | FloatArray":
        """Returns a value of every feature; one number if it is the same for all of every part."""
        values = [value(part) for part in self._parts]
        if not any(map(np.ndim, values)) and len(set(values)) == 1:
            return values[0]
        return np.concatenate([part.per_feature(each) for part, each in zip(self._parts, values, strict=True)])


def sparse_parts(given: Features) -> tuple[SparseFeatures, ...]:
    """Returns the parts of features that are independent, each active or not; raises ValueError for others.

    >>> sparse_parts(SparseFeatures(2, 0.5))[0].n_features
    2
    """
    _checks.instance("features", given, Features, "a SparseFeatures")
    return tuple(_checks.instance("features", part, SparseFeatures, "a SparseFeatures") for part in given.parts)

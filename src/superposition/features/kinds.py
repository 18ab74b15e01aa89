"""Kinds of features that files name: ours, and those that users add."""

from typing import Any

from superposition import _checks
from superposition._kinds import Kinds
from superposition.features.base import Features
from superposition.features.joined import JoinedFeatures
from superposition.features.sparse import SparseFeatures

_KINDS: Kinds[type[Features]] = Kinds("features", Features, SparseFeatures, JoinedFeatures)


def register_features(kind: type[Features]) -> type[Features]:
    """Makes a kind of features known to `load_with_features`, which finds it by its name in a file; a decorator.

    Raises:
        ValueError: It has no name, or another kind has it.
    """
    return _KINDS.register(kind)


def features_to_file(features: Features) -> dict[str, Any]:
    """Returns features as a file holds them; raises ValueError unless `features_from_file` would know them."""
    _checks.instance("features", features, Features, "features such as SparseFeatures")
    if unknown := [part for part in (features, *features.parts) if type(part) not in _KINDS]:
        name = type(unknown[0]).__name__
        raise ValueError(f"`features` must be of a kind that can be loaded, got {name}: register_features it")
    # Files of sparse features are older than kinds of features.
    return features.to_config() if features.kind == SparseFeatures.kind else features.to_named_config()


def features_from_file(config: Any) -> Features:
    """Returns the features that a file holds; raises ValueError if they are none."""
    config = dict(_checks.instance("features", config, dict, "a table of plain data"))
    return _KINDS.named(config.pop("kind", SparseFeatures.kind)).from_config(config)

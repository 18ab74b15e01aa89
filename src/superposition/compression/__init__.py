"""Nonlinear compression: schemes, the networks that compute them, and whether gradient descent finds them.

Names load on first use: the schemes need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from superposition.compression.fewest import linear_code_bound, smallest_network
    from superposition.compression.learning import Learned, learn, learn_from
    from superposition.compression.nesting import NestedScheme
    from superposition.compression.network import CompressionNetwork
    from superposition.compression.precision import Carried, best_at_precision, levels_carried, loss_at_precision
    from superposition.compression.reading import Reading, inspect
    from superposition.compression.scheme import BestLevels, QuantizedPair, best_levels, linear_loss
    from superposition.compression.sparse import SparseConstruction, sparse_construction

_HOME = {
    "BestLevels": "scheme",
    "Carried": "precision",
    "CompressionNetwork": "network",
    "Learned": "learning",
    "NestedScheme": "nesting",
    "QuantizedPair": "scheme",
    "Reading": "reading",
    "SparseConstruction": "sparse",
    "best_at_precision": "precision",
    "best_levels": "scheme",
    "inspect": "reading",
    "learn": "learning",
    "learn_from": "learning",
    "levels_carried": "precision",
    "linear_code_bound": "fewest",
    "linear_loss": "scheme",
    "loss_at_precision": "precision",
    "smallest_network": "fewest",
    "sparse_construction": "sparse",
}

__all__ = [
    "BestLevels",
    "Carried",
    "CompressionNetwork",
    "Learned",
    "NestedScheme",
    "QuantizedPair",
    "Reading",
    "SparseConstruction",
    "best_at_precision",
    "best_levels",
    "inspect",
    "learn",
    "learn_from",
    "levels_carried",
    "linear_code_bound",
    "linear_loss",
    "loss_at_precision",
    "smallest_network",
    "sparse_construction",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

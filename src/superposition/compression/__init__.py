"""Nonlinear compression: schemes, the networks that compute them, and whether gradient descent finds them.

Names load on first use: the schemes need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from superposition.compression.network import CompressionNetwork
    from superposition.compression.scheme import BestLevels, QuantizedPair, best_levels, linear_loss

_HOME = {
    "BestLevels": "scheme",
    "CompressionNetwork": "network",
    "QuantizedPair": "scheme",
    "best_levels": "scheme",
    "linear_loss": "scheme",
}

__all__ = ["BestLevels", "CompressionNetwork", "QuantizedPair", "best_levels", "linear_loss"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What we study: the untied autoencoder, the linear optimum and the Persian Rug."""

from pathlib import Path
from typing import Any

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


# Functions and no names that load on first use: packages of this field hang `save` on every object, modules among them,
# which would be found before `__getattr__` is asked.
def save(model: Any, folder: str | Path, *, features: Any = None, overwrite: bool = False) -> Path:
    """Saves a model as config.json and model.safetensors in a folder; see `superposition.models.storage.save`."""
    return __getattr__("storage").save(model, folder, features=features, overwrite=overwrite)


def load(folder: str | Path) -> Any:
    """Returns the model saved in a folder, on the CPU; see `superposition.models.storage.load`."""
    return __getattr__("storage").load(folder)

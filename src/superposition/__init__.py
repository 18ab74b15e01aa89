"""Toy models of superposition: solve, build, train and measure them.

Names load on first use, so that importing the package costs next to nothing.

>>> import superposition as sp
>>> round(sp.theory.symmetric_optimum(ratio=0.25, probability=0.045).loss, 9)
0.004855798
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from superposition import (
        compression,
        decoders,
        diagnostics,
        features,
        models,
        reference,
        sweeps,
        theory,
        training,
    )
    from superposition.decoders import compare_decoders, fit_decoder
    from superposition.diagnostics import held_out_loss, predicted_symmetry, symmetry, symmetry_of_weights
    from superposition.estimate import Estimate
    from superposition.features import (
        Beta,
        Constant,
        Empirical,
        Exponential,
        Features,
        HalfNormal,
        Law,
        SparseFeatures,
        Uniform,
    )
    from superposition.models import (
        Autoencoder,
        LinearAutoencoder,
        Model,
        PersianRug,
        Reconstructor,
        hadamard_transform,
    )
    from superposition.training import Run, TrainingConfig, fit_rug, train, train_many

_HOME = {
    "Estimate": "estimate",
    "Beta": "features",
    "Constant": "features",
    "Empirical": "features",
    "Exponential": "features",
    "HalfNormal": "features",
    "Law": "features",
    "SparseFeatures": "features",
    "Uniform": "features",
    "Autoencoder": "models",
    "LinearAutoencoder": "models",
    "Model": "models",
    "PersianRug": "models",
    "hadamard_transform": "models",
    "compare_decoders": "decoders",
    "fit_decoder": "decoders",
    "held_out_loss": "diagnostics",
    "predicted_symmetry": "diagnostics",
    "symmetry": "diagnostics",
    "symmetry_of_weights": "diagnostics",
    "Run": "training",
    "TrainingConfig": "training",
    "fit_rug": "training",
    "train": "training",
    "train_many": "training",
}
_ROOMS = (
    "compression",
    "decoders",
    "diagnostics",
    "features",
    "models",
    "reference",
    "sweeps",
    "theory",
    "training",
)

__all__ = [
    "Autoencoder",
    "Beta",
    "Constant",
    "Empirical",
    "Estimate",
    "Exponential",
    "HalfNormal",
    "Law",
    "LinearAutoencoder",
    "Model",
    "PersianRug",
    "Run",
    "SparseFeatures",
    "TrainingConfig",
    "Uniform",
    "compare_decoders",
    "compression",
    "decoders",
    "diagnostics",
    "features",
    "fit_decoder",
    "fit_rug",
    "hadamard_transform",
    "held_out_loss",
    "load",
    "models",
    "predicted_symmetry",
    "reference",
    "save",
    "sweeps",
    "symmetry",
    "symmetry_of_weights",
    "theory",
    "train",
    "train_many",
    "training",
]


# Functions and no names to load on first use: packages of this field hang `save` on every object, modules among them,
# which would be found before `__getattr__` is asked.
def save(
    model: "Reconstructor", folder: "str | Path", *, features: "Features | None" = None, overwrite: bool = False
) -> "Path":
    """Saves a model as config.json and model.safetensors in a folder; see `superposition.models.save`."""
    from superposition import models

    return models.save(model, folder, features=features, overwrite=overwrite)


def load(folder: "str | Path") -> "Reconstructor":
    """Returns the model saved in a folder, on the CPU; see `superposition.models.load`."""
    from superposition import models

    return models.load(folder)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

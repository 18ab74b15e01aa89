"""The symmetry columns of a trained model, and the statistics of each feature behind them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from superposition import _files, diagnostics
from superposition._checks import FloatArray
from superposition.features import SparseFeatures
from superposition.sweeps.cell import Row, Value

if TYPE_CHECKING:
    from superposition.diagnostics import Spread
    from superposition.models import Model

STATISTICS = "features.safetensors"
NAMES = ("diagonal", "bias", "noise_mean", "noise_variance")


def measure_symmetry(model: "Model", features: SparseFeatures, folder: Path) -> Row:
    """Returns Δ (mean square), Δ₂ (extent) and mean of each statistic, Λ, and what W is made of.

    The statistics of each feature are written to `folder` as tensors diagonal, bias, noise_mean and noise_variance;
    those of the interference are NaN for dead features. Standard errors of Δ take features as independent.
    """
    found, noise = diagnostics.symmetry(model, features), diagnostics.interference(model, features)
    bias = model.bias_vector().cpu().double().numpy()
    parts: dict[str, tuple["Spread", FloatArray]] = {
        "diagonal": (found.diagonal, noise.diagonal),
        "bias": (found.bias, bias),
        "noise_mean": (found.noise_mean, noise.mean),
        "noise_variance": (found.noise_variance, noise.variance),
    }
    columns: dict[str, Value] = {}
    for name, (spread, values) in parts.items():
        columns[f"{name}_mean"] = spread.mean
        columns[f"{name}_mean_square"] = spread.mean_square
        columns[f"{name}_mean_square_standard_error"] = _error_of_mean_square(values[~np.isnan(values)])
        columns[f"{name}_root_mean_square"] = spread.root_mean_square
        columns[f"{name}_extent"] = spread.extent
    import torch

    tensors = {name: torch.from_numpy(np.array(values)) for name, (_, values) in parts.items()}
    _files.write_tensors(folder / STATISTICS, tensors)
    return {
        **columns,
        "non_gaussianity": found.non_gaussianity,
        "dead_features": found.dead_features,
        "pooled_skewness": noise.pooled_skewness,
        "pooled_excess_kurtosis": noise.pooled_excess_kurtosis,
        "paired_share": noise.paired_share,
    }


def _error_of_mean_square(values: FloatArray) -> float:
    """Returns the standard error of the mean squared deviation of independent values; NaN for fewer than two."""
    if values.size < 2:
        return float("nan")
    squares = (values - values.mean()) ** 2
    return float(squares.std(ddof=1) / np.sqrt(values.size))

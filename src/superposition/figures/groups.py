"""Two groups of features of unequal importance: what figures 13 and 14 read from a trained cell."""

import numpy as np
import torch

from superposition import _files
from superposition.sweeps import StoredCell, TrainedCell
from superposition.sweeps.symmetry import NAMES, STATISTICS

GROUPS = ("more", "less")


def alpha_of(cell: TrainedCell) -> float:
    """Returns what the less important half counts, as a share of the other."""
    return float(cell.features().per_feature(cell.features().importance)[-1])


def group_columns(stored: StoredCell) -> dict[str, list[str] | np.ndarray]:
    """Returns each feature's group, diagonal entry and standard deviation of ν; NaN for the ν of dead features."""
    path, n = stored.folder / STATISTICS, stored.row["n_features"]
    tensors, _ = _files.read_tensors(path, "statistics of features")
    _files.check_tensors(path, tensors, {name: torch.empty(n, dtype=torch.float64, device="meta") for name in NAMES})
    found = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {
        "group": [GROUPS[0]] * (n // 2) + [GROUPS[1]] * (n - n // 2),
        "diagonal": found["diagonal"],
        "noise_std": np.sqrt(found["noise_variance"]),
    }

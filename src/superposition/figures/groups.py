"""Two groups of features of unequal importance: what figures 13 and 14 read from a trained cell."""

import numpy as np
import safetensors.numpy

from superposition.sweeps import Store, TrainedCell
from superposition.sweeps.symmetry import STATISTICS

GROUPS = ("more", "less")


def group_columns(store: Store, cell: TrainedCell) -> dict[str, list[str] | np.ndarray]:
    """Returns each feature's group, diagonal entry and standard deviation of ν; NaN for the ν of dead features."""
    found = safetensors.numpy.load_file(store.get(cell).folder / STATISTICS)
    n = cell.n_features
    return {
        "group": [GROUPS[0]] * (n // 2) + [GROUPS[1]] * (n - n // 2),
        "diagonal": found["diagonal"],
        "noise_std": np.sqrt(found["noise_variance"]),
    }

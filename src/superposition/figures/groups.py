"""Two groups of features of unequal importance: what figures 13 and 14 read from a trained cell."""

import numpy as np
import safetensors.numpy

from superposition.sweeps import StoredCell
from superposition.sweeps.symmetry import STATISTICS

GROUPS = ("more", "less")


def group_columns(stored: StoredCell) -> dict[str, list[str] | np.ndarray]:
    """Returns each feature's group, diagonal entry and standard deviation of ν; NaN for the ν of dead features."""
    found = safetensors.numpy.load_file(stored.folder / STATISTICS)
    n = stored.row["n_features"]
    return {
        "group": [GROUPS[0]] * (n // 2) + [GROUPS[1]] * (n - n // 2),
        "diagonal": found["diagonal"],
        "noise_std": np.sqrt(found["noise_variance"]),
    }

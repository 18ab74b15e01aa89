"""Many trained models: what a cell is, where it is kept, and running those that are missing."""

from superposition.sweeps.cells import TrainedCell
from superposition.sweeps.store import Store, StoredRun

__all__ = ["Store", "StoredRun", "TrainedCell"]

"""The loop, its protocols and objectives, checkpoints, and the stochastic fit of a rug."""

from superposition.training.config import TrainingConfig
from superposition.training.objective import Objective, Reconstruction
from superposition.training.result import Curve, Run
from superposition.training.rug_fit import RugFit, fit_rug
from superposition.training.trainers import train, train_many

__all__ = ["Curve", "Objective", "Reconstruction", "RugFit", "Run", "TrainingConfig", "fit_rug", "train", "train_many"]

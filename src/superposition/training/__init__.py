"""The loop, its protocols and objectives, checkpoints, the stochastic fit of a rug, and dictionary learning."""

from superposition.models import Dictionary
from superposition.training.config import TrainingConfig
from superposition.training.dictionary import (
    CodePenalty,
    LearnedDictionary,
    learn_dictionary,
    learn_dictionary_by_sklearn,
    match_columns,
)
from superposition.training.objective import Objective, Reconstruction
from superposition.training.result import Curve, Run
from superposition.training.rug_fit import RugFit, fit_rug
from superposition.training.trainers import train, train_many

__all__ = [
    "CodePenalty",
    "Curve",
    "Dictionary",
    "LearnedDictionary",
    "Objective",
    "Reconstruction",
    "RugFit",
    "Run",
    "TrainingConfig",
    "fit_rug",
    "learn_dictionary",
    "learn_dictionary_by_sklearn",
    "match_columns",
    "train",
    "train_many",
]

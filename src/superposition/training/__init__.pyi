from . import config as config, lengths as lengths, ranks as ranks, storage as storage
from .config import TrainingConfig as TrainingConfig
from .dictionary import (
    CodePenalty as CodePenalty,
    LearnedDictionary as LearnedDictionary,
    learn_dictionary as learn_dictionary,
    learn_dictionary_by_sklearn as learn_dictionary_by_sklearn,
    match_columns as match_columns,
)
from .lengths import train_lengths as train_lengths
from .objective import Objective as Objective, Reconstruction as Reconstruction
from .result import Curve as Curve, Run as Run
from .rug_fit import RugFit as RugFit, fit_rug as fit_rug
from .stability import Growth as Growth, growth_rate as growth_rate
from .trainers import train as train, train_many as train_many

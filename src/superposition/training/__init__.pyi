from . import config as config, ranks as ranks, storage as storage
from .config import TrainingConfig as TrainingConfig
from .objective import Objective as Objective, Reconstruction as Reconstruction
from .result import Curve as Curve, Run as Run
from .rug_fit import RugFit as RugFit, fit_rug as fit_rug
from .trainers import train as train, train_many as train_many

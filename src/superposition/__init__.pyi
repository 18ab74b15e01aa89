from . import (
    _checks as _checks,
    _devices as _devices,
    _files as _files,
    _progress as _progress,
    claims as claims,
    compression as compression,
    decoders as decoders,
    diagnostics as diagnostics,
    features as features,
    figures as figures,
    models as models,
    reference as reference,
    report as report,
    sweeps as sweeps,
    theory as theory,
    training as training,
)
from .decoders import compare_decoders as compare_decoders, fit_decoder as fit_decoder
from .diagnostics import (
    held_out_loss as held_out_loss,
    predicted_symmetry as predicted_symmetry,
    symmetry as symmetry,
    symmetry_of_weights as symmetry_of_weights,
)
from .estimate import Estimate as Estimate
from .features import (
    Beta as Beta,
    Constant as Constant,
    Empirical as Empirical,
    Exponential as Exponential,
    HalfNormal as HalfNormal,
    Law as Law,
    SparseFeatures as SparseFeatures,
    Uniform as Uniform,
)
from .models import (
    Autoencoder as Autoencoder,
    LinearAutoencoder as LinearAutoencoder,
    Model as Model,
    PersianRug as PersianRug,
    hadamard_transform as hadamard_transform,
    load as load,
    save as save,
)
from .own_code import import_file as import_file
from .training import (
    Run as Run,
    TrainingConfig as TrainingConfig,
    fit_rug as fit_rug,
    train as train,
    train_many as train_many,
)

from . import sampling as sampling, smoothing as smoothing, source as source
from .exactly_sparse import sparse_vectors as sparse_vectors
from .laws import (
    Beta as Beta,
    Constant as Constant,
    Empirical as Empirical,
    Exponential as Exponential,
    HalfNormal as HalfNormal,
    Law as Law,
    Uniform as Uniform,
    register_law as register_law,
)
from .sparse import SparseFeatures as SparseFeatures
from .words import features_of as features_of, law_of as law_of

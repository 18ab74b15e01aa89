from . import kinds as kinds, sampling as sampling, smoothing as smoothing, source as source
from .base import Features as Features
from .exactly_sparse import sparse_vectors as sparse_vectors
from .joined import JoinedFeatures as JoinedFeatures, sparse_parts as sparse_parts
from .kinds import register_features as register_features
from .laws.base import Law as Law
from .laws.beta import Beta as Beta
from .laws.decaying import Exponential as Exponential, HalfNormal as HalfNormal
from .laws.discrete import Constant as Constant, Empirical as Empirical
from .laws.kinds import register_law as register_law
from .laws.uniform import Uniform as Uniform
from .sparse import SparseFeatures as SparseFeatures
from .words import features_of as features_of, law_of as law_of

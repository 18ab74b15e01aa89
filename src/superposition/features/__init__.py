"""What goes in: laws of active values, the sparse feature model, and what any source of samples answers."""

from superposition.features.base import Features
from superposition.features.kinds import register_features
from superposition.features.laws.base import Law
from superposition.features.laws.beta import Beta
from superposition.features.laws.decaying import Exponential, HalfNormal
from superposition.features.laws.discrete import Constant, Empirical
from superposition.features.laws.kinds import register_law
from superposition.features.laws.uniform import Uniform
from superposition.features.sparse import SparseFeatures

__all__ = [
    "Beta",
    "Constant",
    "Empirical",
    "Exponential",
    "Features",
    "HalfNormal",
    "Law",
    "SparseFeatures",
    "Uniform",
    "register_features",
    "register_law",
]

"""What goes in: laws of active values and the sparse feature model."""

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
    "HalfNormal",
    "Law",
    "SparseFeatures",
    "Uniform",
    "register_law",
]

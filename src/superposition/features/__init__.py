"""What goes in: laws of active values, the sparse feature model, and what any source of samples answers."""

from superposition.features.base import Features
from superposition.features.kinds import register_features
from superposition.features.laws import Beta, Constant, Empirical, Exponential, HalfNormal, Law, Uniform, register_law
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

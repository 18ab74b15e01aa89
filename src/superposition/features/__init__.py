"""What goes in: laws of active values and the sparse feature model."""

from superposition.features.laws import Beta, Constant, Empirical, Exponential, HalfNormal, Law, Uniform, register_law
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

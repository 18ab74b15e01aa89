"""What goes in: laws of active values and the sparse feature model."""

from superposition.features.laws import Constant, Law, Uniform
from superposition.features.sparse import SparseFeatures

__all__ = ["Constant", "Law", "SparseFeatures", "Uniform"]

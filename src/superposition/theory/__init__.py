"""What must come out: closed forms and optima, in NumPy, float64, without torch."""

from superposition.theory.linear import (
    linear_loss,
    minimal_noise_variance,
    weighted_linear_loss,
    zero_ratio_loss,
)
from superposition.theory.optimum import Optimum, optimal_relu, symmetric_optimum
from superposition.theory.rectified import relu_loss

__all__ = [
    "Optimum",
    "linear_loss",
    "minimal_noise_variance",
    "optimal_relu",
    "relu_loss",
    "symmetric_optimum",
    "weighted_linear_loss",
    "zero_ratio_loss",
]

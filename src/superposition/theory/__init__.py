"""What must come out: closed forms and optima, in NumPy, float64, without torch."""

from superposition.theory.bounds import (
    LossBounds,
    Scaling,
    loss_bounds,
    lower_bound,
    scaling,
    upper_bound,
    welch_bound,
)
from superposition.theory.capacity import Allocation, allocate
from superposition.theory.gradients import Gradients, loss_gradients
from superposition.theory.hull import HullOptimum, hull_optimum
from superposition.theory.linear import linear_loss, minimal_noise_variance, weighted_linear_loss, zero_ratio_loss
from superposition.theory.measurements import Measurements, measurements
from superposition.theory.message_passing import (
    ReplicaLoss,
    StateEvolution,
    amp_threshold,
    replica_mmse,
    state_evolution,
)
from superposition.theory.optimum import Optimum, optimal_relu, symmetric_optimum
from superposition.theory.pairs import antipodal_loss
from superposition.theory.posterior import Posterior, bayes_denoiser, bayes_loss, oracle_support_loss
from superposition.theory.rectified import relu_loss
from superposition.theory.sparse_recovery import l1_threshold

__all__ = [
    "Allocation",
    "Gradients",
    "HullOptimum",
    "LossBounds",
    "Measurements",
    "Optimum",
    "Posterior",
    "ReplicaLoss",
    "Scaling",
    "StateEvolution",
    "allocate",
    "amp_threshold",
    "antipodal_loss",
    "bayes_denoiser",
    "bayes_loss",
    "hull_optimum",
    "l1_threshold",
    "linear_loss",
    "loss_bounds",
    "loss_gradients",
    "lower_bound",
    "measurements",
    "minimal_noise_variance",
    "optimal_relu",
    "oracle_support_loss",
    "relu_loss",
    "replica_mmse",
    "scaling",
    "state_evolution",
    "symmetric_optimum",
    "upper_bound",
    "weighted_linear_loss",
    "welch_bound",
    "zero_ratio_loss",
]

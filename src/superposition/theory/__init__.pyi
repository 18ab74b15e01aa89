from .bounds import (
    LossBounds as LossBounds,
    Scaling as Scaling,
    explicit_upper_bound as explicit_upper_bound,
    loss_bounds as loss_bounds,
    loss_parts_bound as loss_parts_bound,
    lower_bound as lower_bound,
    scaling as scaling,
    upper_bound as upper_bound,
    welch_bound as welch_bound,
)
from .capacity import Allocation as Allocation, allocate as allocate, mean_field_loss as mean_field_loss
from .gradients import Gradients as Gradients, loss_gradients as loss_gradients
from .hull import HullOptimum as HullOptimum, hull_optimum as hull_optimum
from .linear import (
    linear_loss as linear_loss,
    minimal_noise_variance as minimal_noise_variance,
    weighted_linear_loss as weighted_linear_loss,
    zero_ratio_loss as zero_ratio_loss,
)
from .measurements import Measurements as Measurements, measurements as measurements
from .message_passing import (
    ReplicaLoss as ReplicaLoss,
    StateEvolution as StateEvolution,
    amp_threshold as amp_threshold,
    replica_mmse as replica_mmse,
    state_evolution as state_evolution,
)
from .optimum import (
    Optimum as Optimum,
    optimal_relu as optimal_relu,
    optimal_scale as optimal_scale,
    symmetric_optimum as symmetric_optimum,
)
from .pairs import antipodal_loss as antipodal_loss
from .posterior import (
    Posterior as Posterior,
    bayes_denoiser as bayes_denoiser,
    bayes_loss as bayes_loss,
    oracle_support_loss as oracle_support_loss,
)
from .rectified import LossParts as LossParts, loss_parts as loss_parts, relu_loss as relu_loss
from .sparse_recovery import l1_threshold as l1_threshold
from .support_recovery import SupportThresholds as SupportThresholds, support_thresholds as support_thresholds
from .zero_ratio import ZeroRatio as ZeroRatio, zero_ratio_relu as zero_ratio_relu

"""The held-out loss: fresh samples, never a training batch, with its standard error."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import torch_generator
from superposition.estimate import Estimate
from superposition.features import Features, sparse_parts
from superposition.models import Model, Reconstructor

_CHUNK_ENTRIES = 1 << 22


@torch.no_grad()
def held_out_loss(model: Reconstructor, features: Features, *, n_samples: int = 100_000, seed: int = 1) -> Estimate:
    """Loss per feature, n⁻¹ E Σ_i M_i (x_i − x̂_i)², estimated on fresh samples, and fresh hidden noise (unbiased).

    Args:
        model: Any model; it is evaluated on its own device, in float32.
        features: What it is measured on; n_features must be the model's.
        n_samples: Number of samples, ≥ 1. Memory does not grow with it.
        seed: Seed of the samples. Streams of training and of held-out samples never coincide.

    Returns:
        Estimate in squared feature units; `count` is the number of samples.

    Raises:
        ValueError: Sizes do not match or `n_samples` is not positive.

    Reference: The Persian Rug, eq. 2 and 46.
    """
    _checks.whole_number("n_samples", n_samples)
    check_same_width(model, features)
    device, dtype = placement(model)
    importance = importance_in(features, dtype, device)
    # The chunk depends on the features alone: the estimate is the same wherever it is computed.
    chunk = max(1, _CHUNK_ENTRIES // features.n_features)
    total = total_of_squares = 0.0
    for index, start in enumerate(range(0, n_samples, chunk)):
        generator = torch_generator(seed, "held-out", index, device=device)
        x = features.sample(min(chunk, n_samples - start), generator, dtype=dtype)
        noise = model.drawn_noise(len(x), features, torch_generator(seed, "held-out noise", index, device=device))
        errors = (model.noisy(x, noise) - x).square_() @ importance / features.n_features
        total += float(errors.sum(dtype=torch.float64))
        total_of_squares += float(errors.double().square().sum())
    return Estimate.from_sums(total, total_of_squares, n_samples)


def importance_in(features: Features, dtype: torch.dtype, device: torch.device) -> Float[Tensor, " n_features"]:
    """Returns the importances in a precision; raises ValueError if it cannot hold them."""
    weights = torch.tensor(features.per_feature(features.importance), dtype=dtype, device=device)
    return _tensors.finite(f"importance, in {dtype},", weights)


def check_sparse(model: Model, features: Features) -> None:
    """Raises ValueError unless a model with a bottleneck takes as many sparse features as there are, perhaps joined."""
    _checks.instance("model", model, Model, "a model with a bottleneck")
    sparse_parts(features)
    check_same_width(model, features)


def check_same_width(model: Reconstructor, features: Features) -> None:
    """Raises ValueError unless the model takes as many features as there are."""
    _checks.instance("model", model, Reconstructor, "a model")
    _checks.instance("features", features, Features, "features such as SparseFeatures")
    if model.n_features != features.n_features:
        raise ValueError(f"`features` must have the model's n_features = {model.n_features}, got {features.n_features}")


def placement(model: Reconstructor) -> tuple[torch.device, torch.dtype]:
    """Returns the device and the precision in which a model computes."""
    state = model.state_dict().values()
    # A rug keeps its two scalars in double precision but computes in that of its argument.
    dtype = next((weights.dtype for weights in state if weights.ndim and weights.is_floating_point()), torch.float32)
    return next(iter(state)).device, dtype

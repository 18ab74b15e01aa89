"""Compares autoencoders trained with each activation, at equal size and sparsity."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, sqrt
from typing import Literal

import numpy as np

from superposition import _checks
from superposition.diagnostics.loss import held_out_loss
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.models import Autoencoder
from superposition.models.activations import (
    Activation,
    GatedActivation,
    JumpReLUActivation,
    ReLUActivation,
    TopKActivation,
    TRecActivation,
)
from superposition.training.config import TrainingConfig
from superposition.training.loop import train

# Widths of the rectangle of a jump, and kept entries in units of the expected number of active ones, to choose from.
_BANDWIDTHS = (0.03, 0.1, 0.3)
_KEPT = (1.0, 1.7, 3.0)
# Seeds of samples that choose, which are not those that measure.
_CHOOSING, _MEASURING = 2, 1


@dataclass(frozen=True)
class ActivationResult:
    """What training with an activation comes to.

    Attributes:
        name: Of the activation.
        setting: The setting that was chosen, empty if there is none.
        loss: Held-out loss per feature; its error is that of the mean over seeds, `count` their number.
        relative: Loss as a share of the ReLU's, mean over seeds.
        relative_error: Standard error of that share.
        seconds: Time of one training.
    """

    name: str
    setting: str
    loss: Estimate
    relative: float
    relative_error: float
    seconds: float


def activations(features: SparseFeatures) -> dict[str, dict[str, Callable[[], Activation]]]:
    """Returns the activations to compare by name, each with the settings to choose from."""
    n = features.n_features
    active = float(features.per_feature(features.probability).sum())
    kept = sorted({max(1, min(n, ceil(share * active))) for share in _KEPT})

    def by_width(kind: Callable[..., Activation], *size: int) -> dict[str, Callable[[], Activation]]:
        return {f"bandwidth {width:g}": partial(kind, *size, width) for width in _BANDWIDTHS}

    def by_k(among: Literal["sample", "batch"]) -> dict[str, Callable[[], Activation]]:
        return {f"k = {k}": partial(TopKActivation, k, among=among) for k in kept}

    return {
        "ReLU": {"": ReLUActivation},
        "TopK": by_k("sample"),
        "BatchTopK": by_k("batch"),
        "JumpReLU": by_width(JumpReLUActivation, n),
        "Gated": by_width(GatedActivation, n),
        "TRec (ProLU)": by_width(TRecActivation),
    }


def compare_activations(
    features: SparseFeatures,
    n_hidden: int,
    config: TrainingConfig | None = None,
    *,
    choices: Mapping[str, Mapping[str, Callable[[], Activation]]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    n_held_out: int = 20_000,
) -> list[ActivationResult]:
    """Trains autoencoders of one size with each activation on the same batches, and measures them on the same samples.

    Of the settings of an activation the one of least loss is kept, by the first seed and samples of their own.

    Args:
        features: What they see.
        n_hidden: Width of the bottleneck.
        config: Protocol of all; TrainingConfig() if not given.
        choices: Activations by name and setting; all of `activations` if not given. One is named "ReLU".
        seeds: Of initial weights and batches, at least two.
        n_held_out: Samples of each loss.

    Raises:
        ValueError: An argument is out of range.
    """
    n_hidden = _checks.hidden_width(n_hidden, features.n_features)
    choices = activations(features) if choices is None else choices
    if len(seeds) < 2:
        raise ValueError(f"`seeds` must be at least two, got {len(seeds)}: their spread is the error")
    if "ReLU" not in choices:
        raise ValueError(f"`choices` must have ReLU among them, got {', '.join(choices)}")

    def trained(make: Callable[[], Activation], seed: int) -> Autoencoder:
        model = Autoencoder(features.n_features, n_hidden, activation=make(), seed=seed)
        train(model, features, config, seed=seed, n_held_out=1)
        return model

    def loss(model: Autoencoder, samples: int) -> float:
        return held_out_loss(model, features, n_samples=n_held_out, seed=samples).value

    found: dict[str, tuple[str, list[float], float]] = {}
    for name, settings in choices.items():
        started = time.perf_counter()
        first = {setting: trained(make, seeds[0]) for setting, make in settings.items()}
        each = (time.perf_counter() - started) / len(first)
        best = min(first, key=lambda setting: loss(first[setting], _CHOOSING))
        models = [first[best], *(trained(settings[best], seed) for seed in seeds[1:])]
        found[name] = best, [loss(model, _MEASURING) for model in models], each
    return [_result(name, *values, found["ReLU"][1]) for name, values in found.items()]


def _result(name: str, setting: str, losses: list[float], seconds: float, relu: list[float]) -> ActivationResult:
    count = len(losses)
    mean, error = float(np.mean(losses)), float(np.std(losses, ddof=1)) / sqrt(count)
    # Seed by seed: both saw the same batches from the same weights.
    shares = np.array(losses) / np.array(relu)
    share_error = float(np.std(shares, ddof=1)) / sqrt(count)
    return ActivationResult(name, setting, Estimate(mean, error, count), float(shares.mean()), share_error, seconds)

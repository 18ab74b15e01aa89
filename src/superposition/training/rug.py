"""The paper's stochastic fit of a rug's scale and bias."""

from dataclasses import dataclass
from math import sqrt

import torch

from superposition import _checks
from superposition._progress import Report, silent
from superposition._random import derived_seed, torch_generator
from superposition.diagnostics import held_out_loss
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.models import PersianRug

BATCH_SIZE = 512
EPOCH = 200
MAX_EPOCHS = 100


@dataclass(frozen=True)
class RugFit:
    """The best of several stochastic fits.

    Attributes:
        rug: The rug of lowest held-out loss.
        loss: Its held-out loss.
        candidates: Held-out loss of every fit, in the order of their seeds.
        steps: Steps that each fit took.
    """

    rug: PersianRug
    loss: Estimate
    candidates: tuple[Estimate, ...]
    steps: tuple[int, ...]


def fit_rug(
    features: SparseFeatures,
    n_hidden: int,
    *,
    seed: int = 0,
    n_models: int = 5,
    n_held_out: int = 10_000,
    report: Report = silent,
) -> RugFit:
    """Fits scale and bias by Adam on fresh batches, as in the paper: batch 512, rate 0.3/√n, best of 5 row sets.

    The paper bounds the fit by 100 "epochs" of fresh data; an epoch here is the 200 batches of its stop rule,
    at whose end a fit stops if the mean loss is not below that of the epoch before. `PersianRug.fit` gives
    the closed-form optimum instead, without sampling.

    Args:
        features: Symmetric features.
        n_hidden: Number of rows.
        seed: Seed of row sets, batches and held-out samples.
        n_models: Number of row sets to try, ≥ 1.
        n_held_out: Samples behind each held-out loss. The lowest of several is biased low by about one
            standard error.
        report: Takes progress.

    Raises:
        ValueError: The features are not symmetric or a size is not valid.

    Reference: The Persian Rug, appendix G.
    """
    _checks.instance("features", features, SparseFeatures, "a SparseFeatures").check_symmetric("fitting a rug")
    _checks.whole_number("n_held_out", n_held_out)
    fits = []
    for index in range(_checks.whole_number("n_models", n_models)):
        rug = PersianRug.draw(features.n_features, n_hidden, seed=derived_seed(seed, "rug fit", index))
        steps = _descend(rug, features, derived_seed(seed, "rug batches", index))
        loss = held_out_loss(rug, features, n_samples=n_held_out, seed=seed)
        fits.append((rug, loss, steps))
        report(index + 1, n_models, f"loss {loss.value:.4e}")
    rug, loss, _ = min(fits, key=lambda fit: fit[1].value)
    return RugFit(rug, loss, tuple(fit[1] for fit in fits), tuple(fit[2] for fit in fits))


def _descend(rug: PersianRug, features: SparseFeatures, seed: int) -> int:
    """Trains scale and bias in place until the stop rule; returns the number of steps."""
    rug.requires_grad_(True)
    optimizer = torch.optim.Adam(rug.parameters(), lr=0.3 / sqrt(rug.n_features))
    previous = float("inf")
    for epoch in range(MAX_EPOCHS):
        total = 0.0
        for batch in range(EPOCH):
            step = epoch * EPOCH + batch
            x = features.sample(BATCH_SIZE, torch_generator(seed, "batch", step, device=rug.rows.device))
            optimizer.zero_grad()
            loss = (rug(x) - x).square().mean()
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        if not total < previous:
            break
        previous = total
    rug.requires_grad_(False)
    return (epoch + 1) * EPOCH

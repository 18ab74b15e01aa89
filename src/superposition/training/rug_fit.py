"""The paper's stochastic fit of a rug's scale and bias."""

from dataclasses import dataclass

from superposition import _checks
from superposition._progress import Report, silent
from superposition._random import derived_seed
from superposition.diagnostics import held_out_loss
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.models import PersianRug
from superposition.training.config import TrainingConfig
from superposition.training.trainers import train

# An epoch is the 200 batches of the stop rule; there are 100 at most.
PROTOCOL = TrainingConfig.paper().replace(n_steps=100 * 200, batch_size=512, learning_rate=0.3)


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
        run = train(rug, features, PROTOCOL, seed=derived_seed(seed, "rug batches", index), n_held_out=1)
        loss = held_out_loss(rug, features, n_samples=n_held_out, seed=seed)
        fits.append((rug, loss, run.steps))
        report(index + 1, n_models, f"loss {loss.value:.4e}")
    rug, loss, _ = min(fits, key=lambda fit: fit[1].value)
    return RugFit(rug, loss, tuple(fit[1] for fit in fits), tuple(fit[2] for fit in fits))

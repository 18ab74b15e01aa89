"""Persian Rugs: the cell, and its loss beside the prediction and the bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from superposition import _checks, diagnostics, models, theory
from superposition.estimate import Estimate
from superposition.features import Uniform
from superposition.models.hadamard_constructions import check_order
from superposition.sweeps.cell import Row, Workplace
from superposition.sweeps.described import DescribedCell


@final
@dataclass(frozen=True)
class RugCell(DescribedCell):
    """One Persian Rug with its closed-form scale and bias: the measured loss, the prediction and all bounds.

    Args:
        n_features: Number of features, one of `hadamard_orders`.
        n_hidden: Number of rows, in [1, n_features].
        probability: Probability that a feature is active; at least 1/n_features, so that a sample has an active
            feature on average.
        n_held_out: Samples behind the loss.
        seed: Seed of the row set and the samples.
        law: Of active values, such as half-normal or beta:0.5:3.

    Raises:
        ValueError: A value is out of its range: there is no such rug.
    """

    measure: ClassVar[str] = "rug"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {
        "ratio": float, "loss": Estimate, "mean_field_loss": float, "linear_loss": float, "lower_bound": float,
        "oracle_support_loss": float, "bayes_loss": float, "upper_bound": float, "noise_std": float, "scale": float,
        "bias": float, "p2_over_r": float,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("loss", "loss_standard_error", "mean_field_loss", "p2_over_r")

    n_features: int
    n_hidden: int
    probability: float
    n_held_out: int = 10_000
    seed: int = 0
    law: str = "uniform"

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_held_out")
        n = check_order(self.n_features)
        hint = "a sample must have an active feature"
        probability = _checks.in_interval("probability", self.probability, 1 / n, 1, hint=hint)
        self._settle(probability=_checks.one("probability", probability))
        self._settle_features()

    def row(self, place: Workplace) -> Row:
        """Fits the rug and measures it; bounds are those at the least noise, from the lowest to the highest."""
        p, ratio = self.probability, self.n_hidden / self.n_features
        features, law = self.features(), self.features().law
        rug = models.PersianRug.fit(features, self.n_hidden, seed=self.seed).to(place.device)
        best = theory.symmetric_optimum(ratio, p, law)
        # The explicit lower bound is that of the uniform law.
        lower = theory.lower_bound(best.noise_std, p) if law == Uniform() else None
        return {
            "ratio": ratio,
            "loss": diagnostics.held_out_loss(rug, features, n_samples=self.n_held_out, seed=self.seed),
            "mean_field_loss": best.loss,
            "linear_loss": theory.linear_loss(ratio, p, law),
            "lower_bound": lower,
            "oracle_support_loss": theory.oracle_support_loss(best.noise_std, p, law),
            "bayes_loss": theory.bayes_loss(best.noise_std, p, law),
            "upper_bound": theory.upper_bound(ratio, p, law),
            "noise_std": best.noise_std,
            "scale": float(rug.scale),
            "bias": float(rug.bias),
            "p2_over_r": p**2 / ratio,
        }

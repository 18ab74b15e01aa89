"""Persian Rugs: the cell, and its loss beside the prediction and the bounds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

from superposition import _checks, diagnostics, models, theory
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.sweeps.cell import Cell, Row, Workplace


@final
@dataclass(frozen=True)
class RugCell(Cell):
    """One Persian Rug with its closed-form scale and bias: the measured loss, the prediction and all bounds.

    Args:
        n_features: Number of features, a power of two.
        n_hidden: Number of rows, in [1, n_features].
        probability: Probability that a feature is active; at least 1/n_features, so that a sample has an active
            feature on average.
        n_held_out: Samples behind the loss.
        seed: Seed of the row set and the samples.

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

    def __post_init__(self) -> None:
        n = _checks.power_of_two("n_features", _checks.whole_number("n_features", self.n_features), "a rug")
        hint = "a sample must have an active feature"
        plain = {
            "n_features": n,
            "n_hidden": _checks.hidden_width(self.n_hidden, n),
            "probability": float(_checks.in_interval("probability", self.probability, 1 / n, 1, hint=hint)),
            "n_held_out": _checks.whole_number("n_held_out", self.n_held_out),
            "seed": _checks.whole_number("seed", self.seed, low=0, high=2**63 - 1),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def content(self) -> dict[str, Any]:
        """Returns the fields."""
        return asdict(self)

    def row(self, place: Workplace) -> Row:
        """Fits the rug and measures it; bounds are those at the least noise, from the lowest to the highest."""
        p, ratio = self.probability, self.n_hidden / self.n_features
        features = SparseFeatures(self.n_features, p)
        rug = models.PersianRug.fit(features, self.n_hidden, seed=self.seed).to(place.device)
        best, bounds = theory.symmetric_optimum(ratio, p), theory.loss_bounds(ratio, p)
        return {
            "ratio": ratio,
            "loss": diagnostics.held_out_loss(rug, features, n_samples=self.n_held_out, seed=self.seed),
            "mean_field_loss": best.loss,
            "linear_loss": theory.linear_loss(ratio, p),
            "lower_bound": bounds.lower,
            "oracle_support_loss": bounds.oracle_support,
            "bayes_loss": bounds.bayes,
            "upper_bound": bounds.upper,
            "noise_std": best.noise_std,
            "scale": float(rug.scale),
            "bias": float(rug.bias),
            "p2_over_r": p**2 / ratio,
        }

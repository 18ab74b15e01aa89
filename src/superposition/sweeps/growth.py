"""How fast training leaves a Persian Rug: the cell of the linearised dynamics there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from superposition import _checks, models, training
from superposition.estimate import Estimate
from superposition.models.hadamard_constructions import check_order
from superposition.sweeps.cell import Row, Workplace
from superposition.sweeps.described import DescribedCell


@final
@dataclass(frozen=True)
class GrowthCell(DescribedCell):
    """The fastest deviation from a Persian Rug, with the scale and bias of mean field, under Adam at its peak rate.

    Args:
        n_features: Number of features, an order of Hadamard matrices.
        n_hidden: Width of the bottleneck, in [1, n_features].
        probability: Probability that a feature is active, in [1e-15, 1].
        protocol: Whose peak rate and batch size.
        n_samples: Samples behind the squares of gradients, and as many others behind the rate, ≥ 2048.
        n_iterations: Products that choose the mode, ≥ 2.
        seed: Seed of the rows of the rug and of the samples.

    Raises:
        ValueError: A value is out of its range: there is no such rug.
    """

    measure: ClassVar[str] = "growth"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {
        "ratio": float, "rate": Estimate, "gradient": float, "drift": float,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("rate", "rate_standard_error", "gradient", "drift")

    n_features: int
    n_hidden: int
    probability: float
    protocol: Literal["default", "fast", "paper"] = "default"
    n_samples: int = 65_536
    n_iterations: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_counts("n_features", n_samples=2048, n_iterations=2)
        check_order(self.n_features)
        probability = _checks.in_interval("probability", self.probability, _checks.LEAST_PROBABILITY, 1)
        self._settle(probability=_checks.one("probability", probability))
        training.TrainingConfig.named(self.protocol)

    def row(self, place: Workplace) -> Row:
        """Linearises."""
        features = self.features()
        rug = models.PersianRug.fit(features, self.n_hidden, seed=self.seed)
        found = training.growth_rate(
            models.Autoencoder.from_model(rug),
            features,
            training.TrainingConfig.named(self.protocol),
            n_samples=self.n_samples,
            n_iterations=self.n_iterations,
            seed=self.seed,
            progress=place.report,
        )
        return {
            "ratio": self.n_hidden / self.n_features,
            "rate": found.rate,
            "gradient": found.gradient,
            "drift": found.drift,
        }

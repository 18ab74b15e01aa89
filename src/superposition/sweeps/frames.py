"""Frames of given row variance and coherence: the cell that measures which of the two sets the loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, final

from superposition import _checks, diagnostics, models, theory
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.sweeps.cell import Row, Workplace
from superposition.sweeps.described import DescribedCell


@final
@dataclass(frozen=True)
class FrameCell(DescribedCell):
    """The model x̂ = ReLU(a Fᵀ F x + b) of a `paired_frame` F, with the best a and b at its row variance.

    Args:
        n_features: Twice the order of a Hadamard matrix.
        n_hidden: Width of the bottleneck, even, in [2, n_features/2 − 1].
        probability: Probability that a feature is active, in [1e-15, 1].
        partner: W_ij/W_ii of the two features of each pair, in [−1, 1].
        variance: Σ_{j≠i} W_ij²/W_ii² of every row; the least, n_features/n_hidden − 1, if not given.
        n_held_out: Samples behind the loss.
        seed: Seed of the frame and of the samples.
        law: Of active values, such as half-normal or beta:0.5:3.

    Raises:
        ValueError: A value is out of its range: there is no such frame.
    """

    measure: ClassVar[str] = "frame"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {
        "loss": Estimate, "mean_field_loss": float, "row_variance": float, "mutual_coherence": float,
        "welch_bound": float, "skewness": float, "distance": float,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("loss", "loss_standard_error", "mean_field_loss", "mutual_coherence")

    n_features: int
    n_hidden: int
    probability: float
    partner: float = 0.0
    variance: float | None = None
    n_held_out: int = 2000
    seed: int = 0
    law: str = "uniform"

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_held_out")
        self._settle(partner=_checks.one("partner", _checks.in_interval("partner", self.partner, -1, 1)))
        least = self.n_features / self.n_hidden - 1
        wanted = least if self.variance is None else self.variance
        self._settle(
            variance=_checks.one("variance", _checks.in_interval("variance", wanted, least, self.n_features / 2 - 1))
        )
        self._settle_features()

    def row(self, place: Workplace) -> Row:
        """Makes the frame, gives it the best scale and bias, and measures it."""
        features = self.features()
        model, predicted = self._model(features)
        found = diagnostics.interference(model, features)
        seen = diagnostics.coherence(model)
        return {
            "loss": diagnostics.held_out_loss(
                model.to(place.device), features, n_samples=self.n_held_out, seed=self.seed
            ),
            "mean_field_loss": predicted,
            "row_variance": float(found.variance.mean() / features.variance),
            "mutual_coherence": seen.mutual_coherence,
            "welch_bound": seen.welch_bound,
            "skewness": found.pooled_skewness,
            "distance": diagnostics.berry_esseen(model, features).largest,
        }

    def _model(self, features: SparseFeatures) -> tuple["models.Autoencoder", float]:
        """Returns the model and its mean-field loss; the mean of the interference is moved into the bias."""
        assert self.variance is not None  # settled
        F = models.paired_frame(self.n_features, self.n_hidden, self.partner, self.variance, seed=self.seed)
        variance, mean = float(features.variance), float(features.mean)
        best = theory.optimal_relu(sqrt(variance * self.variance), self.probability, features.law)
        model = models.Autoencoder(self.n_features, self.n_hidden, seed=self.seed)
        weights = {"W_enc": F, "W_dec": best.scale * F.T, "b_dec": [best.bias + best.scale * mean] * self.n_features}
        model.load_state_dict({name: model.b_dec.new_tensor(value) for name, value in weights.items()})
        return model, float(best.loss)

"""Nonlinear compression as it can be constructed: cells of a scheme's loss, exact numbers or few bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final, get_args

from superposition import _checks, compression
from superposition.compression.precision import PRECISIONS, Place, Precision
from superposition.compression.scheme import Alignment, QuantizedPair, Units
from superposition.estimate import Estimate
from superposition.sweeps.cell import Cell, Row, Workplace


@final
@dataclass(frozen=True)
class SchemeCell(Cell):
    """A nested scheme that compresses n_features dense features into n_hidden: its loss on samples.

    Args:
        n_features: Number of features.
        n_hidden: Width of the bottleneck, in [1, n_features].
        levels: Z ≥ 1 of every pair.
        ramp: Width of the ramps, as for `QuantizedPair`; None for jumps.
        units: What it is measured in: "input" or "segment".
        alignment: Where the ramps lie: "centred", "before", "after" or "guarded".
        n_samples: Samples behind the loss, ≥ 2.
        seed: Seed of the samples.

    Raises:
        ValueError: A value is out of its range.
    """

    measure: ClassVar[str] = "scheme"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"neurons": int, "loss": Estimate, "linear_loss": float}
    headline: ClassVar[tuple[str, ...]] = ("neurons", "loss", "loss_standard_error", "linear_loss")

    n_features: int
    n_hidden: int
    levels: int
    ramp: float | None = 0.01
    units: Units = "segment"
    alignment: Alignment = "guarded"
    n_samples: int = 65536
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "levels", n_samples=2)
        self._settle(ramp=self._pair().ramp)

    def row(self, place: Workplace) -> Row:  # noqa: ARG002
        """Measures the scheme."""
        scheme = compression.NestedScheme(self.n_features, self.n_hidden, self._pair())
        return {
            "neurons": scheme.n_neurons,
            "loss": scheme.sampled_loss(self.n_samples, seed=self.seed),
            "linear_loss": scheme.linear_loss(),
        }

    def _pair(self) -> QuantizedPair:
        return QuantizedPair(self.levels, self.ramp, self.units, self.alignment)


@final
@dataclass(frozen=True)
class PrecisionCell(Cell):
    """A nested scheme where numbers have few bits: its loss with the ramp that suits it best.

    Args:
        n_features: Number of features.
        n_hidden: Width of the bottleneck, in [1, n_features].
        levels: Z ≥ 1 of every pair.
        precision: "bfloat16", "float16" or "float32".
        place: What is rounded: the "code" alone, or the whole "network".
        n_samples: Samples behind the loss, ≥ 2.
        seed: Seed of the samples.

    Raises:
        ValueError: A value is out of its range.
    """

    measure: ClassVar[str] = "precision"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"ramp": float, "loss": Estimate, "linear_loss": float}
    headline: ClassVar[tuple[str, ...]] = ("ramp", "loss", "loss_standard_error", "linear_loss")

    n_features: int
    n_hidden: int
    levels: int
    precision: Precision
    place: Place = "code"
    n_samples: int = 8192
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.choice("precision", self.precision, PRECISIONS)
        _checks.choice("place", self.place, get_args(Place))
        self._settle_counts("n_features", "levels", n_samples=2)

    def row(self, place: Workplace) -> Row:  # noqa: ARG002
        """Tries all ramps."""
        sizes = self.n_features, self.n_hidden, self.levels
        best = compression.best_at_precision(
            *sizes, self.precision, self.place, n_samples=self.n_samples, seed=self.seed
        )
        return {"ramp": best.scheme.pair.ramp, "loss": best.loss, "linear_loss": best.scheme.linear_loss()}

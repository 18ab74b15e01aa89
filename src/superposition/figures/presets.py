"""How large the figures are: the presets of `superposition reproduce`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeVar

import numpy as np

from superposition import training
from superposition.sweeps import RugCell, TrainedCell

Size = TypeVar("Size")
# Draws of a rug's rows behind each of its losses, so that their spread is in its error.
ROW_SETS = 4


@dataclass(frozen=True)
class Grid:
    """Trained models of one size over (ratio, probability), for the maps.

    Attributes:
        n_features: Size of all.
        ratios: n_hidden / n_features, increasing.
        probabilities: Probabilities of being active, increasing.
        protocols: Each is a grid of its own.
        n_steps: Steps of the default protocol; its own number if None.
        n_held_out: Held-out samples of each.
        precision: Of the products.
    """

    n_features: int
    ratios: tuple[float, ...]
    probabilities: tuple[float, ...]
    protocols: tuple[Literal["default", "paper"], ...] = ("default",)
    n_steps: int | None = None
    n_held_out: int = 100_000
    precision: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def log_spaced(cls, n_features: int, count: int, *protocols: Literal["default", "paper"]) -> "Grid":
        """Returns the paper's range: ratios from max(0.01, 2/n) to 0.8, probabilities from 0.002 to 0.8."""
        ratios = np.geomspace(max(0.01, 2 / n_features), 0.8, count)
        return cls(n_features, tuple(ratios.tolist()), tuple(np.geomspace(0.002, 0.8, count).tolist()), protocols)

    def without_last(self) -> "Grid":
        """Returns the grid without its largest ratio and probability, which alone take as long as the rest."""
        return replace(self, ratios=self.ratios[:-1], probabilities=self.probabilities[:-1])

    def cells(self, seed: int) -> tuple[TrainedCell, ...]:
        """Returns the models; ratios that round to the same width count once."""
        return _cells(self, seed)


@cache  # all maps ask for the same, and each cell is checked when it is made
def _cells(grid: Grid, seed: int) -> tuple[TrainedCell, ...]:
    widths = sorted({max(1, round(ratio * grid.n_features)) for ratio in grid.ratios})
    return tuple(
        TrainedCell(
            grid.n_features,
            width,
            p,
            protocol=protocol,
            n_steps=grid.n_steps if protocol == "default" else None,
            n_held_out=grid.n_held_out,
            seed=seed,
            precision=grid.precision,
        )
        for protocol in grid.protocols
        for p in grid.probabilities
        for width in widths
    )


@dataclass(frozen=True)
class Importances:
    """Models in which half of the features count α, of figures 13 and 14 (appendix H).

    Attributes:
        n_features: Size of all.
        n_hidden: Their width.
        probability: Probability of being active.
        shown: α of figure 13.
        relative: The values of α of figure 14, increasing.
        protocol: Training protocol.
        n_steps: Steps of the default protocol; its own number if None.
        batch_size: Samples a step; the protocol's own number if None.
        learning_rate: Peak rate times √n_features; the protocol's own if None.
        precision: Of the products.
    """

    n_features: int
    n_hidden: int
    probability: float
    shown: float
    relative: tuple[float, ...]
    protocol: Literal["default", "paper"] = "default"
    n_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    def cell(self, alpha: float, seed: int) -> TrainedCell:
        """Returns the model of one α."""
        return TrainedCell(
            self.n_features,
            self.n_hidden,
            self.probability,
            protocol=self.protocol,
            n_steps=self.n_steps,
            seed=seed,
            importance=f"two-level:{alpha}",
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Rugs:
    """Rugs over (ratio, probability), of figure 15 (appendix I).

    Attributes:
        n_features: Size of all.
        ratios: n_hidden / n_features.
        probabilities: Probabilities of being active; those with p n > 5 and p < r/10 are kept.
        n_held_out: Held-out samples of each, over all of its row sets.
    """

    n_features: int
    ratios: tuple[float, ...]
    probabilities: tuple[float, ...]
    n_held_out: int

    def cells(self, seed: int) -> list[RugCell]:
        """Returns the rugs that are kept, row set by row set."""
        return [
            cell
            for r in self.ratios
            for p in self.probabilities
            if p * self.n_features > 5 and p < 0.1 * r
            for cell in _row_sets(RugCell(self.n_features, round(r * self.n_features), p, self.n_held_out, seed))
        ]


def _row_sets(cell: RugCell) -> list[RugCell]:
    """Returns rugs of the same shape and of as many samples together, each of rows of its own."""
    n_held_out = max(1, cell.n_held_out // ROW_SETS)
    return [replace(cell, n_held_out=n_held_out, seed=cell.seed + offset) for offset in range(ROW_SETS)]


@dataclass(frozen=True)
class Preset:
    """How large the figures are; what one figure alone has lies beside its code, by the names of presets.

    Attributes:
        name: Its name.
        sizes: n_features of the trained models of figure 2, increasing.
        ratios: n_hidden / n_features of its trained models and rugs.
        probabilities: Its probabilities of being active.
        n_steps: Training steps of its models.
        n_held_out: Held-out samples of each.
        rug_sizes: n_features of its rugs, increasing powers of two.
        rug_entries: Held-out samples of each rug times its n_features: equal work for each size.
        portrait_size: n_features of the models of figure 3.
        portrait_steps: Training steps of that of the default protocol; of the paper's its rule decides.
        grids: Models of figures 4 to 12 and T3, sizes increasing.
        importances: Models of figures 13 and 14.
        bounds: Rugs of figure 15.
        protocol_sizes: n_features of the models of figure T2, increasing.
        seed: Seed of everything.
    """

    name: str
    sizes: tuple[int, ...]
    ratios: tuple[float, ...]
    probabilities: tuple[float, ...]
    n_steps: int
    n_held_out: int
    rug_sizes: tuple[int, ...]
    rug_entries: int
    portrait_size: int
    portrait_steps: int
    grids: tuple[Grid, ...]
    importances: Importances
    bounds: Rugs
    protocol_sizes: tuple[int, ...]
    seed: int = 0

    def own(self, sizes: Mapping[str, Size]) -> Size:
        """Returns what a figure has of its own at this preset, by its name; at one of a user's own, that of quick."""
        return sizes.get(self.name, sizes["quick"])

    @property
    def network_steps(self) -> int:
        """Steps of networks that compress: all of their own where the models of figure 2 take all of theirs."""
        own = training.TrainingConfig.networks().n_steps
        return own if self.n_steps >= training.TrainingConfig().n_steps else self.n_steps * 4 // 3

    def trained_cells(self) -> list[TrainedCell]:
        """Returns the models of figure 2."""
        return [
            TrainedCell(n, round(r * n), p, n_steps=self.n_steps, n_held_out=self.n_held_out, seed=self.seed)
            for n in self.sizes
            for p in self.probabilities
            for r in self.ratios
        ]

    def rug_cells(self) -> list[RugCell]:
        """Returns the rugs of figure 2, row set by row set."""
        return [
            cell
            for n in self.rug_sizes
            for p in self.probabilities
            for r in self.ratios
            for cell in _row_sets(RugCell(n, round(r * n), p, max(1, self.rug_entries // n), self.seed))
        ]

    def map_cells(self) -> list[TrainedCell]:
        """Returns the models of the grids."""
        return [cell for grid in self.grids for cell in grid.cells(self.seed)]


_RATIOS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)
_PROBABILITIES = (0.01, 0.045, 0.2)

QUICK = Preset(
    name="quick",
    sizes=(128, 512),
    ratios=_RATIOS,
    probabilities=_PROBABILITIES,
    n_steps=1500,
    n_held_out=50_000,
    rug_sizes=(8192, 65536),
    rug_entries=80_000_000,
    portrait_size=512,
    portrait_steps=2500,
    grids=tuple(Grid(n, _RATIOS, _PROBABILITIES, n_steps=1500, n_held_out=50_000) for n in (128, 512)),
    importances=Importances(512, 128, 0.04, 0.5, (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), n_steps=1000),
    bounds=Rugs(8192, (0.02, 0.05, 0.1), tuple(np.geomspace(1e-3, 9e-3, 5).tolist()), 4_000),
    protocol_sizes=(128, 512),
)

_TEN = tuple(np.linspace(0.01, 0.1, 10).tolist())
_BOUNDS = Rugs(32768, _TEN, tuple(np.linspace(1e-4, 1e-2, 10).tolist()), 3_000)

LAPTOP = replace(
    QUICK,
    name="laptop",
    sizes=(128, 1024),
    n_steps=2500,
    n_held_out=100_000,
    grids=(Grid.log_spaced(128, 20, "default"), Grid.log_spaced(1024, 5, "default")),
    importances=Importances(1024, 256, 0.04, 0.5, (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)),
    bounds=_BOUNDS,
    protocol_sizes=(128, 512, 1024, 2048),
)

# Batches of 4096 and a constant rate of 3e-4: appendix H.
_APPENDIX_H = Importances(
    4096, 1024, 0.04, 0.5, tuple(np.linspace(0, 1, 11).tolist()), "paper", None, 4096, 3e-4 * 4096**0.5
)

PAPER = replace(
    LAPTOP,
    name="paper",
    sizes=(128, 1024, 8192),
    grids=(
        Grid.log_spaced(128, 20, "default", "paper"),
        Grid.log_spaced(1024, 20, "default", "paper"),
        Grid.log_spaced(8192, 20, "default"),
    ),
    importances=_APPENDIX_H,
)

# What two cores measure in some hours.
REFERENCE = replace(
    PAPER,
    name="reference",
    sizes=LAPTOP.sizes,
    grids=(
        *LAPTOP.grids,
        Grid.log_spaced(128, 10, "paper"),
        Grid.log_spaced(1024, 5, "paper").without_last(),
        replace(Grid.log_spaced(8192, 5, "default").without_last(), n_steps=2000, precision="bfloat16"),
    ),
    importances=replace(LAPTOP.importances, n_features=4096, n_hidden=1024, precision="bfloat16"),
)

PRESETS = {preset.name: preset for preset in (QUICK, LAPTOP, REFERENCE, PAPER)}

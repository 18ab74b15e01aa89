"""What a figure is: cells to train, a table measured on them, checks on the table, a drawing of the table."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Preset:
    """How large the figures are.

    Attributes:
        name: Its name.
        sizes: n_features of trained models, increasing.
        ratios: n_hidden / n_features of trained models and rugs.
        probabilities: Probabilities of being active.
        n_steps: Training steps of the models over (ratio, probability).
        n_held_out: Held-out samples of each.
        rug_sizes: n_features of the rugs, increasing powers of two.
        rug_entries: Held-out samples of each rug times its n_features: equal work for each size.
        portrait_size: n_features of the single model of figure 3.
        portrait_steps: Training steps of that model.
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
    protocol_sizes: tuple[int, ...]
    seed: int = 0

    def trained_cells(self) -> list[TrainedCell]:
        """Returns the models over sizes, probabilities and ratios."""
        return [
            TrainedCell(n, round(r * n), p, n_steps=self.n_steps, n_held_out=self.n_held_out, seed=self.seed)
            for n in self.sizes
            for p in self.probabilities
            for r in self.ratios
        ]


@dataclass(frozen=True)
class Check:
    """A claim held against a figure's table.

    Attributes:
        claim: The claim, as a sentence.
        source: Who makes it: the paper, or this project.
        measured: What was measured, as a sentence with numbers.
        holds: Whether the measurement bears the claim out.
    """

    claim: str
    source: Literal["paper", "superposition"]
    measured: str
    holds: bool


class Figure(abc.ABC):
    """One figure. Subclasses say what to train, what to measure, what to claim, how to draw.

    Attributes:
        name: The paper's number, or a letter and a number for a figure beyond it.
        title: A short title.
        caption: What is shown, in sentences.
    """

    name: str
    title: str
    caption: str

    @abc.abstractmethod
    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the models it needs trained."""

    @abc.abstractmethod
    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns the table; every cell is in the store."""

    @abc.abstractmethod
    def checks(self, table: pa.Table) -> list[Check]:
        """Returns the claims held against the table."""

    @abc.abstractmethod
    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Returns the picture, made from the table alone."""


def column(table: pa.Table, name: str, **where: object) -> FloatArray:
    """Returns a numeric column of the rows in which the named columns have the given values."""
    return np.asarray(rows(table, **where).column(name).to_numpy(), dtype=np.float64)


def rows(table: pa.Table, **where: object) -> pa.Table:
    """Returns the rows in which the named columns have the given values."""
    import pyarrow.compute as pc

    for name, value in where.items():
        table = table.filter(pc.equal(table.column(name), value))
    return table


def distinct(table: pa.Table, name: str) -> Sequence[float]:
    """Returns a column's distinct values, increasing."""
    return sorted(set(table.column(name).to_pylist()))

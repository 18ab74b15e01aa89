"""The papers' figures, data first: cells → measure → table → checks, draw."""

from superposition.figures.base import Check, Figure, Preset
from superposition.figures.figure_1 import Figure1
from superposition.figures.figure_2 import Figure2
from superposition.figures.figure_3 import Figure3
from superposition.figures.figure_4 import Figure4
from superposition.figures.figure_t1 import FigureT1
from superposition.figures.figure_t2 import FigureT2
from superposition.figures.presets import PRESETS
from superposition.figures.reproduce import Outcome, reproduce

FIGURES: tuple[Figure, ...] = (Figure1(), Figure2(), Figure3(), Figure4(), FigureT1(), FigureT2())

__all__ = ["FIGURES", "PRESETS", "Check", "Figure", "Outcome", "Preset", "reproduce"]

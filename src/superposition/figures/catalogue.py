"""All figures, in the order of the report."""

from superposition.figures.base import Figure
from superposition.figures.figure_1 import Figure1
from superposition.figures.figure_2 import Figure2
from superposition.figures.figure_3 import Figure3
from superposition.figures.figure_13 import Figure13
from superposition.figures.figure_14 import Figure14
from superposition.figures.figure_15 import Figure15
from superposition.figures.figure_a1 import FigureA1
from superposition.figures.figure_a2 import FigureA2
from superposition.figures.figure_a3 import FigureA3
from superposition.figures.figure_a4 import FigureA4
from superposition.figures.figure_a5 import FigureA5
from superposition.figures.figure_a6 import FigureA6
from superposition.figures.figure_d1 import FigureD1
from superposition.figures.figure_d2 import FigureD2
from superposition.figures.figure_d3 import FigureD3
from superposition.figures.figure_d4 import FigureD4
from superposition.figures.figure_d5 import FigureD5
from superposition.figures.figure_t1 import FigureT1
from superposition.figures.figure_t2 import FigureT2
from superposition.figures.figure_t3 import FigureT3
from superposition.figures.figure_t4 import FigureT4
from superposition.figures.symmetry_map import SYMMETRY_MAPS

FIGURES: tuple[Figure, ...] = (
    *(Figure1(), Figure2(), Figure3()),
    *SYMMETRY_MAPS,
    *(Figure13(), Figure14(), Figure15()),
    *(FigureA1(), FigureA2(), FigureA3(), FigureA4(), FigureA5(), FigureA6()),
    *(FigureD1(), FigureD2(), FigureD3(), FigureD4(), FigureD5()),
    *(FigureT1(), FigureT2(), FigureT3(), FigureT4()),
)

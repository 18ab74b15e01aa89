from .base import Check as Check, Figure as Figure, Verdict as Verdict, judged as judged
from .catalogue import FIGURES as FIGURES
from .curves import draw_curves as draw_curves
from .presets import PRESETS as PRESETS, Preset as Preset
from .reproduce import CellsFailedError as CellsFailedError, MadeFigure as MadeFigure, reproduce as reproduce

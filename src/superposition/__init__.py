"""Toy models of superposition: solve, build, train and measure them.

Names load on first use, so that importing the package costs next to nothing.

>>> import superposition as sp
>>> round(sp.theory.symmetric_optimum(ratio=0.25, probability=0.045).loss, 9)
0.004855798
"""

import lazy_loader

# Real functions, and no names that load on first use: see there.
from superposition.models import load as load, save as save

__getattr__, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [name for name in _names if not name.startswith("_")]


def __dir__() -> list[str]:
    return __all__

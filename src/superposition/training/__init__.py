"""The loop, its protocols and objectives, checkpoints, and the stochastic fit of a rug."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

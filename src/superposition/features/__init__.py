"""What goes in: laws of active values, the sparse feature model, and what any source of samples answers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Nonlinear compression: schemes, the networks that compute them, and whether gradient descent finds them.

Names load on first use: the schemes need no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

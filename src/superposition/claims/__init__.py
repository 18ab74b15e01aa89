"""The ledger: every statement of the papers, the call that computes it, what shows it, and the verdict."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

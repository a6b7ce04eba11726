"""The simulator: a world of our own that gives recordings of several platforms, with exact truth."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

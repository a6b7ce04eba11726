"""A map from a few clicks: examples on a page, a classifier of patches, and an honest estimate of areas."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

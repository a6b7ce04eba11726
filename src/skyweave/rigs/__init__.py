"""Rigs of several cameras: raw bands of multispectral and thermal drone cameras to aligned, calibrated stacks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Recordings and rasters to look at: a contact sheet that needs NumPy and Pillow only, and a Rerun file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

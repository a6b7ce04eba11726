"""Scenes out of STAC catalogues: found, matched with a sensor by what the catalogue says, and composed on one grid."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Geometry of the world: frames, cameras, the map grid, the ground, geodesy, boxes. NumPy only."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

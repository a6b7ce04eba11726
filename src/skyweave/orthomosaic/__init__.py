"""Photographs from the air to one georeferenced mosaic: by their poses alone, or with poses refined on the map."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

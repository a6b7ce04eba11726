"""Outputs on a map: tiles for web maps, a page that shows them beside the scene, and projects for QGIS."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

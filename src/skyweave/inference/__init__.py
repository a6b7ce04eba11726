"""Models over scenes of any size in bounded memory: windows in, a finished raster out, in any format."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Placing features on the map: the relative-depth lift, its baselines, resampling; one sparse kernel for all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

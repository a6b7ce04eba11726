"""Observations, sensors, geometry, images, errors, configurations and registries, which all rooms build on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

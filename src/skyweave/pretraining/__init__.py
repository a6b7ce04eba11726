"""Pretraining: masked views of images of many sensors, and the objectives on them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

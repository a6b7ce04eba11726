"""Labelled data: its declaration, readers of images and labels, kinds of labels, and splits that do not leak."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

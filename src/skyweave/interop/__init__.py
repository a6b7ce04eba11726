"""Skyweave in the tools people already use; nothing in here is imported by the rest of the package."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

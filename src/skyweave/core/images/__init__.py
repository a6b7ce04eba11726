"""Arrays as images: PNG, true colour, false colour by principal components."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

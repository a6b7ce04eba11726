"""Change between embeddings of two dates, against what chance alone would show."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

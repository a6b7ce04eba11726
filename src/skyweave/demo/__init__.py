"""The demo: one page that shows what the backbone makes of imagery of every sensor."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

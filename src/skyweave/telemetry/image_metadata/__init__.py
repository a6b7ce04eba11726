"""What photographs say of where, when and how they were taken: EXIF, XMP, maker notes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

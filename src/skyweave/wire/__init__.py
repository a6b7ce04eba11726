"""What platforms send each other: frames as chunks of bytes, and back. Every byte: docs/wire-format.md."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

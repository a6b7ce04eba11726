"""Platforms that share what they see: a codec for features, what to send, how to fuse, and what all of it costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Embeddings in use: what is like an example, what changed, and a map from a few clicks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

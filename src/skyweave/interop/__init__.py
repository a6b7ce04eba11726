"""Skyweave in other tools: exported graphs, STAC, TorchGeo, TerraTorch, timm; no other room imports it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

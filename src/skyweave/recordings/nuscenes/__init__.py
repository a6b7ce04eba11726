"""Recordings in the nuScenes table layout: ours, plain nuScenes, Air-Co-Pred and UAV3D, without the devkit."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Whole scenes: a georeferenced raster in, a georeferenced map of features out."""

from skyweave.scenes.embed import EmbeddedScene, embed_scene

__all__ = ["EmbeddedScene", "embed_scene"]

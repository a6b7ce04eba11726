from .config import EmbeddedScene, EmbeddingConfig
from .scene import embed_scene
from .writer import ChannelRanges, FeatureMap, FeatureWriter
from .writers import WRITERS

__all__ = [
    "WRITERS",
    "ChannelRanges",
    "EmbeddedScene",
    "EmbeddingConfig",
    "FeatureMap",
    "FeatureWriter",
    "embed_scene",
]

from .config import EmbeddedScene, EmbeddingConfig
from .scene import embed_scene

__all__ = ["EmbeddedScene", "EmbeddingConfig", "embed_scene"]

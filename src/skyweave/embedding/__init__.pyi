from .config import CatalogConfig, EmbeddedScene, EmbeddingConfig
from .scene import embed_scene

__all__ = ["CatalogConfig", "EmbeddedScene", "EmbeddingConfig", "embed_scene"]

from .scene import EmbeddedScene, embed_scene

__all__ = [
    "EmbeddedScene",
    "embed_scene",
]

from .config import WorldConfig
from .world import World, simulate_scene

__all__ = [
    "World",
    "WorldConfig",
    "simulate_scene",
]

"""The simulator: a world of our own that gives recordings of several platforms, with exact truth."""

from skyweave.world.config import WorldConfig
from skyweave.world.world import World, simulate_scene

__all__ = ["World", "WorldConfig", "simulate_scene"]

"""Flat marks on the ground that are no objects: stains, cracks, slabs, covers, painted rectangles."""

import numpy as np

from skyweave.simulator.ground import GroundPolygon
from skyweave.simulator.materials import FREE_PAINTS
from skyweave.simulator.roads import MARGIN_M, RoadNetwork

SLABS = ("pavement", "gravel", "soil", "old asphalt", "asphalt", "kerb", "concrete", "dry grass", "tarpaulin")
SIZES_M = {"stain": (0.5, 4.0), "crack": (3.0, 20.0), "slab": (1.0, 7.0), "cover": (0.5, 1.0), "paint": (0.8, 6.0)}
CRACK_WIDTH_M = (0.05, 0.25)
SHARES = (0.3, 0.25, 0.25, 0.1, 0.1)  # of the kinds of SIZES_M
BRIGHTNESS = (0.45, 1.6)  # factor on what is below a stain
STAIN_CORNERS = 9


def draw_marks(network: RoadNetwork, count: int, generator: np.random.Generator) -> list[GroundPolygon]:
    """Return marks anywhere in the built-up area, on roads as well.

    Args:
        network: in whose area they lie.
        count: how many.
        generator: for everything random.
    """
    half = network.size / 2 + MARGIN_M / 2
    kinds = generator.choice(list(SIZES_M), size=count, p=SHARES)
    return [_mark(str(kind), generator.uniform(-half, half, 2), generator) for kind in kinds]


def _mark(kind: str, middle: np.ndarray, generator: np.random.Generator) -> GroundPolygon:
    """One mark about a place."""
    size = float(generator.uniform(*SIZES_M[kind]))
    width = float(generator.uniform(*CRACK_WIDTH_M)) if kind == "crack" else size * float(generator.uniform(0.3, 1.0))
    brightness = float(np.exp(generator.uniform(*np.log(BRIGHTNESS))))
    if kind in ("stain", "cover"):
        angles = np.arange(STAIN_CORNERS) * 2 * np.pi / STAIN_CORNERS
        outline = np.stack([size / 2 * np.cos(angles), width / 2 * np.sin(angles)], 1)
    else:
        outline = np.array([[-size, -width], [size, -width], [size, width], [-size, width]]) / 2
    turn = generator.uniform(0, np.pi)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    material = {"slab": SLABS, "paint": (*FREE_PAINTS, "marking"), "cover": ("steel",)}.get(kind)
    name = None if material is None else str(generator.choice(material))
    return GroundPolygon(outline @ axes + middle, name, brightness)

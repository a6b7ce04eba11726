"""What covers the ground, by its material and by what is painted on it."""

import numpy as np

from skyweave.recordings.recording import LAND_COVER
from skyweave.simulator.materials import MATERIALS
from skyweave.simulator.rasterise import rasterise_polygons
from skyweave.simulator.roads import ZEBRA_M, Road, RoadNetwork, crossings_along

_COVER = {
    "road": ("asphalt", "old asphalt", "cycle lane", "marking"),
    "pavement": ("pavement", "kerb"),
    "grass": ("grass", "meadow", "dry grass", "crop"),
    "water": ("water",),
}


def ground_cover() -> np.ndarray:
    """Return (materials,) uint8 index into `LAND_COVER` of ground of each material; what is none of these is bare."""
    cover = {material: name for name, materials in _COVER.items() for material in materials}
    return np.array([LAND_COVER.index(cover.get(material, "bare")) for material in MATERIALS], np.uint8)


def crossing_cells(network: RoadNetwork, pixels: int, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of a raster about the middle of the world where people cross roads.

    Args:
        network: of roads.
        pixels: along a side of the raster; row 0 is north.
        resolution: metres a pixel.
    """
    zebras = [corners for road in network.roads for corners in _zebras(network, road)]
    if not zebras:
        return np.zeros(0, int), np.zeros(0, int)
    filled = rasterise_polygons(np.stack(zebras) * (1, -1) / resolution + pixels / 2, pixels, pixels)
    return filled.row, filled.column


def _zebras(network: RoadNetwork, road: Road) -> list[np.ndarray]:
    """Return the (4, 2) corners of the zebras of a road, world metres."""
    return [
        _zebra(network, road, position + sign * network.pavement)
        for position, index in crossings_along(network, road)
        for sign, arm in ((1, road.along), (-1, road.along + 2))
        if arm in network.crossings[index].arms
    ]


def _zebra(network: RoadNetwork, road: Road, middle: float) -> np.ndarray:
    """Return the corners of one zebra, whose middle is so many metres along a road."""
    low, high, kerb = middle - ZEBRA_M / 2, middle + ZEBRA_M / 2, network.kerb
    corners = np.array([[low, -kerb], [high, -kerb], [high, kerb], [low, kerb]]) + np.array([0, road.offset])
    return network.to_world(corners if road.along == 0 else corners[:, ::-1])

"""The classes of pixels."""

import numpy as np

from skyweave.simulator.materials import MATERIALS

SURFACES = (
    "road",
    "pavement",
    "marking",
    "vegetation",
    "soil",
    "building",
    "tree",
    "pole",
    "car",
    "truck",
    "bus",
    "bicycle",
    "pedestrian",
    "sky",
    "water",
)
CATEGORIES = ("car", "truck", "bus", "bicycle", "pedestrian")
SURFACE_INDEX = {name: number for number, name in enumerate(SURFACES)}
_GROUND = {
    "vegetation": ("grass", "meadow", "dry grass", "crop"),
    "soil": ("soil", "gravel"),
    "road": ("asphalt", "old asphalt", "cycle lane"),
    "pavement": ("pavement", "kerb"),
    "marking": ("marking",),
    "water": ("water",),
}


def surface_of_materials() -> np.ndarray:
    """(materials,) uint8 class of the ground by its material."""
    classes = np.full(len(MATERIALS), SURFACE_INDEX["soil"], np.uint8)
    for surface, materials in _GROUND.items():
        for number, name in enumerate(MATERIALS):
            if name in materials:
                classes[number] = SURFACE_INDEX[surface]
    return classes

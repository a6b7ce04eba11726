"""How each object looks: its shape, its colour, and the size that goes with both."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from skyweave.simulator.materials import BUS_PAINTS, CAR_PAINT_SHARES, CAR_PAINTS, CLOTHES, FREE_PAINTS, TRUCK_PAINTS
from skyweave.simulator.shapes import VARIANTS

CAR_SIZES = {  # length, width, height, metres
    "saloon": (4.6, 1.82, 1.45),
    "hatchback": (4.0, 1.75, 1.5),
    "estate": (4.7, 1.84, 1.55),
    "van": (4.9, 1.93, 1.95),
}


@dataclass(frozen=True)
class Appearance:
    """How one object looks.

    Attributes:
        shape: key of ``SHAPES``.
        paint: material of its paint or clothes.
        brightness: factor on reflectance.
        size: length, width, height in metres.
    """

    shape: str
    paint: str
    brightness: float
    size: tuple[float, float, float]


PAINTS = {"truck": TRUCK_PAINTS, "bus": BUS_PAINTS}


@lru_cache(maxsize=4096)
def sample_appearance(
    kind: str, appearance_seed: int, size: tuple[float, float, float] | None, free: float = 0.0
) -> Appearance:
    """Return the appearance that a seed stands for.

    Args:
        kind: category.
        appearance_seed: any number; the same number gives the same appearance.
        size: metres; None for what is usual for the shape (cars only).
        free: share of objects in any colour, from 0 to 1.
    """
    draw = np.random.default_rng(appearance_seed)
    shape = str(draw.choice(VARIANTS[kind], p=(0.34, 0.33, 0.21, 0.12) if kind == "car" else None))
    paint = _car_paint(shape, draw) if kind == "car" else str(draw.choice(PAINTS.get(kind, CLOTHES)))
    size = _draw_size(size, shape, draw)
    brightness = float(draw.uniform(0.85, 1.15))
    if free and draw.random() < free:
        paint = str(draw.choice(FREE_PAINTS))
    return Appearance(shape, paint, brightness, size)


def _draw_size(
    size: tuple[float, float, float] | None, shape: str, draw: np.random.Generator
) -> tuple[float, float, float]:
    """Draw the size of a car of some shape."""
    if size is None:
        usual = np.array(CAR_SIZES[shape]) * draw.uniform(0.95, 1.05, 3)
        size = (float(usual[0]), float(usual[1]), float(usual[2]))
    return size


def _car_paint(shape: str, draw: np.random.Generator) -> str:
    """Draw the paint of a car; half of all vans are white."""
    if shape == "van" and draw.random() < 0.5:
        return "white paint"
    return str(draw.choice(CAR_PAINTS, p=CAR_PAINT_SHARES))

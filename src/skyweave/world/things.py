"""What stands in the world: vehicles, people, buildings, trees, each a few boxes or balls of some material."""

from dataclasses import dataclass

import numpy as np

CATEGORIES = ("car", "truck", "bus", "bicycle", "pedestrian")
SIZES = {  # length, width, height in metres: smallest and largest
    "car": ((3.7, 1.65, 1.4), (4.9, 1.95, 1.8)),
    "truck": ((6.5, 2.3, 2.8), (9.0, 2.55, 3.6)),
    "bus": ((10.0, 2.5, 2.9), (12.0, 2.55, 3.3)),
    "bicycle": ((1.6, 0.55, 1.6), (1.9, 0.7, 1.8)),
    "pedestrian": ((0.45, 0.55, 1.55), (0.6, 0.7, 1.9)),
}
PAINTS = ("paint_white", "paint_black", "paint_silver", "paint_red", "paint_blue", "paint_green", "paint_yellow")
PAINT_SHARES = (0.3, 0.18, 0.22, 0.11, 0.11, 0.04, 0.04)
CLOTHES = ("cloth_dark", "cloth_light", "cloth_red", "cloth_blue")


@dataclass(frozen=True)
class Part:
    """A box (or a ball, in it) inside a thing's own box.

    Attributes:
        low, high: (3,) corners as shares of the thing's length, width, height; -0.5 to 0.5, and 0 to 1 upwards.
        material: of the sides; top: of the upper face, where it differs.
        ball: an ellipsoid that fills the box.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    material: str
    top: str | None = None
    ball: bool = False


def draw_size(category: str, generator: np.random.Generator) -> np.ndarray:
    """(3,) length, width, height."""
    low, high = np.array(SIZES[category])
    return np.asarray(low + (high - low) * generator.random(3))


def make_parts(category: str, generator: np.random.Generator) -> list[Part]:
    """How a thing of a category looks; colours are drawn."""
    paint = str(generator.choice(PAINTS, p=PAINT_SHARES))
    if category == "car":
        back, front = generator.uniform(-0.46, -0.34), generator.uniform(0.16, 0.26)
        return [
            Part((-0.5, -0.5, 0.12), (0.5, 0.5, 0.6), paint),
            Part((back, -0.46, 0.6), (front, 0.46, 1.0), "glass", paint),
        ]
    if category == "truck":
        cargo = str(generator.choice(("paint_white", "paint_silver", "paint_green", "paint_blue")))
        return [
            Part((0.24, -0.48, 0.12), (0.5, 0.48, 0.78), paint, paint),
            Part((-0.5, -0.5, 0.2), (0.2, 0.5, 1.0), cargo),
        ]
    if category == "bus":
        return [
            Part((-0.5, -0.5, 0.1), (0.5, 0.5, 0.5), paint),
            Part((-0.49, -0.49, 0.5), (0.49, 0.49, 0.85), "glass"),
            Part((-0.5, -0.5, 0.85), (0.5, 0.5, 1.0), paint, "paint_white"),
        ]
    cloth = str(generator.choice(CLOTHES))
    if category == "bicycle":
        return [
            Part((-0.5, -0.12, 0.0), (0.5, 0.12, 0.45), "paint_black"),
            Part((-0.25, -0.5, 0.45), (0.15, 0.5, 0.85), cloth),
            Part((-0.1, -0.25, 0.85), (0.12, 0.25, 1.0), "skin"),
        ]
    return [
        Part((-0.4, -0.4, 0.0), (0.4, 0.4, 0.48), "cloth_dark"),
        Part((-0.5, -0.5, 0.48), (0.5, 0.5, 0.86), cloth),
        Part((-0.3, -0.3, 0.86), (0.3, 0.3, 1.0), "skin"),
    ]


def tree_parts() -> list[Part]:
    """A trunk under a crown."""
    return [
        Part((-0.05, -0.05, 0.0), (0.05, 0.05, 0.5), "bark"),
        Part((-0.5, -0.5, 0.3), (0.5, 0.5, 1.0), "leaf", ball=True),
    ]


def building_parts(generator: np.random.Generator) -> list[Part]:
    """One block, some with a lower wing."""
    roof = str(generator.choice(("roof_tile", "roof_dark", "concrete")))
    wall = str(generator.choice(("wall", "brick", "concrete")))
    if generator.random() < 0.4:
        cut = generator.uniform(-0.1, 0.2)
        return [
            Part((-0.5, -0.5, 0.0), (cut, 0.5, 1.0), wall, roof),
            Part((cut, -0.5, 0.0), (0.5, 0.5, 0.55), wall, roof),
        ]
    return [Part((-0.5, -0.5, 0.0), (0.5, 0.5, 1.0), wall, roof)]


@dataclass(frozen=True)
class Solids:
    """Boxes and balls ready to render: everything that stands at one moment.

    Attributes:
        centres: (n, 3) of each part, metres. halves: (n, 3) half sizes. yaws: (n,).
        side, top: (n,) material indices. balls: (n,) bool.
        owner: (n,) index of the object that a part belongs to; -1 for buildings and trees.
        surface: (n,) class that its pixels get.
    """

    centres: np.ndarray
    halves: np.ndarray
    yaws: np.ndarray
    side: np.ndarray
    top: np.ndarray
    balls: np.ndarray
    owner: np.ndarray
    surface: np.ndarray


@dataclass(frozen=True)
class Thing:
    """Something with parts, at a place.

    Attributes:
        position: (3,) of the middle of its bottom. size: (3,). yaw: radians.
        surface: class of its pixels.
    """

    position: np.ndarray
    size: np.ndarray
    yaw: float
    parts: list[Part]
    surface: int
    owner: int = -1


def to_solids(things: list[Thing], materials: dict[str, int]) -> Solids:
    """The parts of many things as arrays."""
    rows = []
    for thing in things:
        c, s = np.cos(thing.yaw), np.sin(thing.yaw)
        for part in thing.parts:
            low, high = np.array(part.low) * thing.size, np.array(part.high) * thing.size
            middle = (low + high) / 2
            centre = thing.position + [c * middle[0] - s * middle[1], s * middle[0] + c * middle[1], middle[2]]
            side = materials[part.material]
            top = materials[part.top] if part.top else side
            rows.append((*centre, *((high - low) / 2), thing.yaw, side, top, part.ball, thing.owner, thing.surface))
    table = np.array(rows, np.float64).reshape(-1, 12)
    return Solids(
        table[:, :3],
        table[:, 3:6],
        table[:, 6],
        table[:, 7].astype(int),
        table[:, 8].astype(int),
        table[:, 9].astype(bool),
        table[:, 10].astype(int),
        table[:, 11].astype(int),
    )

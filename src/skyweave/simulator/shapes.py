"""What objects look like: convex parts in a unit box, whose faces have materials.

A shape lives in a box of length, width and height 1: x forward, y left, z up, with the origin in the middle of the
bottom. Placed, it is stretched to the object's size, so the object fills its annotated box.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

PAINT = "paint"  # replaced by the object's own
CLOTHING = "clothing"  # likewise
PLAIN, FACADE, LEAVES, ROOF = range(4)  # patterns within a face, see `skyweave.simulator.shading`
DECAL_BIAS = 2e-4  # by which share of its depth something painted on a face counts as nearer
SIDES = {"top": (4, 5, 6, 7), "front": (0, 4, 7, 3), "left": (1, 5, 4, 0), "back": (2, 6, 5, 1), "right": (3, 7, 6, 2)}


@dataclass
class ObjectShape:
    """Faces of a shape.

    Attributes:
        corners: (n, 4, 3), counter-clockwise as seen from outside; a triangle repeats its last corner.
        materials: of each face: a name, or ``paint`` or ``clothing``.
        bias: of each face, see ``DECAL_BIAS``.
        heat: kelvin by which each face is warmer when the engine runs.
        pattern: of each face.
    """

    corners: list[np.ndarray] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    heat: list[float] = field(default_factory=list)
    pattern: list[int] = field(default_factory=list)

    def face(
        self, corners: np.ndarray, material: str, bias: float = 0.0, heat: float = 0.0, pattern: int = PLAIN
    ) -> "ObjectShape":
        """Add one face and return the shape.

        Args:
            corners: (3 or 4, 3), counter-clockwise as seen from outside.
            material: its name, or ``paint`` or ``clothing``.
            bias: see ``DECAL_BIAS``.
            heat: kelvin by which it is warmer when the engine runs.
            pattern: within the face.
        """
        corners = np.asarray(corners, float)
        self.corners.append(corners if len(corners) == 4 else np.concatenate([corners, corners[-1:]]))
        self.materials.append(material)
        self.bias.append(bias)
        self.heat.append(heat)
        self.pattern.append(pattern)
        return self

    def block(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        material: str,
        *,
        top: tuple[float, float, float] = (0, 0, 0),
        heat: float = 0.0,
        pattern: int = PLAIN,
        others: Mapping[str, str] | None = None,
    ) -> "ObjectShape":
        """Add a box without a bottom and return the shape.

        Args:
            x: from and to.
            y: from and to.
            z: from and to.
            material: of its sides.
            top: by how much its upper face is drawn in at the back, at the front and at both sides.
            heat: kelvin by which it is warmer when the engine runs.
            pattern: of all sides but the top.
            others: materials of single sides: ``top``, ``front``, ``left``, ``back``, ``right``.
        """
        corners = np.array(
            [[a, b, c] for c in z for a, b in ((x[1], y[1]), (x[0], y[1]), (x[0], y[0]), (x[1], y[0]))], float
        )
        back, front, side = top
        corners[4:] += [[-front, -side, 0], [back, -side, 0], [back, side, 0], [-front, side, 0]]
        self._add_sides(others, material, corners, heat, pattern)
        return self

    def _add_sides(
        self, others: Mapping[str, str] | None, material: str, corners: np.ndarray, heat: float, pattern: int
    ) -> None:
        """Add the faces of a block."""
        for name, indices in SIDES.items():
            side_material = (others or {}).get(name, material)
            self.face(corners[list(indices)], side_material, heat=heat, pattern=PLAIN if name == "top" else pattern)

    def ball(self, material: str, z: tuple[float, float], seed: int, rings: int = 3, sides: int = 7) -> "ObjectShape":
        """Add a rough ellipsoid that fills the box sideways and return the shape; every face has leaves.

        Args:
            material: of its faces.
            z: from and to.
            seed: of its roughness.
            rings: between the poles.
            sides: around it.
        """
        generator = np.random.default_rng(seed)
        angles = np.arange(sides) * 2 * np.pi / sides
        levels = np.linspace(-np.pi / 2, np.pi / 2, rings + 2)
        middle, half = (z[0] + z[1]) / 2, (z[1] - z[0]) / 2
        loops = _rings(levels, generator, sides, middle, half, angles)
        for low, high in pairwise(loops):
            self._add_ring(sides, low, loops, high, material)
        return self

    def _add_ring(self, sides: int, low: np.ndarray, loops: list[np.ndarray], high: np.ndarray, material: str) -> None:
        """Add the faces between two rings."""
        for i in range(sides):
            j = (i + 1) % sides
            if low is not loops[0]:
                self.face(np.stack([low[i], low[j], high[j]]), material, pattern=LEAVES)
            if high is not loops[-1]:
                self.face(np.stack([low[i], high[j], high[i]]), material, pattern=LEAVES)


def _rings(
    levels: np.ndarray, generator: np.random.Generator, sides: int, middle: float, half: float, angles: np.ndarray
) -> list[np.ndarray]:
    """Return the points of each ring of a ball."""
    loops = []
    for level in levels:
        radius = 0.5 * np.cos(level) * generator.uniform(0.82, 1.0, sides)
        height = np.full(sides, middle + half * np.sin(level))
        loops.append(np.stack([radius * np.cos(angles), radius * np.sin(angles), height], 1))
    return loops


def _car(kind: str) -> ObjectShape:
    """A body, and a cabin that is all window but for its roof."""
    belt = {"saloon": 0.58, "hatchback": 0.58, "estate": 0.55, "van": 0.5}[kind]
    cabin, slopes = {
        "saloon": ((-0.33, 0.24), (0.1, 0.13, 0.055)),
        "hatchback": ((-0.46, 0.26), (0.06, 0.14, 0.055)),
        "estate": ((-0.48, 0.25), (0.04, 0.13, 0.045)),
        "van": ((-0.49, 0.36), (0.01, 0.11, 0.03)),
    }[kind]
    shape = ObjectShape()
    shape.block((-0.46, 0.46), (-0.47, 0.47), (0.0, 0.2), "tyre")
    shape.block((-0.5, 0.5), (-0.5, 0.5), (0.13, belt), PAINT, top=(0.01, 0.03, 0.03))
    glass = dict.fromkeys(("front", "left", "back", "right"), "glass")
    if kind == "van":
        glass = {"front": "glass"}
    shape.block(cabin, (-0.45, 0.45), (belt, 1.0), PAINT, top=slopes, others=glass)
    bonnet = np.array([[cabin[1], -0.4], [0.46, -0.4], [0.46, 0.4], [cabin[1], 0.4]])
    shape.face(np.column_stack([bonnet, np.full(4, belt)]), PAINT, DECAL_BIAS, heat=9.0)
    for x, material in ((0.5, "lamp"), (-0.5, "rear lamp")):
        for y in (-0.36, 0.36):
            _add_car_lamp(shape, x, y, material)
    return shape


def _add_car_lamp(shape: ObjectShape, x: float, y: float, material: str) -> None:
    """Add a lamp to the front (x > 0) or the back of a car."""
    ends = (y - 0.1, y + 0.1) if x > 0 else (y + 0.1, y - 0.1)
    upright = [[x, ends[0], 0.36], [x, ends[1], 0.36], [x * 0.98, ends[1], 0.5], [x * 0.98, ends[0], 0.5]]
    shape.face(np.array(upright), material, 3 * DECAL_BIAS)


def _truck(box: str) -> ObjectShape:
    shape = ObjectShape()
    shape.block((-0.49, 0.48), (-0.42, 0.42), (0.0, 0.22), "tyre")
    shape.block((-0.5, 0.22), (-0.5, 0.5), (0.2, 1.0), box)
    shape.block((0.26, 0.5), (-0.48, 0.48), (0.12, 0.78), PAINT, top=(0, 0.03, 0.02), heat=6.0)
    window = [[0.487, -0.42, 0.5], [0.487, 0.42, 0.5], [0.475, 0.4, 0.72], [0.475, -0.4, 0.72]]
    shape.face(np.array(window), "glass", 6 * DECAL_BIAS)
    return shape


def _bus() -> ObjectShape:
    shape = ObjectShape()
    shape.block((-0.49, 0.49), (-0.46, 0.46), (0.0, 0.12), "tyre")
    shape.block((-0.5, 0.5), (-0.5, 0.5), (0.1, 0.95), PAINT, others={"top": "light clothes"})
    for y in (0.5, -0.5):
        along = (0.46, -0.46) if y > 0 else (-0.46, 0.46)
        strip = [[along[0], y, 0.45], [along[1], y, 0.45], [along[1], y, 0.8], [along[0], y, 0.8]]
        shape.face(np.array(strip), "glass", DECAL_BIAS)
    shape.face(
        np.array([[0.5, -0.45, 0.4], [0.5, 0.45, 0.4], [0.5, 0.45, 0.85], [0.5, -0.45, 0.85]]), "glass", DECAL_BIAS
    )
    shape.block((-0.3, -0.12), (-0.3, 0.3), (0.95, 1.0), "steel", heat=5.0)
    shape.block((0.1, 0.3), (-0.3, 0.3), (0.95, 1.0), "steel", heat=5.0)
    return shape


def _bicycle() -> ObjectShape:
    shape = ObjectShape()
    for x in (-0.32, 0.32):
        shape.block((x - 0.18, x + 0.18), (-0.05, 0.05), (0.0, 0.37), "tyre", top=(0.07, 0.07, 0))
    shape.block((-0.3, 0.3), (-0.04, 0.04), (0.3, 0.42), "steel")
    shape.block((0.22, 0.28), (-0.5, 0.5), (0.52, 0.56), "steel")
    shape.block((-0.16, 0.06), (-0.3, 0.3), (0.22, 0.55), "denim")
    shape.block((-0.18, 0.08), (-0.42, 0.42), (0.5, 0.86), CLOTHING, top=(-0.1, -0.1, 0.05))
    shape.block((0.0, 0.14), (-0.18, 0.18), (0.86, 1.0), "hair", others={"front": "skin"})
    return shape


def _pedestrian() -> ObjectShape:
    shape = ObjectShape()
    shape.block((-0.32, 0.32), (-0.3, 0.3), (0.0, 0.48), "denim")
    shape.block((-0.42, 0.42), (-0.5, 0.5), (0.45, 0.84), CLOTHING, top=(0.1, 0.1, 0.08))
    shape.block((-0.26, 0.26), (-0.2, 0.2), (0.84, 1.0), "hair", others={"front": "skin"})
    return shape


def _building(roof: str, covering: str, wall: str) -> ObjectShape:
    shape = ObjectShape()
    if roof == "flat":
        shape.block((-0.5, 0.5), (-0.5, 0.5), (0, 1), wall, pattern=FACADE, others={"top": covering})
        shape.pattern[0] = ROOF
        shape.block((-0.15, 0.05), (-0.2, 0.1), (1.0, 1.12), "steel")
        return shape
    shape.block((-0.48, 0.48), (-0.47, 0.47), (0, 0.72), wall, pattern=FACADE)
    ridge = 0.5 if roof == "gable" else 0.3
    corners = np.array([[0.5, 0.5, 0.7], [-0.5, 0.5, 0.7], [-0.5, -0.5, 0.7], [0.5, -0.5, 0.7]])
    east, west = np.array([ridge, 0, 1.0]), np.array([-ridge, 0, 1.0])
    end = wall if roof == "gable" else covering
    shape.face(np.stack([corners[0], corners[1], west, east]), covering, pattern=ROOF)
    shape.face(np.stack([corners[2], corners[3], east, west]), covering, pattern=ROOF)
    shape.face(np.stack([corners[3], corners[0], east]), end)
    shape.face(np.stack([corners[1], corners[2], west]), end)
    return shape


def _tree(seed: int, conifer: bool) -> ObjectShape:
    shape = ObjectShape()
    shape.block((-0.04, 0.04), (-0.04, 0.04), (0, 0.4), "bark")
    if not conifer:
        return shape.ball("foliage", (0.25, 1.0), seed)
    for low, high, radius in ((0.12, 0.62, 0.5), (0.4, 0.85, 0.36), (0.65, 1.0, 0.22)):
        _add_cone(shape, low, high, radius)
    return shape


def _add_cone(shape: ObjectShape, low: float, high: float, radius: float) -> None:
    """Add a cone of dark leaves to a tree."""
    angles = np.arange(8) * np.pi / 4
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(8, low)], 1)
    for i in range(8):
        tip = np.array([0, 0, high])
        shape.face(np.stack([ring[i], ring[(i + 1) % 8], tip]), "dark foliage", pattern=LEAVES)


def _lamp() -> ObjectShape:
    shape = ObjectShape().block((-0.5, -0.42), (-0.1, 0.1), (0, 1), "steel")
    return shape.block((-0.5, 0.5), (-0.15, 0.15), (0.97, 1.0), "steel")


SHAPES: dict[str, ObjectShape] = {
    **{kind: _car(kind) for kind in ("saloon", "hatchback", "estate", "van")},
    "box truck": _truck("white paint"),
    "tarpaulin truck": _truck("tarpaulin"),
    "painted truck": _truck(PAINT),
    "bus": _bus(),
    "bicycle": _bicycle(),
    "pedestrian": _pedestrian(),
    "flat house": _building("flat", "flat roof", "plaster"),
    "flat block": _building("flat", "slate roof", "concrete"),
    "hip house": _building("hip", "tile roof", "plaster"),
    "gable house": _building("gable", "tile roof", "brick"),
    "slate house": _building("hip", "slate roof", "brick"),
    **{f"tree {number}": _tree(number, False) for number in range(4)},
    "conifer": _tree(9, True),
    "lamp post": _lamp(),
}
VARIANTS = {
    "car": ("saloon", "hatchback", "estate", "van"),
    "truck": ("box truck", "tarpaulin truck", "painted truck"),
    "bus": ("bus",),
    "bicycle": ("bicycle",),
    "pedestrian": ("pedestrian",),
    "building": ("flat house", "flat block", "hip house", "gable house", "slate house"),
    "tree": ("tree 0", "tree 1", "tree 2", "tree 3", "conifer"),
    "lamp": ("lamp post",),
}

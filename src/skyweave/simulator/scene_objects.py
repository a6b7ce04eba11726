"""Placed objects, and all their faces as arrays."""

from dataclasses import dataclass

import numpy as np

from skyweave.simulator.materials import MATERIAL_INDEX
from skyweave.simulator.shapes import CLOTHING, PAINT, SHAPES


@dataclass(frozen=True)
class SceneObjects:
    """Placed objects.

    Attributes:
        shapes: n names in ``SHAPES``.
        surfaces: (n,) index into ``skyweave.simulator.surface_classes.SURFACES``.
        bases: (n, 3) world position of the middle of the bottom.
        sizes: (n, 3) length, width, height in metres; yaws: (n,) radians.
        paints: n material names; clothing: n material names.
        brightness: (n,) factor on reflectance.
        running: (n,) whether an engine runs.
    """

    shapes: tuple[str, ...]
    surfaces: np.ndarray
    bases: np.ndarray
    sizes: np.ndarray
    yaws: np.ndarray
    paints: tuple[str, ...]
    brightness: np.ndarray
    running: np.ndarray


@dataclass(frozen=True)
class Faces:
    """All faces of some objects, in the world.

    Attributes:
        corners: (n, 4, 3) world positions.
        normals: (n, 3) outward, of length 1.
        owner: (n,) object that each belongs to.
        material: (n,) index into ``MATERIALS``.
        surface, brightness: (n,) of the object.
        bias, heat, pattern: (n,) of the face.
        base: (n,) height of the bottom of the object.
    """

    corners: np.ndarray
    normals: np.ndarray
    owner: np.ndarray
    material: np.ndarray
    surface: np.ndarray
    brightness: np.ndarray
    bias: np.ndarray
    heat: np.ndarray
    pattern: np.ndarray
    base: np.ndarray

    def __len__(self) -> int:
        return len(self.owner)

    def joined(self, others: "Faces", first_owner: int = 0) -> "Faces":
        """Join these faces and others.

        Args:
            others: to be added behind.
            first_owner: added to the owners of the others.
        """
        values = {
            name: np.concatenate([getattr(self, name), getattr(others, name)])
            for name in self.__dataclass_fields__
            if name != "owner"
        }
        return Faces(owner=np.concatenate([self.owner, others.owner + first_owner]), **values)


def build_faces(objects: SceneObjects) -> Faces:
    """Return the faces of placed objects, object by object.

    Args:
        objects: in the world.
    """
    parts = []
    for index, (name, paint) in enumerate(zip(objects.shapes, objects.paints, strict=True)):
        parts.append((*_compiled(name, paint), np.full(len(SHAPES[name].materials), index)))
    if not parts:
        empty = np.zeros(0)
        none = empty.astype(np.int64)
        return Faces(np.zeros((0, 4, 3)), np.zeros((0, 3)), none, none, none, empty, empty, empty, none, empty)
    local, material, bias, heat, pattern, owner = (np.concatenate(column) for column in zip(*parts, strict=True))
    scaled = local * objects.sizes[owner][:, None]
    c, s = np.cos(objects.yaws)[owner, None], np.sin(objects.yaws)[owner, None]
    x, y = c * scaled[..., 0] - s * scaled[..., 1], s * scaled[..., 0] + c * scaled[..., 1]
    corners = np.stack([x, y, scaled[..., 2]], -1) + objects.bases[owner][:, None]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return Faces(
        corners=corners,
        normals=normals,
        owner=owner,
        material=material,
        surface=objects.surfaces[owner],
        brightness=objects.brightness[owner],
        bias=bias,
        heat=heat * objects.running[owner],
        pattern=pattern,
        base=objects.bases[owner, 2],
    )


_CACHE: dict[tuple[str, str], tuple[np.ndarray, ...]] = {}


def _compiled(name: str, paint: str) -> tuple[np.ndarray, ...]:
    if (name, paint) not in _CACHE:
        shape = SHAPES[name]
        materials = [MATERIAL_INDEX[paint if m in (PAINT, CLOTHING) else m] for m in shape.materials]
        columns = (shape.corners, materials, shape.bias, shape.heat, shape.pattern)
        _CACHE[name, paint] = tuple(np.array(column) for column in columns)
    return _CACHE[name, paint]

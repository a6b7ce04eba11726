"""A world at one time: where everything is, and what a camera would see of it."""

from typing import TYPE_CHECKING

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.recordings.recording import Annotations
from skyweave.simulator.appearance import dressed
from skyweave.simulator.ground import GroundMap
from skyweave.simulator.light import ShadowMap
from skyweave.simulator.scene_objects import Faces, Things, build_faces
from skyweave.simulator.surface_classes import SURFACE, surface_of_materials
from skyweave.simulator.terrain import ground_inverse_depth, heights_at
from skyweave.simulator.visibility import GROUND, View, again, look

if TYPE_CHECKING:
    from skyweave.simulator.world import World


class Moment:
    """A world as it was at one time, ready to be looked at from anywhere.

    Attributes:
        count: annotated objects; they are the first owners of the faces.
        faces: of everything.
        lit_owners: (owners,) 1 where the sun reaches an object, 0 where a fixture shades it.
        middle: height of the ground in the middle of the world.
    """

    def __init__(self, world: "World") -> None:
        self.ground, self.maps = world.ground, world.maps
        traffic, pedestrians, scenery = world.traffic, world.pedestrians, world.scenery
        rows = [(v.name, v.kind, v.size, v.look, v.v > 0.3, traffic.pose(v)) for v in traffic.vehicles]
        rows += [(w.name, "pedestrian", w.size, w.look, False, pedestrians.pose(w)) for w in pedestrians.walkers]
        dresses = [dressed(kind, look, size) for _, kind, size, look, _, _ in rows]
        names = [row[0] for row in rows]
        categories = [row[1] for row in rows]
        places = [(p.x, p.y, p.yaw, p.vx, p.vy) for *_, p in rows]
        running = [row[4] for row in rows]
        for number, parked in enumerate(scenery.parked):
            dresses.append(dressed("car", (number + 1) * 7919 + world.index * 104729 + world.seed, None))
            names.append(f"parked-{number + 1:04d}")
            categories.append("car")
            places.append((parked.x, parked.y, parked.yaw, 0.0, 0.0))
            running.append(False)
        self.count = len(names)
        self._poses = np.array(places, float).reshape(-1, 5)
        self._names, self._categories = tuple(names), tuple(categories)
        self._sizes = np.array([dress.size for dress in dresses], float).reshape(-1, 3)
        flat = self._poses[:, :2]
        self._bases = np.column_stack([flat, heights_at(self.ground, flat)])
        things = Things(
            shapes=tuple(dress.shape for dress in dresses),
            surfaces=np.array([SURFACE[category] for category in categories], np.uint8),
            bases=self._bases,
            sizes=self._sizes,
            yaws=self._poses[:, 2],
            paints=tuple(dress.paint for dress in dresses),
            brightness=np.array([dress.brightness for dress in dresses], float),
            running=np.array(running, bool),
        )
        own = build_faces(things)
        self.faces: Faces = own.joined(world.fixtures, self.count)
        self._own, self._fixed_shadows, self._recent = own, world.fixed_shadows, world.recent_shadows
        lit = world.fixed_shadows.lit(flat[:, 0].astype(np.float32), flat[:, 1].astype(np.float32))
        self.lit_owners = np.concatenate([lit, np.ones(len(world.scenery.fixtures))]).astype(np.float32)
        self.middle = float(heights_at(self.ground, np.zeros((1, 2)))[0])
        self._last: tuple[np.ndarray, View] | None = None

    @property
    def shadows(self) -> ShadowMap:
        """On the ground, of everything. They are large: a world keeps those of the last moment that asked."""
        if self._recent.get("moment") is not self:
            self._recent.update(moment=self, shadows=self._fixed_shadows.with_shadows(self._own))
        shadows: ShadowMap = self._recent["shadows"]
        return shadows

    def look(self, geometry: CameraGeometry) -> View:
        """What a camera in local axes shows."""
        return look(self.faces, geometry, ground_inverse_depth(self.ground, geometry), self.count)

    def again(self, face: np.ndarray, geometry: CameraGeometry) -> View:
        """The same from the faces that it showed; the last answer is kept, for an image is followed by its depth."""
        if self._last is None or not np.array_equal(self._last[0], face):
            self._last = face, again(face, self.faces, geometry, ground_inverse_depth(self.ground, geometry))
        return self._last[1]

    def classes(self, view: View, geometry: CameraGeometry) -> np.ndarray:
        """(rows, columns) uint8 index into ``SURFACES``."""
        surface = np.append(self.faces.surface, (SURFACE["sky"], SURFACE["soil"])).astype(np.uint8)
        classes = surface[view.face]
        row, column = np.nonzero(view.face == GROUND)
        if row.size:
            depth = 1 / view.inverse_depth[row, column]
            per_pixel = geometry.world_from_camera[:2, :3] @ np.linalg.inv(geometry.camera.intrinsics)
            u, v = column + 0.5, row + 0.5
            x, y = (
                place + depth * (a * u + b * v + c)
                for place, (a, b, c) in zip(geometry.position[:2], per_pixel, strict=True)
            )
            fine, coarse = self.maps
            material = coarse.material[_cell(coarse, x, y)]
            near = np.maximum(np.abs(x), np.abs(y)) < fine.extent / 2
            material[near] = fine.material[_cell(fine, x[near], y[near])]
            classes[row, column] = surface_of_materials()[material]
        return classes

    def annotations(self, origin: np.ndarray) -> Annotations:
        """All objects, in the scene's own reference system."""
        centres = self._bases + origin
        centres[:, 2] += self._sizes[:, 2] / 2
        boxes = Boxes(centres, self._sizes, np.arctan2(np.sin(self._poses[:, 2]), np.cos(self._poses[:, 2])))
        return Annotations(boxes, self._poses[:, 3:5], self._categories, self._names)


def _cell(ground: GroundMap, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of local positions; the raster repeats."""
    column = np.floor(x / ground.texel + ground.cells / 2).astype(np.int64) & (ground.cells - 1)
    return np.floor(ground.cells / 2 - y / ground.texel).astype(np.int64) & (ground.cells - 1), column

"""A world at one time: where everything is, and what a camera would see of it."""

from typing import Any, Protocol

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground
from skyweave.recordings.recording import Annotations
from skyweave.simulator.appearance import Appearance, sample_appearance
from skyweave.simulator.ground import GroundMap
from skyweave.simulator.light import ShadowMap
from skyweave.simulator.pedestrians import Pedestrians
from skyweave.simulator.scene_objects import Faces, SceneObjects, build_faces
from skyweave.simulator.scenery import Scenery
from skyweave.simulator.surface_classes import SURFACE_INDEX, surface_of_materials
from skyweave.simulator.terrain import ground_inverse_depth, heights_at
from skyweave.simulator.traffic import Traffic
from skyweave.simulator.variety import SceneAppearance
from skyweave.simulator.vehicles import PlanarPose
from skyweave.simulator.visibility import GROUND, RenderedView, render_view, rerender_view


class WorldState(Protocol):
    """What a snapshot takes from a world.

    Attributes:
        index, seed: of the scene.
        ground: terrain in local axes.
        appearance: of its materials and paints.
        maps: the fine and the coarse raster of the ground.
        traffic, pedestrians, scenery: everything that is there.
        fixtures: faces of what does not move.
        fixed_shadows: on the ground, of what does not move.
        recent_shadows: of the snapshot that asked last.
    """

    index: int
    seed: int
    ground: Ground
    appearance: SceneAppearance
    maps: tuple[GroundMap, GroundMap]
    traffic: Traffic
    pedestrians: Pedestrians
    scenery: Scenery
    fixtures: Faces
    fixed_shadows: ShadowMap
    recent_shadows: dict[str, Any]


class WorldSnapshot:
    """A world as it was at one time, ready to be rendered from anywhere.

    Args:
        world: as it is now.

    Attributes:
        count: annotated objects; they are the first owners of the faces.
        faces: of everything.
        lit_owners: (owners,) 1 where the sun reaches an object, 0 where a fixture shades it.
        middle: height of the ground in the middle of the world.
    """

    def __init__(self, world: WorldState) -> None:
        self.ground, self.maps = world.ground, world.maps
        traffic, pedestrians, scenery = world.traffic, world.pedestrians, world.scenery
        rows = _vehicle_rows(traffic)
        rows += _walker_rows(pedestrians)
        free = world.appearance.paints
        appearances = [sample_appearance(kind, number, size, free) for _, kind, size, number, _, _ in rows]
        names = [row[0] for row in rows]
        categories = [row[1] for row in rows]
        places = [(p.x, p.y, p.yaw, p.vx, p.vy) for *_, p in rows]
        running = [row[4] for row in rows]
        for number, parked in enumerate(scenery.parked):
            appearance_seed = (number + 1) * 7919 + world.index * 104729 + world.seed
            appearances.append(sample_appearance("car", appearance_seed, None, free))
            names.append(f"parked-{number + 1:04d}")
            categories.append("car")
            places.append((parked.x, parked.y, parked.yaw, 0.0, 0.0))
            running.append(False)
        self.count = len(names)
        self._poses = np.array(places, float).reshape(-1, 5)
        self._names, self._categories = tuple(names), tuple(categories)
        self._sizes = _sizes_of(appearances)
        flat = self._poses[:, :2]
        self._bases = np.column_stack([flat, heights_at(self.ground, flat)])
        objects = SceneObjects(
            shapes=tuple(appearance.shape for appearance in appearances),
            surfaces=_surfaces_of(categories),
            bases=self._bases,
            sizes=self._sizes,
            yaws=self._poses[:, 2],
            paints=tuple(appearance.paint for appearance in appearances),
            brightness=np.array([appearance.brightness for appearance in appearances], float),
            running=np.array(running, bool),
        )
        object_faces = build_faces(objects)
        self.faces: Faces = object_faces.joined(world.fixtures, self.count)
        self._object_faces, self._fixed_shadows, self._recent = object_faces, world.fixed_shadows, world.recent_shadows
        lit = world.fixed_shadows.lit(flat[:, 0].astype(np.float32), flat[:, 1].astype(np.float32))
        self.lit_owners = np.concatenate([lit, np.ones(len(world.scenery.fixtures))]).astype(np.float32)
        self.middle = float(heights_at(self.ground, np.zeros((1, 2)))[0])
        self._last: tuple[np.ndarray, RenderedView] | None = None

    @property
    def shadows(self) -> ShadowMap:
        """Return the shadows of everything on the ground. They are large: a world keeps those of the snapshot that
        asked last.
        """
        if self._recent.get("snapshot") is not self:
            self._recent.update(snapshot=self, shadows=self._fixed_shadows.with_shadows(self._object_faces))
        shadows: ShadowMap = self._recent["shadows"]
        return shadows

    def render(self, geometry: CameraGeometry) -> RenderedView:
        """Return what a camera shows.

        Args:
            geometry: in local axes.
        """
        return render_view(self.faces, geometry, ground_inverse_depth(self.ground, geometry), self.count)

    def rerender(self, face: np.ndarray, geometry: CameraGeometry) -> RenderedView:
        """Return what a camera shows, from the faces that it showed; the last view is kept, for an image is followed
        by its depth.

        Args:
            face: (rows, columns) int32, as in `RenderedView`.
            geometry: in local axes.
        """
        if self._last is None or not np.array_equal(self._last[0], face):
            self._last = face, rerender_view(face, self.faces, geometry, ground_inverse_depth(self.ground, geometry))
        return self._last[1]

    def classes(self, view: RenderedView, geometry: CameraGeometry) -> np.ndarray:
        """Return the surface class of every pixel.

        Args:
            view: as of `render`.
            geometry: in local axes.

        Returns:
            (rows, columns) uint8 index into ``SURFACES``.
        """
        surface = np.append(self.faces.surface, (SURFACE_INDEX["sky"], SURFACE_INDEX["soil"])).astype(np.uint8)
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
        return np.asarray(classes)

    def annotations(self, origin: np.ndarray) -> Annotations:
        """Return all objects in the scene's own reference system.

        Args:
            origin: (3,) of the local axes in that system, metres.
        """
        centres = self._bases + origin
        centres[:, 2] += self._sizes[:, 2] / 2
        boxes = Boxes(centres, self._sizes, np.arctan2(np.sin(self._poses[:, 2]), np.cos(self._poses[:, 2])))
        return Annotations(boxes, self._poses[:, 3:5], self._categories, self._names)


def _surfaces_of(categories: list[str]) -> np.ndarray:
    """Return the surface class of each object."""
    return np.array([SURFACE_INDEX[category] for category in categories], np.uint8)


def _vehicle_rows(traffic: Traffic) -> list[tuple[str, str, tuple[float, float, float], int, bool, PlanarPose]]:
    """Return name, kind, size, seed, whether it runs, and pose of each vehicle."""
    return [(v.name, v.kind, v.size, v.appearance_seed, v.v > 0.3, traffic.pose(v)) for v in traffic.vehicles]


def _walker_rows(pedestrians: Pedestrians) -> list[tuple[str, str, tuple[float, float, float], int, bool, PlanarPose]]:
    """Return name, kind, size, seed, whether it runs, and pose of each walker."""
    return [(w.name, "pedestrian", w.size, w.appearance_seed, False, pedestrians.pose(w)) for w in pedestrians.walkers]


def _sizes_of(appearances: list[Appearance]) -> np.ndarray:
    """Return the size of each object."""
    return np.array([appearance.size for appearance in appearances], float).reshape(-1, 3)


def _cell(ground: GroundMap, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of local positions; the raster repeats."""
    column = np.floor(x / ground.texel + ground.cells / 2).astype(np.int64) & (ground.cells - 1)
    return np.floor(ground.cells / 2 - y / ground.texel).astype(np.int64) & (ground.cells - 1), column

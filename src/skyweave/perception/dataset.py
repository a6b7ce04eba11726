"""Recordings as samples of perception: a frame with its past, the objects with their future, on the ego's map."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.augmentation import AugmentationConfig, WorldTransform, zoom_view
from skyweave.perception.batch import PerceptionSample
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.photometric import CameraEffects
from skyweave.perception.targets import ObjectTargets
from skyweave.perception.timeline import SceneTimeline
from skyweave.perception.views import RasterView, View, view_raster
from skyweave.recordings.recording import BaseMap, Capture, Frame, RecordedScene

MAX_CENTRE_DISTANCE = 2.0  # map sizes from the platform to the centre of its map


class PerceptionDataset(Dataset[PerceptionSample]):
    """All frames of some scenes, each seen by one of its platforms as the ego.

    Args:
        scenes: of one or several recordings.
        config: of the model.
        augmentation: for training; None for evaluation, where the ego is the platform ``frame mod platforms``, so
            that all take turns.
        platforms: maximum number of platforms of a sample, the ego included.
        seed: of the augmentation; with ``epoch`` and the index it decides everything random.
        true_geometry: read poses without their noise, where they are known.
        depth: read the depth of the present images, where it is known, to supervise the lift.
        base_maps: names of the base maps that are read, where the model reads any; None: all that a scene has.

    Raises:
        DataError: no scene has an annotated frame with an image.
    """

    def __init__(
        self,
        scenes: Sequence[RecordedScene],
        config: PerceptionConfig,
        augmentation: AugmentationConfig | None = None,
        platforms: int = 4,
        seed: int = 0,
        true_geometry: bool = False,
        depth: bool = False,
        base_maps: Sequence[str] | None = None,
    ) -> None:
        self.scenes, self.config, self.augmentation = scenes, config, augmentation
        self.platforms, self.seed, self.epoch = platforms, seed, 0
        self.true_geometry, self.depth, self.base_maps = true_geometry, depth, base_maps
        self.index = _usable_frames(scenes)
        self.timelines = [SceneTimeline(scene, config) for scene in scenes]
        if not self.index:
            raise DataError("no annotated frame with an image in these scenes; check the recording with `inspect`")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> PerceptionSample:
        number, epoch = number % len(self.index), self.epoch + number // len(self.index)
        scene_index, frame_index = self.index[number]
        scene, timeline = self.scenes[scene_index], self.timelines[scene_index]
        frame = scene.frames[frame_index]
        generator = np.random.default_rng([self.seed, epoch, number])
        platforms = self._platforms(frame, frame_index, generator)
        grid, world = self._place_map(scene, frame, platforms[0], generator)
        base_maps = self._base_maps(scene, frame.time, grid, world, generator)
        blind = bool(base_maps) and self._sees_base_maps_only(generator)
        cameras = self._camera_effects(platforms, generator)
        frames: list[list[View]] = []
        for past in timeline.past_frames(frame.time):
            depth = self.depth and past == frame_index
            if past is None or blind:
                frames.append([])
            else:
                frames.append(self._views(scene.frames[past], platforms, world, cameras, generator, depth))
        objects = world.objects(timeline.objects_at(frame_index, grid, platforms, world.raster))
        if blind:
            objects = replace(objects, seen_by=np.zeros_like(objects.seen_by), observed=np.zeros_like(objects.observed))
        return PerceptionSample(
            frames, grid, scene.ground, objects, scene.name, frame_index, platforms[0], platforms, frame.time, base_maps
        )

    def objects(self, number: int) -> ObjectTargets:
        """Return the objects of a sample as they are without augmentation; no image is read.

        Args:
            number: of the sample.
        """
        scene_index, frame_index = self.index[number]
        scene, nothing_random = self.scenes[scene_index], np.random.default_rng(0)
        frame = scene.frames[frame_index]
        platforms = self._platforms(frame, frame_index, nothing_random)
        grid, _ = self._place_map(scene, frame, platforms[0], nothing_random)
        return self.timelines[scene_index].objects_at(frame_index, grid, platforms)

    def _platforms(self, frame: Frame, frame_index: int, generator: np.random.Generator) -> tuple[str, ...]:
        """Names of the sample's platforms, the ego first."""
        names = sorted({capture.platform for capture in frame.captures.values()})
        ego = names[int(generator.integers(len(names)))] if self.augmentation else names[frame_index % len(names)]
        return (ego, *(name for name in names if name != ego))[: self.platforms]

    def _place_map(
        self, scene: RecordedScene, frame: Frame, ego: str, generator: np.random.Generator
    ) -> tuple[MapGrid, WorldTransform]:
        """The map about which the ego cameras, and how the world is transformed under it."""
        size, resolution = self.config.map.size, self.config.map.resolution
        capture = next(capture for capture in frame.captures.values() if capture.platform == ego)
        centre, world = map_centre(self._geometry(capture), scene.ground, size), WorldTransform.identity()
        if self.augmentation:
            centre = centre + generator.uniform(-1, 1, 2) * self.augmentation.shift
            world = WorldTransform.random(self.augmentation, centre, scene.ground, generator)
        middle = world.points(np.append(centre, 0.0)[None])[0]
        return MapGrid.around(middle[0], middle[1], size, resolution, None if world.moved else scene.crs), world

    def _geometry(self, capture: Capture) -> CameraGeometry:
        return (capture.true_geometry if self.true_geometry else None) or capture.geometry

    def _views(
        self,
        frame: Frame,
        platforms: Sequence[str],
        world: WorldTransform,
        cameras: Mapping[str, CameraEffects],
        generator: np.random.Generator,
        depth: bool,
    ) -> list[View]:
        """The images of one frame."""
        views = []
        for capture in frame.captures.values():
            if capture.platform in platforms:
                view = self._view(capture, platforms.index(capture.platform), world, generator, depth)
                observation = cameras[capture.platform].apply(view.observation, generator)
                views.append(replace(view, observation=observation))
        return views

    def _base_maps(
        self, scene: RecordedScene, time: int, grid: MapGrid, world: WorldTransform, generator: np.random.Generator
    ) -> list[RasterView]:
        """What the base maps of a scene show of the map, as old as they are at a time."""
        if self.config.rasters is None:
            return []
        chosen = [base for base in scene.base_maps if self.base_maps is None or base.name in self.base_maps]
        effects = self._camera_effects([base.name for base in chosen], generator)
        views = [_view_base_map(base, scene, time, grid, world, self.config.rasters.context) for base in chosen]
        return [
            replace(view, observation=effects[base.name].apply(view.observation, generator))
            for base, view in zip(chosen, views, strict=True)
            if view is not None
        ]

    def _sees_base_maps_only(self, generator: np.random.Generator) -> bool:
        """Return whether a sample that has base maps goes without cameras."""
        share = 0.0 if self.augmentation is None else self.augmentation.base_maps_only
        return share > 0 and generator.random() < share

    def _camera_effects(self, platforms: Sequence[str], generator: np.random.Generator) -> dict[str, CameraEffects]:
        """Of each platform what light and its camera do to its images of a sample."""
        if not self.augmentation:
            return dict.fromkeys(platforms, CameraEffects())
        return {platform: CameraEffects.draw(self.augmentation.photometric, generator) for platform in platforms}

    def _view(
        self, capture: Capture, platform: int, world: WorldTransform, generator: np.random.Generator, depth: bool
    ) -> View:
        """One image, its geometry augmented."""
        view = View(world.image(capture.load()), world.camera(self._geometry(capture)), 0, platform)
        if depth and capture.load_depth is not None:
            view = replace(view, depth=world.depth(capture.load_depth()))
        if self.augmentation and self.augmentation.zoom != 1:
            view = zoom_view(view, self.augmentation.zoom, generator)
        return view


def _view_base_map(
    base: BaseMap, scene: RecordedScene, time: int, grid: MapGrid, world: WorldTransform, context: int
) -> RasterView | None:
    """The part of a base map that a map needs; None where the two do not meet."""
    observation = base.load()
    geometry = observation.geotransform
    if geometry is None or (world.moved and geometry.crs != scene.crs):
        raise DataError(
            f"{observation.source}: base map {base.name!r} of scene {scene.name} has no geotransform in the scene's "
            f"reference system, {scene.crs}; reproject it first"
        )
    age = None if base.time is None else (time - base.time) / 1e9
    return view_raster(replace(observation, geometry=world.raster(geometry)), grid, context, age, base.position_std)


def _usable_frames(scenes: Sequence[RecordedScene]) -> list[tuple[int, int]]:
    """Return scene and frame of every sample."""
    return [(s, f) for s, scene in enumerate(scenes) for f in range(len(scene.frames)) if _usable(scene, f)]


def map_centre(geometry: CameraGeometry, ground: Ground, size: float) -> np.ndarray:
    """Return (2,) the world position about which a platform maps: where it cameras, but not too far away.

    Args:
        geometry: of its camera.
        ground: what it cameras at.
        size: side of the map in metres; the centre is at most `MAX_CENTRE_DISTANCE` of these away.
    """
    middle = np.array([[geometry.camera.columns / 2, geometry.camera.rows / 2]])
    ray = geometry.world_rays(middle)
    depth = float(np.asarray(ground.depth(geometry.position, ray))[0])
    offset = ray[0, :2] * np.nan_to_num(depth)
    if not np.isfinite(depth) or float(np.hypot(*offset)) > MAX_CENTRE_DISTANCE * size:
        offset = ray[0, :2] / max(float(np.hypot(*ray[0, :2])), 1e-9) * MAX_CENTRE_DISTANCE * size
    return np.asarray(geometry.position[:2] + offset)


def _usable(scene: RecordedScene, index: int) -> bool:
    frame = scene.frames[index]
    return bool(frame.captures) and frame.annotations is not None

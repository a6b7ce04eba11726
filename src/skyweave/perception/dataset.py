"""Recordings to what the model is fed: a moment with its past, the objects with their future, on the ego's map."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.utils.data import Dataset

from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import make_transform, rotation_about_z, transform_points
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.observation import Observation
from skyweave.data.resampling import resample
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.metrics import visible_objects
from skyweave.perception.targets import ObjectTargets
from skyweave.perception.views import View, Views
from skyweave.recordings.recording import Frame, RecordedScene

MAX_TIME_OFFSET = 0.25  # of the interval between frames, by which a frame's time may be off
MAX_CENTRE_DISTANCE = 2.0  # map sizes from the platform to the centre of its map at most


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes that keep the geometry right.

    Attributes:
        rotate: turn the world about the map's centre by any angle: cameras and objects move together.
        mirror: mirror the world and the pictures.
        shift: move the map by up to so many metres each way.
        zoom: enlarge a random window of each picture by up to this factor; its camera follows.
        gain: spread of the logarithm of a factor on the pixels of a picture.
    """

    rotate: bool = True
    mirror: bool = True
    shift: float = 8.0
    zoom: float = 1.25
    gain: float = 0.1


@dataclass(frozen=True)
class PerceptionSample:
    """One sample before it is batched.

    Attributes:
        frames: for each of the model's frames, the oldest first, its views; empty where the frame is missing.
        grid: the map.
        ground: under it.
        objects: with their future.
        scene: name; frame_index: index in the scene; ego: platform whose map it is.
        platforms: names, the ego first.
        time: UTC nanoseconds of the present frame.
    """

    frames: list[list[View]]
    grid: MapGrid
    ground: Ground
    objects: ObjectTargets
    scene: str
    frame_index: int
    ego: str
    platforms: tuple[str, ...]
    time: int = 0


class PerceptionDataset(Dataset[PerceptionSample]):
    """All moments of some scenes, each seen by one of its platforms as the ego.

    Args:
        scenes: of one or several recordings.
        config: of the model.
        augmentation: for training; None for evaluation, where the ego is the platform ``frame mod platforms``, so
            that all take turns.
        platforms: how many a sample has at most, the ego included.
        seed: of the augmentation; with ``epoch`` and the index it decides everything random.
        true_geometry: read poses without their noise, where they are known.
        depth: read the depth of the present pictures, where it is known, to supervise the lift.
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
    ) -> None:
        self.scenes, self.config, self.augmentation = scenes, config, augmentation
        self.platforms, self.seed, self.epoch = platforms, seed, 0
        self.true_geometry, self.depth = true_geometry, depth
        self.times = [np.array([frame.time for frame in scene.frames], np.int64) for scene in scenes]
        self.index = [(s, f) for s, scene in enumerate(scenes) for f in range(len(scene.frames)) if _usable(scene, f)]
        self.numbers: dict[int, dict[str, int]] = {}
        if not self.index:
            raise DataError("no annotated frame with a picture in these scenes; check the recording with `inspect`")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> PerceptionSample:
        number, epoch = number % len(self.index), self.epoch + number // len(self.index)
        s, f = self.index[number]
        scene, frame = self.scenes[s], self.scenes[s].frames[f]
        generator = np.random.default_rng([self.seed, epoch, number])
        names = sorted({capture.platform for capture in frame.captures.values()})
        ego = names[int(generator.integers(len(names)))] if self.augmentation else names[f % len(names)]
        names = [ego, *(name for name in names if name != ego)][: self.platforms]
        world, ground = _Placement.identity(), scene.ground
        centre = map_centre(self._geometry(frame, ego), ground, self.config.map.size)
        if self.augmentation:
            centre = centre + generator.uniform(-1, 1, 2) * self.augmentation.shift
            world = _Placement.random(self.augmentation, centre, ground, generator)
        size, resolution = self.config.map.size, self.config.map.resolution
        middle = world.points(np.append(centre, 0.0)[None])[0]
        grid = MapGrid.around(middle[0], middle[1], size, resolution, None if world.moved else scene.crs)
        frames = [
            self._views(scene.frames[i], names, world, generator, self.depth and i == f) if i is not None else []
            for i in self._past(s, frame.time)
        ]
        objects = world.objects(self._objects(s, f, grid, names))
        return PerceptionSample(frames, grid, ground, objects, scene.name, f, ego, tuple(names), frame.time)

    def _geometry(self, frame: Frame, platform: str) -> CameraGeometry:
        capture = next(c for c in frame.captures.values() if c.platform == platform)
        return (capture.true_geometry if self.true_geometry else None) or capture.geometry

    def _past(self, s: int, time: int) -> list[int | None]:
        interval = self.config.interval
        times = self.times[s]
        return [_at(times, time - round(1e9 * interval * back), interval) for back in range(self.config.history)][::-1]

    def _views(
        self, frame: Frame, names: Sequence[str], world: "_Placement", generator: np.random.Generator, depth: bool
    ) -> list[View]:
        views = []
        for capture in frame.captures.values():
            if capture.platform not in names:
                continue
            geometry = (capture.true_geometry if self.true_geometry else None) or capture.geometry
            observation = world.picture(capture.load())
            if self.augmentation and self.augmentation.gain:
                factor = np.float32(np.exp(generator.normal(0, self.augmentation.gain)))
                observation = replace(observation, pixels=observation.pixels * factor)
            view = View(observation, world.camera(geometry), 0, names.index(capture.platform))
            if depth and capture.load_depth is not None:
                known = capture.load_depth()
                view = replace(view, depth=np.ascontiguousarray(known[:, ::-1]) if world.mirrored else known)
            if self.augmentation and self.augmentation.zoom != 1:
                view = _zoomed(view, self.augmentation.zoom, generator)
            views.append(view)
        return views

    def _objects(self, s: int, f: int, grid: MapGrid, platforms: Sequence[str]) -> ObjectTargets:
        scene, frame = self.scenes[s], self.scenes[s].frames[f]
        present = frame.annotations
        assert present is not None  # _usable
        wanted = [i for i, category in enumerate(present.categories) if category in self.config.categories]
        identities = self._numbered(s)
        future, yaws = self._future(s, frame.time, [present.instances[i] for i in wanted])
        row = {name: i for i, name in enumerate(present.instances)}
        observed = np.zeros((len(row), 1 + len(platforms)), bool)  # by anybody, then by each platform
        for past in self._past(s, frame.time):
            if past is None or (annotations := scene.frames[past].annotations) is None:
                continue
            masks = [visible_objects(annotations)] + [
                visible_objects(annotations, scene.frames[past].channels(name)) for name in platforms
            ]
            for name, there in zip(annotations.instances, np.stack(masks, 1), strict=True):
                if name in row:
                    observed[row[name]] |= there
        return ObjectTargets(
            grid=grid,
            ground=scene.ground,
            boxes=present.boxes.select(np.array(wanted, int)),
            velocities=present.velocities[wanted],
            labels=np.array([self.config.categories.index(present.categories[i]) for i in wanted], int),
            identities=np.array([identities[present.instances[i]] for i in wanted], int),
            future=future,
            future_yaws=yaws,
            observed=observed[wanted, 0],
            seen_by=observed[wanted, 1:],
        )

    def _numbered(self, s: int) -> dict[str, int]:
        """The objects of a scene, numbered from 1."""
        if s not in self.numbers:
            known = [frame.annotations.instances for frame in self.scenes[s].frames if frame.annotations is not None]
            names = dict.fromkeys(name for instances in known for name in instances)
            self.numbers[s] = {name: number for number, name in enumerate(names, start=1)}
        return self.numbers[s]

    def _future(self, s: int, time: int, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        horizon, interval = self.config.horizon, self.config.interval
        places, yaws = np.full((len(names), horizon, 2), np.nan), np.full((len(names), horizon), np.nan)
        for step in range(horizon):
            found = _at(self.times[s], time + round(1e9 * interval * (step + 1)), interval)
            annotations = None if found is None else self.scenes[s].frames[found].annotations
            if annotations is None:
                continue
            row = {name: i for i, name in enumerate(annotations.instances)}
            for number, name in enumerate(names):
                if name in row:
                    places[number, step] = annotations.boxes.centres[row[name], :2]
                    yaws[number, step] = annotations.boxes.yaws[row[name]]
        return places, yaws


@dataclass(frozen=True)
class PerceptionBatch:
    """Samples as one batch.

    Attributes:
        frames: one `Views` a moment, the oldest first.
        present: for each sample and frame whether it is there.
        samples: what they were made from.
    """

    frames: list[Views]
    present: np.ndarray
    samples: list[PerceptionSample]

    @property
    def objects(self) -> list[ObjectTargets]:
        """Of each sample."""
        return [sample.objects for sample in self.samples]


def collate(samples: Sequence[PerceptionSample]) -> PerceptionBatch:
    """A batch of samples."""
    platforms = max(len(sample.platforms) for sample in samples)
    frames = []
    for frame_number in range(len(samples[0].frames)):
        views = [replace(view, sample=n) for n, sample in enumerate(samples) for view in sample.frames[frame_number]]
        frames.append(Views.from_views(views, [s.grid for s in samples], platforms, [s.ground for s in samples]))
    present = np.array([[bool(views) for views in sample.frames] for sample in samples])
    return PerceptionBatch(frames, present, list(samples))


def map_centre(geometry: CameraGeometry, ground: Ground, size: float) -> np.ndarray:
    """(2,) world position about which a platform maps: where it looks, at most ``MAX_CENTRE_DISTANCE`` map sizes away."""
    middle = np.array([[geometry.camera.columns / 2, geometry.camera.rows / 2]])
    ray = geometry.world_rays(middle)
    depth = float(np.asarray(ground.depth(geometry.position, ray))[0])
    offset = ray[0, :2] * np.nan_to_num(depth)
    if not np.isfinite(depth) or float(np.hypot(*offset)) > MAX_CENTRE_DISTANCE * size:
        offset = ray[0, :2] / max(float(np.hypot(*ray[0, :2])), 1e-9) * MAX_CENTRE_DISTANCE * size
    return np.asarray(geometry.position[:2] + offset)


@dataclass(frozen=True)
class _Placement:
    """A rigid motion about the vertical, perhaps after mirroring y, of everything in a sample."""

    matrix: np.ndarray
    mirrored: bool
    moved: bool

    @classmethod
    def identity(cls) -> "_Placement":
        return cls(np.eye(4), False, False)

    @classmethod
    def random(
        cls, augmentation: AugmentationConfig, centre: np.ndarray, ground: Ground, generator: np.random.Generator
    ) -> "_Placement":
        """About the map's centre, which comes to lie at the origin. Terrain cannot be turned with the rest: kept."""
        if not isinstance(ground, GroundPlane):
            return cls.identity()
        angle = generator.uniform(0, 2 * np.pi) if augmentation.rotate else 0.0
        mirrored = bool(augmentation.mirror and generator.random() < 0.5)
        centre = centre * (1, -1) if mirrored else centre
        turn = rotation_about_z(angle)
        return cls(make_transform(turn, turn @ -np.append(centre, 0.0)), mirrored, True)

    def points(self, points: np.ndarray) -> np.ndarray:
        return transform_points(self.matrix, points * (1, -1, 1) if self.mirrored else points)

    def camera(self, geometry: CameraGeometry) -> CameraGeometry:
        if not self.moved:
            return geometry
        geometry = geometry.flipped() if self.mirrored else geometry
        return replace(geometry, world_from_camera=self.matrix @ geometry.world_from_camera, crs=None)

    def picture(self, observation: Observation) -> Observation:
        observation = replace(observation, geometry=None)
        if not self.mirrored:
            return observation
        pixels, valid = observation.pixels[..., ::-1], observation.valid[..., ::-1]
        return replace(observation, pixels=np.ascontiguousarray(pixels), valid=np.ascontiguousarray(valid))

    def objects(self, objects: ObjectTargets) -> ObjectTargets:
        if not self.moved:
            return objects
        sign = np.array([1, -1]) if self.mirrored else np.array([1, 1])
        turn = self.matrix[:2, :2]
        angle = float(np.arctan2(turn[1, 0], turn[0, 0]))
        boxes = objects.boxes
        flat = np.concatenate([objects.future, np.zeros_like(objects.future[..., :1])], -1)
        return replace(
            objects,
            boxes=Boxes(self.points(boxes.centres), boxes.sizes, sign[1] * boxes.yaws + angle),
            velocities=(objects.velocities * sign) @ turn.T,
            future=self.points(flat)[..., :2],
            future_yaws=sign[1] * objects.future_yaws + angle,
        )


def _zoomed(view: View, most: float, generator: np.random.Generator) -> View:
    """A random window of the picture, at most ``most`` times as large, in the picture's size."""
    observation, depth = view.observation, view.depth
    rows, columns = observation.shape
    zoom = most ** generator.random()
    height, width = round(rows / zoom), round(columns / zoom)
    row, column = int(generator.integers(rows - height + 1)), int(generator.integers(columns - width + 1))
    pixels, valid = resample(observation.pixels, observation.valid, (rows, columns), (row, column, height, width))
    if depth is not None:  # taken, not mixed: between a roof and the ground there is nothing
        down = row + ((np.arange(rows) + 0.5) * height / rows).astype(int)
        across = column + ((np.arange(columns) + 0.5) * width / columns).astype(int)
        depth = depth[down[:, None], across]
    camera = view.geometry.camera.cropped(row, column, height, width).resized(rows, columns)
    observation, geometry = replace(observation, pixels=pixels, valid=valid), replace(view.geometry, camera=camera)
    return replace(view, observation=observation, geometry=geometry, depth=depth)


def _usable(scene: RecordedScene, index: int) -> bool:
    frame = scene.frames[index]
    return bool(frame.captures) and frame.annotations is not None


def _at(times: np.ndarray, time: int, interval: float) -> int | None:
    """The frame at a time, if one is near enough."""
    nearest = int(np.abs(times - time).argmin())
    return nearest if abs(int(times[nearest]) - time) <= MAX_TIME_OFFSET * 1e9 * interval else None

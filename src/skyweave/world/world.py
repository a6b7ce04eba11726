"""A world that lives: step it, and ask any platform what it sees."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skyweave.geometry.boxes import Boxes
from skyweave.geometry.camera import CameraGeometry
from skyweave.geometry.grid import MapGrid
from skyweave.geometry.ground import GroundPlane
from skyweave.observation import Observation
from skyweave.recording import Annotations, Capture, Frame, RecordedScene
from skyweave.sensors import get_sensor
from skyweave.world.config import WorldConfig
from skyweave.world.ground import MARGIN, SHADOW_CELL, PaintedGround, make_terrain, paint, shadow_mask
from skyweave.world.materials import INDEX, WARM_ENGINE
from skyweave.world.platforms import Platform, make_platforms, reported
from skyweave.world.renderer import BUILDING, OBJECT, SURFACES, TREE, Faces, Light, Picture, Renderer, to_faces
from skyweave.world.roads import STREET, Roads, build_roads
from skyweave.world.things import CATEGORIES, Thing, building_parts, to_solids, tree_parts
from skyweave.world.traffic import Agent, Traffic

EPOCH = 1_700_000_000_000_000_000  # UTC nanoseconds of the first frame of every scene


@dataclass(frozen=True)
class Moment:
    """What stands where at one time.

    Attributes:
        agents: the objects, in the order of their annotations. faces: of everything.
        shadow: on the painted ground, and its cell's size. warm: (objects,) kelvin.
    """

    agents: list[Agent]
    faces: Faces
    shadow: tuple[np.ndarray, float]
    warm: np.ndarray


class World:
    """One scene of a configured world.

    Args:
        config: what it is made of.
        scene: number; with the seed it decides everything random.
        texture: (rows, columns, 3) reflectance of an orthophoto that covers the painted ground, and its grid.
    """

    def __init__(self, config: WorldConfig, scene: int = 0, texture: np.ndarray | None = None) -> None:
        self.config, self.scene = config, scene
        self.random = np.random.default_rng([config.seed, scene])
        self.roads: Roads = build_roads(config.layout)
        self.ground = make_terrain(config.layout, self.random)
        painted = paint(self.roads, config.layout, self.random)
        self.painted: PaintedGround = replace(painted, colour=texture)
        self.traffic = Traffic(self.roads, config.traffic, self.random)
        self.still = self._build()
        self.light = self._light()
        self.renderer = Renderer(self.painted, self.ground, self.light)
        self.platforms = make_platforms(config.platforms, config.noise, self.random)
        self.noise = np.random.default_rng([config.seed, scene, 1])
        self.time = 0.0
        self._still_faces = to_faces(to_solids(self.still, INDEX))
        half = config.layout.size + 2 * MARGIN
        self._shadow_grid = MapGrid.around(0, 0, half, SHADOW_CELL)
        self._still_shadow = shadow_mask(self._still_faces.corners, self.light.sun, 0.0, self._shadow_grid)
        self.traffic.advance(config.settle)
        drivers = [driver.identity for driver in self.traffic.drivers]
        for platform in self.platforms:
            if platform.config.motion == "follow" and drivers:
                platform.target = int(self.random.choice(drivers))

    def step(self, seconds: float | None = None) -> None:
        """Let time pass; by default one frame."""
        seconds = 1 / self.config.rate if seconds is None else seconds
        self.traffic.advance(seconds)
        self.time += seconds

    def moment(self) -> Moment:
        """Everything as it stands now."""
        agents = self.traffic.agents
        things = [
            Thing(self._grounded(agent.position), agent.size, agent.yaw, agent.parts, OBJECT, i)
            for i, agent in enumerate(agents)
        ]
        moving = to_faces(to_solids(things, INDEX))
        faces = Faces(
            *(
                np.concatenate([getattr(part, name) for part in (self._still_faces, moving)])
                for name in ("corners", "normals", "material", "owner", "surface")
            )
        )
        shadow = self._still_shadow | shadow_mask(moving.corners, self.light.sun, 0.0, self._shadow_grid)
        warm = np.array(
            [WARM_ENGINE if a.speed > 0 and a.category != "pedestrian" else 0.0 for a in agents], np.float32
        )
        return Moment(agents, faces, (shadow, SHADOW_CELL), warm)

    def look(self, platform: Platform, moment: Moment) -> tuple[CameraGeometry, Picture]:
        """What one platform sees, and where it really is."""
        place = np.zeros(2)
        for agent in moment.agents:
            if agent.identity == platform.target:
                place = agent.position
        pose = platform.pose(self.time, place, self.ground)
        geometry = CameraGeometry(platform.camera, pose, None, platform.name)
        sensor = get_sensor(platform.config.sensor)
        picture = self.renderer.render(
            geometry, sensor, moment.faces, len(moment.agents), moment.shadow, moment.warm, self.noise
        )
        return geometry, picture

    def frame(self, platforms: list[Platform] | None = None) -> Frame:
        """One frame of a recording: every platform's capture and the truth."""
        moment, config = self.moment(), self.config
        time = EPOCH + round(1e9 * self.time)
        captures, visibility = {}, {}
        for platform in platforms or self.platforms:
            geometry, picture = self.look(platform, moment)
            dropped = config.noise.drop and self.noise.random() < config.noise.drop
            believed = reported(geometry, config.noise, self.noise)
            visibility[platform.name] = picture.visibility
            if not dropped:
                captures[platform.name] = _capture(platform, time, geometry, believed, picture)
        agents = moment.agents
        boxes = Boxes(
            np.array([self._grounded(a.position) + [0, 0, a.size[2] / 2] for a in agents]).reshape(-1, 3),
            np.array([a.size for a in agents]).reshape(-1, 3),
            np.array([a.yaw for a in agents]),
        )
        annotations = Annotations(
            boxes,
            np.array([a.velocity if a.velocity is not None else (0, 0) for a in agents]),
            tuple(a.category for a in agents),
            tuple(f"{a.category}-{a.identity}" for a in agents),
            visibility,
        )
        return Frame(time, captures, annotations)

    def _grounded(self, position: np.ndarray) -> np.ndarray:
        if isinstance(self.ground, GroundPlane):
            return np.append(position, self.ground.z)
        return np.append(position, np.nan_to_num(self.ground.height(position[None])[0]))

    def _light(self) -> Light:
        config = self.config.light
        elevation, azimuth = (
            np.deg2rad(self.random.uniform(*config.sun_elevation)),
            np.deg2rad(self.random.uniform(*config.sun_azimuth)),
        )
        flat = np.cos(elevation)
        sun = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
        haze = -np.log(1 - self.random.uniform(*config.haze)) / 100
        return Light(
            sun, config.ambient, float(haze), float(self.random.uniform(*config.air_temperature)), config.noise
        )

    def _build(self) -> list[Thing]:
        """Buildings along the streets, trees off them."""
        layout, things = self.config.layout, []
        half = layout.size / 2 + MARGIN / 2
        taken: list[tuple[np.ndarray, float]] = []
        for x in np.arange(-half, half, 24.0):
            for y in np.arange(-half, half, 24.0):
                if self.random.random() > layout.buildings:
                    continue
                size = np.array([*self.random.uniform(9, 18, 2), self.random.uniform(*layout.building_height)])
                position = np.array([x, y]) + self.random.uniform(-3, 3, 2)
                if self._to_street(position) < STREET + 1.5 + size[:2].max() / 2:
                    continue
                things.append(Thing(self._grounded(position), size, 0.0, building_parts(self.random), BUILDING))
                taken.append((position, float(np.hypot(*size[:2]) / 2)))
        for _ in range(int(layout.trees * (2 * half) ** 2 / 1e4)):
            position = self.random.uniform(-half, half, 2)
            height = self.random.uniform(4, 11)
            width = height * self.random.uniform(0.4, 0.7)
            clear = all(np.linalg.norm(position - p) > r + width / 2 for p, r in taken)
            if clear and self._to_street(position) > STREET - 1.0:
                size = np.array([width, width, height])
                things.append(Thing(self._grounded(position), size, self.random.uniform(0, 6), tree_parts(), TREE))
        return things

    def _to_street(self, position: np.ndarray) -> float:
        distances = [
            abs(position[1] - start[1]) if start[1] == stop[1] else abs(position[0] - start[0])
            for start, stop in self.roads.streets
        ]
        return float(min(distances))


def simulate_scene(config: WorldConfig, scene: int, texture: np.ndarray | None = None) -> RecordedScene:
    """A scene whose frames are rendered when they are asked for, in order."""
    world = World(config, scene, texture)
    return RecordedScene(
        name=scene_name(config, scene),
        frames=_Frames(world),
        crs=None,
        description=f"simulated; seed {config.seed}, scene {scene}",
        location=config.name,
        ground=world.ground,
    )


def scene_name(config: WorldConfig, scene: int) -> str:
    """Name of a scene by its number."""
    return f"{config.name}-{scene:04d}"


class _Frames:
    """The frames of a world, rendered one after another; the last one is kept."""

    def __init__(self, world: World) -> None:
        self.world, self.done = world, -1
        self.last: Frame | None = None

    def __len__(self) -> int:
        return self.world.config.frames

    def __getitem__(self, number: int) -> Frame:
        if number == self.done and self.last is not None:
            return self.last
        if not self.done < number < len(self):
            if number >= len(self):
                raise IndexError(number)
            raise ValueError(
                f"frame {number} of a simulation is over; simulate the scene again, or write it to a folder"
            )
        while self.done < number:
            if self.done >= 0:
                self.world.step()
            self.last = self.world.frame()
            self.done += 1
        assert self.last is not None
        return self.last

    def __iter__(self) -> Iterator[Frame]:
        return (self[number] for number in range(len(self)))


def _capture(
    platform: Platform, time: int, geometry: CameraGeometry, believed: CameraGeometry, picture: Picture
) -> Capture:
    sensor = get_sensor(platform.config.sensor)
    distance = (
        float(np.nanmedian(np.where(np.isfinite(picture.depth), picture.depth, np.nan)))
        if np.isfinite(picture.depth).any()
        else platform.altitude
    )
    observation = Observation.from_pixels(
        picture.pixels,
        sensor,
        distance / float(geometry.camera.intrinsics[0, 0]),
        geometry=believed,
        time=time,
        source=f"simulated {platform.name}",
    )
    return Capture(
        channel=platform.name,
        platform=platform.name,
        time=time + round(1e9 * platform.clock),
        geometry=believed,
        load=partial(_same, observation),
        true_geometry=geometry,
        true_time=time,
        load_depth=partial(_same, picture.depth),
        load_instances=partial(_same, picture.instances),
        load_classes=partial(_same, picture.surfaces),
    )


def _same(value):  # type: ignore[no-untyped-def]
    return value


__all__ = ["CATEGORIES", "SURFACES", "World", "scene_name", "simulate_scene"]

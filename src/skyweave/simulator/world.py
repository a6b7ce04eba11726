"""A living world: roads, traffic and people, platforms that fly over them, and the frames that they record."""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import ElevationModel, Ground
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.recordings.recording import Capture, Frame, RecordedScene
from skyweave.simulator.config import WorldConfig
from skyweave.simulator.ground import Orthophoto, paint_ground
from skyweave.simulator.imagery import map_land_cover, take_imagery
from skyweave.simulator.light import Illumination, ShadowMap
from skyweave.simulator.marks import draw_marks
from skyweave.simulator.materials import check_renderable
from skyweave.simulator.pedestrians import Pedestrians
from skyweave.simulator.platforms import Mount, Platform, make_platforms
from skyweave.simulator.road_builder import build_roads
from skyweave.simulator.roads import MARGIN_M
from skyweave.simulator.scene_objects import SceneObjects, build_faces
from skyweave.simulator.scenery import Fixture, build_scenery
from skyweave.simulator.shading import apply_sensor_noise, shade
from skyweave.simulator.snapshot import WorldSnapshot
from skyweave.simulator.surface_classes import SURFACE_INDEX
from skyweave.simulator.terrain import build_terrain, heights_at
from skyweave.simulator.texture import SensorResponse, TexturePyramid
from skyweave.simulator.traffic import Traffic
from skyweave.simulator.variety import SceneAppearance
from skyweave.simulator.vehicles import Vehicle
from skyweave.simulator.visibility import RenderedView


def simulate_scene(
    config: WorldConfig,
    index: int,
    seed: int | None = None,
    photograph: Orthophoto | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RecordedScene:
    """One scene of a recording; its pictures are rendered when they are loaded.

    Args:
        config: of the world.
        index: of the scene: with the seed it decides everything random.
        seed: instead of the configured one.
        photograph: land beside the roads, instead of painted land.
        progress: called with frames done and all frames.
    """
    world = World(config, config.seed if seed is None else seed, index, photograph)
    frames = []
    for number in range(config.frames):
        if number:
            world.step()
        frames.append(world.frame())
        if progress:
            progress(number + 1, config.frames)
    return world.scene(frames)


class World:
    """A world that can be stepped and looked at.

    Args:
        config: of it.
        seed: decides everything random, together with the index.
        index: of the scene.
        photograph: land beside the roads, instead of painted land.

    Raises:
        ValueError: a sensor that cannot be simulated, or two cameras with one name.
    """

    def __init__(
        self, config: WorldConfig, seed: int = 0, index: int = 0, photograph: Orthophoto | None = None
    ) -> None:
        self.config, self.seed, self.index = config, seed, index
        self.name = f"{config.name}-{index:04d}"
        self.sensors = _sensors(config)
        draw = _generators(seed, index)
        step = config.terrain.resolution
        # on a whole cell of the elevation model, so that it need not be resampled
        self.origin = np.array([round(config.place.east / step) * step, round(config.place.north / step) * step, 0.0])
        self.network = build_roads(config.roads, draw("roads"))
        size = config.roads.size + 2 * MARGIN_M
        self.ground = build_terrain(config.terrain, config.place.height, size, draw("terrain"))
        self.light = Illumination.draw(config.light, draw("light"))
        self.appearance = SceneAppearance.draw(config.variety, draw("variety"))
        self.scenery = build_scenery(self.network, config.scenery, config.traffic.parked, draw("scenery"))
        paints, texel = self.scenery.paints, config.scenery.texture
        marks = draw_marks(self.network, self.appearance.marks, draw("marks"))
        rough = self.appearance.roughness
        self.maps = paint_ground(self.network, paints, texel, draw("ground"), photograph, rough, marks)
        middle = float(heights_at(self.ground, np.zeros((1, 2)))[0])
        self.platforms = make_platforms(config.platforms, middle, config.errors, draw("platforms"))
        self.traffic = Traffic(self.network, config.traffic, draw("traffic"))
        self.pedestrians = Pedestrians(self.network, self.traffic, config.traffic.pedestrians, draw("pedestrians"))
        self._drops = draw("drops")
        self.rebuild_fixtures()
        self.recent_shadows: dict[str, Any] = {}
        self.frames_done = 0
        duration = round(config.frames * config.interval * 1e9) + 10 * 10**9
        self.time = _start(config) + index * duration
        self._advance(config.warm_up)
        for platform in self.platforms:
            if platform.config.motion == "follow" and (place := self._followed(platform)) is not None:
                platform.move_target(place)

    def rebuild_fixtures(self) -> None:
        """Build the faces and shadows of what does not move, and forget how the ground looked."""
        self._textures: dict[str, tuple[SensorResponse, TexturePyramid]] = {}
        self.fixtures = build_faces(self._fixtures())
        self.fixed_shadows = ShadowMap(self.maps[0].extent, self.light).with_shadows(self.fixtures)

    @staticmethod
    def check(config: WorldConfig) -> None:
        """Check what only shows when a world is built: sensors, names, the time zone.

        Args:
            config: of the world.

        Raises:
            ConfigError: the world cannot be built.
        """
        _sensors(config)
        _start(config)
        make_platforms(config.platforms, 0.0, config.errors, np.random.default_rng(0))

    def step(self, seconds: float | None = None) -> None:
        """Move everything on.

        Args:
            seconds: by which; None for the configured interval.
        """
        seconds = self.config.interval if seconds is None else seconds
        self._advance(seconds)
        for platform in self.platforms:
            platform.step(seconds, self._followed(platform) if platform.config.motion == "follow" else None)
        self.time += round(seconds * 1e9)
        self.frames_done += 1

    def frame(self, platforms: Sequence[str] | None = None) -> Frame:
        """Return what platforms see now.

        Which object each pixel shows is known at once; images, depth and classes are rendered when they are loaded.

        Args:
            platforms: names; None for all of them.
        """
        snapshot = WorldSnapshot(self)
        captures: dict[str, Capture] = {}
        visibility: dict[str, np.ndarray] = {}
        for platform in self.platforms:
            self._capture_platform(platform, platforms, snapshot, captures, visibility)
        annotations = replace(snapshot.annotations(self.origin), visibility=visibility)
        return Frame(self.time, captures, annotations)

    def _capture_platform(
        self,
        platform: Platform,
        platforms: Sequence[str] | None,
        snapshot: WorldSnapshot,
        captures: dict[str, Capture],
        visibility: dict[str, np.ndarray],
    ) -> None:
        """Capture what the cameras of one platform see."""
        for mount in platform.mounts:
            skipped = self._skips(platform)
            if skipped or (platforms is not None and platform.name not in platforms):
                continue
            capture, seen = self._capture(snapshot, platform, mount)
            captures[mount.channel], visibility[mount.channel] = capture, seen

    def _skips(self, platform: Platform) -> bool:
        """Return whether an image is dropped by chance, or a platform takes none in this frame."""
        dropped = self._drops.random() < self.config.errors.dropped
        return bool(dropped or self.frames_done % platform.config.every)

    def scene(self, frames: Sequence[Frame]) -> RecordedScene:
        """Return frames of this world as a scene.

        Args:
            frames: in order of time.
        """
        place, light = self.config.place, self.light
        elevation = np.degrees(np.arcsin(light.sun[2]))
        crossings = len(self.network.crossings)
        text = f"simulated {self.config.roads.layout}, {crossings} crossings, sun at {elevation:.0f} degrees"
        draw, start = _generators(self.seed, self.index), frames[0].time if frames else self.time
        base_maps = [
            take_imagery(self, image, self.sensors[image.sensor, _names(image.bands)], start, draw)
            for image in self.config.imagery
        ]
        cover = map_land_cover(self)
        return RecordedScene(self.name, frames, place.crs, text, place.name, self.world_ground(), base_maps, cover)

    def world_ground(self) -> Ground:
        """Return the ground in the scene's own reference system."""
        if not isinstance(self.ground, ElevationModel):
            return self.ground
        grid = self.ground.grid
        east, north = (round(value / grid.resolution) for value in self.origin[:2])
        moved = replace(grid, west=grid.west + east, north=grid.north + north, crs=self.config.place.crs)
        return ElevationModel(self.ground.heights, moved)

    def placed(self, geometry: CameraGeometry) -> CameraGeometry:
        """Return a camera in the scene's own reference system instead of local axes.

        Args:
            geometry: in local axes.
        """
        pose = geometry.world_from_camera.copy()
        pose[:3, 3] += self.origin
        return replace(geometry, world_from_camera=pose, crs=self.config.place.crs)

    def response(self, sensor: Sensor, finest: float) -> tuple[SensorResponse, TexturePyramid]:
        """Return how a sensor sees this world's materials and its ground.

        Args:
            sensor: with optical or thermal bands.
            finest: footprint of the sharpest pixel, metres.
        """
        # cameras of about the same sharpness share a texture
        level = int(np.floor(np.log2(max(finest, 1e-3) / self.maps[0].texel)))
        key = f"{sensor.name} {[band.name for band in sensor.bands]} {max(level, 0)}"
        if key not in self._textures:
            response = SensorResponse.of(sensor, self.light.air, self.appearance.reflectance)
            self._textures[key] = response, TexturePyramid(response, *self.maps, finest)
        return self._textures[key]

    def _advance(self, seconds: float) -> None:
        steps = int(np.ceil(seconds / 0.1 - 1e-9))
        for _ in range(steps):
            self.pedestrians.step(seconds / steps)
            self.traffic.step(seconds / steps)

    def _followed(self, platform: Platform) -> np.ndarray | None:
        """Where the vehicle is that a platform follows; when it has left, the nearest that drives."""
        vehicles = {vehicle.name: vehicle for vehicle in self.traffic.vehicles}
        if not vehicles:
            return None
        if platform.following not in vehicles:
            platform.following = self._nearest_driving(vehicles, platform.target)
        pose = self.traffic.pose(vehicles[platform.following])
        place = np.array([pose.x, pose.y])
        return np.append(place, heights_at(self.ground, place[None])[0])

    def _nearest_driving(self, vehicles: dict[str, Vehicle], target: np.ndarray) -> str:
        """Return the name of the vehicle nearest to a target, among those that drive if there are any."""
        poses = {name: self.traffic.pose(vehicle) for name, vehicle in vehicles.items()}
        driving = [name for name, vehicle in vehicles.items() if vehicle.v > 1.0] or list(vehicles)
        x, y = target[:2]
        return min(driving, key=lambda name: float(np.hypot(poses[name].x - x, poses[name].y - y)))

    def _fixtures(self) -> SceneObjects:
        fixtures = self.scenery.fixtures
        surfaces = {"building": "building", "tree": "tree", "lamp": "pole"}
        places = _places_of(fixtures)
        return SceneObjects(
            shapes=tuple(f.shape for f in fixtures),
            surfaces=_surfaces_of(fixtures, surfaces),
            bases=np.column_stack([places, heights_at(self.ground, places)]),
            sizes=np.array([f.size for f in fixtures], float).reshape(-1, 3),
            yaws=np.array([f.yaw for f in fixtures], float),
            paints=("steel",) * len(fixtures),
            brightness=np.array([f.brightness for f in fixtures], float),
            running=np.zeros(len(fixtures), bool),
        )

    def _capture(self, snapshot: WorldSnapshot, platform: Platform, mount: Mount) -> tuple[Capture, np.ndarray]:
        """A picture that is rendered when it is loaded, and the share of each object that it shows."""
        true, sensor = platform.geometry(mount), self.sensors[mount.config.sensor, _names(mount.config.bands)]
        view = snapshot.render(true)
        shares = np.where(view.unoccluded > 0, view.visible / np.maximum(view.unoccluded, 1), 0.0)
        # faces compress to a hundredth; what follows from them is computed again when it is asked for
        packed, shape = zlib.compress(view.face.tobytes(), 1), view.face.shape
        reported = self.placed(platform.reported(true))
        stamp, number, channel = self.time + platform.clock, self.frames_done, mount.channel

        def seen() -> np.ndarray:
            return np.frombuffer(zlib.decompress(packed), np.int32).reshape(shape)

        def load() -> Observation:
            pixels, distance = self._render(snapshot, snapshot.rerender(seen(), true), true, mount, sensor, number)
            source = f"{self.name}/{channel}/{number}"
            return Observation.from_pixels(pixels, sensor, distance, None, reported, stamp, source)

        def load_instances() -> np.ndarray:
            face = seen()
            owner = np.append(snapshot.faces.owner, (-1, -1))[face]  # ground and sky count from the end
            return np.where(owner < snapshot.count, owner, -1).astype(np.int32)

        def load_depth() -> np.ndarray:
            with np.errstate(divide="ignore"):
                return (1 / snapshot.rerender(seen(), true).inverse_depth).astype(np.float32)

        def load_classes() -> np.ndarray:
            return snapshot.classes(snapshot.rerender(seen(), true), true)

        capture = Capture(
            channel=channel,
            platform=platform.name,
            time=stamp,
            geometry=reported,
            load=load,
            true_geometry=self.placed(true),
            true_time=self.time,
            load_depth=load_depth,
            load_instances=load_instances,
            load_classes=load_classes,
        )
        return capture, shares

    def _render(
        self,
        snapshot: WorldSnapshot,
        view: RenderedView,
        geometry: CameraGeometry,
        mount: Mount,
        sensor: Sensor,
        number: int,
    ) -> tuple[np.ndarray, float]:
        """(bands, rows, columns) in the sensor's units, and metres of a pixel on the ground, in the middle."""
        rows, columns, times = mount.camera.rows, mount.camera.columns, mount.config.supersampling
        middle = float(view.inverse_depth[rows // 2, columns // 2])
        finer = replace(geometry, camera=geometry.camera.resized(rows * times, columns * times))
        if times > 1:
            view = snapshot.render(finer)
        above = float(geometry.position[2] - snapshot.middle)
        focal = float(geometry.camera.intrinsics[0, 0])
        response, texture = self.response(sensor, above / focal / times)
        lit = snapshot.lit_owners
        image = shade(view, snapshot.faces, lit, finer, response, texture, snapshot.shadows, snapshot.middle)
        if times > 1:
            image = image.reshape(len(image), rows, times, columns, times).mean((2, 4))
        noise = _generators(self.seed, self.index)(f"noise {mount.channel} {number}")
        distance = (1 / middle if middle > 0 else max(above, 1.0)) / focal
        return apply_sensor_noise(image, response, mount.config.noise, noise, snapshot.shadows.light.level), distance


def _places_of(fixtures: list[Fixture]) -> np.ndarray:
    """Return where fixtures stand."""
    return np.array([(f.x, f.y) for f in fixtures], float).reshape(-1, 2)


def _surfaces_of(fixtures: list[Fixture], surfaces: dict[str, str]) -> np.ndarray:
    """Return the surface class of each fixture."""
    return np.array([SURFACE_INDEX[surfaces[f.kind]] for f in fixtures], np.uint8)


def _sensors(config: WorldConfig) -> dict[tuple[str, tuple[str, ...] | None], Sensor]:
    carried = [(camera.sensor, camera.bands) for platform in config.platforms for camera in platform.cameras]
    sensors = {}
    for name, bands in carried + [(image.sensor, image.bands) for image in config.imagery]:
        sensor = get_sensor(name)
        if bands is not None:
            # another set of bands is another sensor, and a recording knows sensors by name
            sensor = replace(sensor.select(bands), name=f"{sensor.name}-{'-'.join(bands)}")
        check_renderable(sensor)
        sensors[name, _names(bands)] = sensor
    return sensors


def _start(config: WorldConfig) -> int:
    """UTC nanoseconds of the first frame of the first scene."""
    try:
        start = datetime.fromisoformat(config.start)
    except ValueError:
        raise ConfigError(f"start {config.start!r} is no time; write 2026-06-21T10:00:00+00:00") from None
    if start.tzinfo is None:
        raise ConfigError(f"start {config.start!r} has no time zone; write 2026-06-21T10:00:00+00:00")
    return int(start.timestamp()) * 10**9


def _names(bands: list[str] | None) -> tuple[str, ...] | None:
    return None if bands is None else tuple(bands)


def _generators(seed: int, index: int) -> Callable[[str], np.random.Generator]:
    """An own source of random numbers for each purpose, so that a change of one leaves the others alone."""

    def draw(purpose: str) -> np.random.Generator:
        word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
        return np.random.default_rng([seed, index, word])

    return draw

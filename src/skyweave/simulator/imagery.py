"""The place of a world as satellites and aircraft saw it at another time, and what covers its ground now.

Both look straight down from so high that nothing leans by more than a few tenths of a metre: images are as good as
orthorectified. Roads and the lie of the land are those of now. Traffic, parked cars, light and season are others, some
buildings were not there yet and some stood that have gone since, clouds hide a part, and where an image is said to lie
is a little off.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import make_transform
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import Sensor
from skyweave.recordings.recording import LAND_COVER, UNKNOWN_COVER, BaseMap, LandCoverRaster
from skyweave.simulator.config import WorldConfig
from skyweave.simulator.ground import GroundMap, value_noise
from skyweave.simulator.imagery_config import ImageryConfig
from skyweave.simulator.land_cover import crossing_cells, ground_cover
from skyweave.simulator.light import Illumination
from skyweave.simulator.pedestrians import Pedestrians
from skyweave.simulator.roads import RoadNetwork
from skyweave.simulator.scene_objects import Faces
from skyweave.simulator.scenery import earlier_scenery
from skyweave.simulator.shading import apply_sensor_noise, shade
from skyweave.simulator.snapshot import WorldSnapshot, WorldState
from skyweave.simulator.surface_classes import SURFACES
from skyweave.simulator.terrain import ground_inverse_depth
from skyweave.simulator.texture import SensorResponse, TexturePyramid
from skyweave.simulator.traffic import Traffic
from skyweave.simulator.variety import SceneAppearance
from skyweave.simulator.visibility import GROUND, render_view

ALTITUDE_M = 10_000.0  # above the middle of the world
WARM_UP_S, STEP_S = 6.0, 0.2  # of the traffic of another time
COVER_RESOLUTION_M = 0.5
CLOUD_M = 60.0  # from one cloud to the next
CLOUD_REFLECTANCE = 0.7
DAY_NS = 86_400 * 10**9
Generators = Callable[[str], np.random.Generator]


class ImagedWorld(WorldState, Protocol):
    """What imagery takes from a world, beside what a snapshot does.

    Attributes:
        config: of the world.
        network: its roads.
        light: of now.
        origin: (3,) of the local axes in the scene's reference system, metres.
    """

    config: WorldConfig
    network: RoadNetwork
    light: Illumination
    origin: np.ndarray

    def response(self, sensor: Sensor, finest: float) -> tuple[SensorResponse, TexturePyramid]:
        """Return how a sensor sees this world's materials and its ground."""

    def rebuild_fixtures(self) -> None:
        """Build the faces and shadows of what does not move, and forget how the ground looked."""


World = TypeVar("World", bound=ImagedWorld)


def take_imagery(world: ImagedWorld, config: ImageryConfig, sensor: Sensor, start: int, draw: Generators) -> BaseMap:
    """Return an image of a world from before; it is rendered when it is loaded.

    Args:
        world: as it is now.
        config: of the image.
        sensor: that takes it.
        start: of the scene, UTC nanoseconds.
        draw: random numbers by purpose.
    """
    generator = draw(f"imagery {config.name}")
    taken = start - round(generator.uniform(*config.age) * DAY_NS)
    east, north = generator.normal(0, 1, 2).tolist()
    true = _geotransform(world, config.ground_sample_distance, config.pixels)
    a, b, c, d, e, f = true.affine
    stated = GeoTransform(true.crs, (a, b, c + config.shift * east, d, e, f + config.shift * north))
    source = f"{world.config.name}-{world.index:04d}/{config.name}"

    def load() -> Observation:
        pixels = render_imagery(earlier_world(world, config, draw), config, sensor, draw)
        return Observation.from_pixels(
            pixels, sensor, config.ground_sample_distance, geometry=stated, time=taken, source=source
        )

    return BaseMap(config.name, load, taken, config.shift or None, true)


def earlier_world(world: World, config: ImageryConfig, draw: Generators) -> World:
    """Return a world as it was at another time.

    Args:
        world: as it is now; it stays as it is.
        config: how much is different.
        draw: random numbers by purpose.
    """
    of_image = partial(_draw_for, draw, config.name)
    past, settings = copy.copy(world), world.config
    past.light = Illumination.draw(replace(settings.light, night=0.0), of_image("light"))
    variety = settings.variety
    appearance = replace(variety, seasons=config.seasons, materials=max(variety.materials, config.materials))
    past.appearance = SceneAppearance.draw(appearance, of_image("variety"))
    past.scenery = earlier_scenery(
        world.network, settings.scenery, world.scenery, settings.traffic.parked, config.changed, of_image("scenery")
    )
    past.seed = world.seed + 1  # whose parked cars look otherwise
    past.recent_shadows = {}
    past.rebuild_fixtures()
    past.traffic = Traffic(world.network, settings.traffic, of_image("traffic"))
    past.pedestrians = Pedestrians(world.network, past.traffic, settings.traffic.pedestrians, of_image("pedestrians"))
    for _ in range(round(WARM_UP_S / STEP_S)):
        past.pedestrians.step(STEP_S)
        past.traffic.step(STEP_S)
    return past


def render_imagery(world: ImagedWorld, config: ImageryConfig, sensor: Sensor, draw: Generators) -> np.ndarray:
    """Return (bands, rows, columns) of a world from above, in the sensor's units.

    Args:
        world: as it is shown.
        config: of the image.
        sensor: that takes it.
        draw: random numbers by purpose.
    """
    pixels, rays = config.pixels, config.rays
    snapshot = WorldSnapshot(world)
    geometry = _nadir(config.ground_sample_distance / rays, pixels * rays, snapshot.middle)
    response, texture = world.response(sensor, config.ground_sample_distance / rays)
    view = snapshot.render(geometry)
    image = shade(
        view, snapshot.faces, snapshot.lit_owners, geometry, response, texture, snapshot.shadows, snapshot.middle
    )
    image = image.reshape(len(image), pixels, rays, pixels, rays).mean((2, 4))
    cover = _clouds(config, draw(f"clouds {config.name}"))
    for channel in response.optical:
        image[channel] += cover * (CLOUD_REFLECTANCE - image[channel])
    return apply_sensor_noise(image, response, None, draw(f"noise {config.name}"), 1.0)


def map_land_cover(world: ImagedWorld) -> LandCoverRaster:
    """Return what covers the ground of a world, as seen from straight above; without what moves and parked cars.

    Args:
        world: as it is now.
    """
    pixels = int(world.maps[0].extent / COVER_RESOLUTION_M)

    def load() -> np.ndarray:
        return render_cover(world.maps[0], world.fixtures, world, pixels)

    return LandCoverRaster(LAND_COVER, _geotransform(world, COVER_RESOLUTION_M, pixels), load)


def render_cover(ground: GroundMap, fixtures: Faces, world: ImagedWorld, pixels: int) -> np.ndarray:
    """Return (pixels, pixels) uint8 index into `LAND_COVER`.

    Args:
        ground: raster of the built-up area.
        fixtures: faces of what does not move.
        world: with the shape of the ground and the roads.
        pixels: along a side.
    """
    place = ((np.arange(pixels) + 0.5) / pixels - 0.5) * pixels * COVER_RESOLUTION_M
    column = np.floor((place / ground.extent + 0.5) * ground.cells).astype(int)
    row = np.floor((0.5 + place / ground.extent) * ground.cells).astype(int)
    cover = ground_cover()[ground.material[np.ix_(row, column)]]
    if ground.photographed is not None:
        cover[ground.photographed[np.ix_(row, column)]] = UNKNOWN_COVER
    cover[crossing_cells(world.network, pixels, COVER_RESOLUTION_M)] = LAND_COVER.index("crossing")
    middle = float(np.asarray(world.ground.height(np.zeros((1, 2))))[0])
    geometry = _nadir(COVER_RESOLUTION_M, pixels, middle)
    face = render_view(fixtures, geometry, ground_inverse_depth(world.ground, geometry), 0).face
    surface = np.append(fixtures.surface, (0, 0))[face]  # ground and sky count from the end
    for name in ("building", "tree"):
        cover[(face > GROUND) & (surface == SURFACES.index(name))] = LAND_COVER.index(name)
    return np.asarray(cover)


def _draw_for(draw: Generators, name: str, purpose: str) -> np.random.Generator:
    """Return random numbers of one image for one purpose."""
    return draw(f"{purpose} of {name}")


def _geotransform(world: ImagedWorld, pixel: float, pixels: int) -> GeoTransform:
    """Return where a square about the middle of the world lies."""
    west, north = world.origin[0] - pixels * pixel / 2, world.origin[1] + pixels * pixel / 2
    return GeoTransform(world.config.place.crs, (pixel, 0.0, float(west), 0.0, -pixel, float(north)))


def _nadir(pixel: float, pixels: int, ground: float) -> CameraGeometry:
    """Return a camera that looks straight down at the middle of the world, north up, in local axes."""
    focal = ALTITUDE_M / pixel
    intrinsics = np.array([[focal, 0, pixels / 2], [0, focal, pixels / 2], [0, 0, 1.0]])
    pose = make_transform(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, ground + ALTITUDE_M]))
    return CameraGeometry(PinholeCamera(intrinsics, pixels, pixels), pose)


def _clouds(config: ImageryConfig, generator: np.random.Generator) -> np.ndarray:
    """(pixels, pixels) 0 to 1: how much of each pixel a cloud hides."""
    share = generator.uniform(0, config.clouds)
    noise = value_noise(config.pixels, max(round(CLOUD_M / config.ground_sample_distance), 1), generator)
    edge = np.quantile(noise, 1 - share)
    return np.asarray(np.clip((noise - edge) * 2, 0, 1))

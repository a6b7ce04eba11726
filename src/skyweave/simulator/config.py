"""What a simulated world is made of, as read from ``configs/world/*.yaml``.

A pair of numbers is a range from which each scene draws its own value.
"""

from dataclasses import dataclass, field
from typing import Literal

from skyweave.core.errors import ConfigError
from skyweave.simulator.imagery_config import ImageryConfig
from skyweave.simulator.variety import VarietyConfig

ValueRange = tuple[float, float]
Layout = Literal["straight", "crossing", "town"]
Control = Literal["lights", "priority", "mixed"]
Motion = Literal["hover", "orbit", "lawnmower", "follow", "transit"]


@dataclass(frozen=True)
class PlaceConfig:
    """Where on Earth the world lies.

    Attributes:
        crs: reference system with metres, as WKT or ``EPSG:code``; None for a local frame.
        east: easting of the middle of the world; north: its northing; height: of its ground, metres.
        name: for people.
    """

    crs: str | None = None
    east: float = 0.0
    north: float = 0.0
    height: float = 0.0
    name: str = "nowhere"


@dataclass(frozen=True)
class RoadsConfig:
    """The road network.

    Attributes:
        layout: a straight road, one crossing, or a town of several.
        size: side of the built-up square in metres.
        block: distance between the roads of a town, metres.
        arms: 3, 4, or 0 for either, of a single crossing.
        lanes: of one direction, at least and at most.
        lane_width: metres.
        speed_limit: metres a second.
        control: of crossings: traffic lights, first come first served, or either.
        turned: whether each scene has its own compass direction.
    """

    layout: Layout = "crossing"
    size: float = 200.0
    block: float = 90.0
    arms: int = 0
    lanes: tuple[int, int] = (1, 2)
    lane_width: float = 3.25
    speed_limit: float = 12.0
    control: Control = "mixed"
    turned: bool = True

    def __post_init__(self) -> None:
        _positive(self, "size", "block", "lane_width", "speed_limit")
        if self.arms not in (0, 3, 4):
            raise ConfigError(f"roads.arms is {self.arms}; a crossing has 3 or 4, or 0 for either")
        if not 1 <= self.lanes[0] <= self.lanes[1] <= 3:
            raise ConfigError(f"roads.lanes is {list(self.lanes)}; give the fewest and the most, from 1 to 3")
        self._check_size()
        if not 2.8 <= self.lane_width <= 5:
            raise ConfigError(f"roads.lane_width is {self.lane_width} m; a bus needs 2.8 m, nothing needs 5")
        if self.speed_limit > 40:
            raise ConfigError(
                f"roads.speed_limit is {self.speed_limit} m/s; nobody drives faster than 40 m/s in a town"
            )

    def _check_size(self) -> None:
        """Refuse built-up squares and blocks of a size that roads do not fit into."""
        if not 80 <= self.size <= 1000:
            raise ConfigError(f"roads.size is {self.size} m; choose 80 to 1000")
        if self.layout == "town" and self.block < 70:
            raise ConfigError(f"roads.block is {self.block} m; crossings need at least 70 m between them")


MAX_SCENES, MAX_FRAMES = 100_000, 100_000


@dataclass(frozen=True)
class TrafficConfig:
    """How many of each there are; what leaves is replaced.

    Attributes:
        cars, trucks, buses, bicycles, pedestrians: that move.
        parked: cars along the kerb and in car parks.
    """

    cars: int = 34
    trucks: int = 4
    buses: int = 2
    bicycles: int = 8
    pedestrians: int = 26
    parked: int = 26

    def __post_init__(self) -> None:
        for name in ("cars", "trucks", "buses", "bicycles", "pedestrians", "parked"):
            if not 0 <= getattr(self, name) <= 2000:
                raise ConfigError(f"traffic.{name} is {getattr(self, name)}; choose 0 to 2000")


@dataclass(frozen=True)
class SceneryConfig:
    """What stands around and lies underneath.

    Attributes:
        buildings: at most; fewer where there is no room.
        building_height: metres.
        trees: at most.
        ponds: at most.
        lamps: whether street lamps stand along the roads.
        texture: side of a texel of the ground, metres, about.
        orthophoto: a GeoTIFF whose pixels are the land beside the roads, or a folder of them, of which each scene has
            one; None for painted land.
        orthophoto_sensor: catalogue name of the sensor that took it; orthophoto_unit: how it stores values.
    """

    buildings: int = 16
    building_height: ValueRange = (4.0, 14.0)
    trees: int = 50
    ponds: int = 0
    lamps: bool = True
    texture: float = 0.125
    orthophoto: str | None = None
    orthophoto_sensor: str = "rgb"
    orthophoto_unit: str = "uint8"

    def __post_init__(self) -> None:
        _range(self, "building_height", 2, 100)
        if not 0.02 <= self.texture <= 5:
            raise ConfigError(f"scenery.texture is {self.texture} m; choose 0.02 to 5")
        counts = self.buildings, self.trees, self.ponds
        if min(counts) < 0:
            raise ConfigError("scenery has {} buildings, {} trees, {} ponds; none can be negative".format(*counts))


@dataclass(frozen=True)
class TerrainConfig:
    """The shape of the ground.

    Attributes:
        relief: metres between the lowest and the highest place; 0 for level ground.
        wavelength: metres from one hill to the next.
        resolution: of the elevation model, metres.
    """

    relief: float = 0.0
    wavelength: float = 160.0
    resolution: float = 4.0

    def __post_init__(self) -> None:
        _positive(self, "wavelength", "resolution")
        if self.relief < 0 or self.relief > 0.15 * self.wavelength:
            raise ConfigError(
                f"terrain.relief is {self.relief} m over a wavelength of {self.wavelength} m; roads need gentle "
                f"slopes: choose 0 to {0.15 * self.wavelength:g} m"
            )


@dataclass(frozen=True)
class LightConfig:
    """Sun and air.

    Attributes:
        sun_elevation: degrees above the horizon; sun_azimuth: degrees clockwise from north, where the sun stands.
        warmth: of sunlight, the logarithm of the factor on red, by which blue is divided; sky_warmth: of skylight.
        sky: share of the light that comes from the sky, so that a shadow is not black.
        visibility: metres at which haze has taken nearly all contrast (meteorological visibility).
        air: temperature in kelvin.
        night: share of scenes without sun, from 0 to 1; darkness: their light, of that of a day's sky and sun.
    """

    sun_elevation: ValueRange = (25.0, 65.0)
    sun_azimuth: ValueRange = (90.0, 270.0)
    sky: ValueRange = (0.25, 0.45)
    visibility: ValueRange = (8000.0, 40000.0)
    air: ValueRange = (285.0, 298.0)
    warmth: ValueRange = (0.0, 0.0)
    sky_warmth: ValueRange = (0.0, 0.0)
    night: float = 0.0
    darkness: ValueRange = (0.001, 0.01)

    def __post_init__(self) -> None:
        _range(self, "sun_elevation", 5, 90)
        _range(self, "sun_azimuth", -360, 720)
        _range(self, "sky", 0.02, 1)
        _range(self, "visibility", 100, 1e6)
        _range(self, "air", 230, 330)
        _range(self, "darkness", 1e-6, 1)
        _range(self, "warmth", -1, 1)
        _range(self, "sky_warmth", -1, 1)
        if not 0 <= self.night <= 1:
            raise ConfigError(f"light.night is {self.night}; it is a share of scenes, from 0 to 1")


@dataclass(frozen=True)
class CameraConfig:
    """A camera on a platform.

    Attributes:
        name: part of the channel's name where a platform has several cameras.
        sensor: catalogue name or path of a YAML file; bands: of it, in this order; None for all.
        rows: of the image; columns: of the image.
        field_of_view: degrees, horizontal; this or the next, not both.
        ground_sample_distance: metres of a pixel straight below.
        pitch: degrees below the horizon; None to look at the platform's target.
        yaw: degrees counter-clockwise from the platform's heading.
        supersampling: rays along each side of a pixel; more than 1 where pixels are larger than objects.
        noise: spread in 8-bit steps, kelvin, or thousandths of reflectance; None for what is usual.
    """

    name: str = "camera"
    sensor: str = "rgb"
    bands: list[str] | None = None
    rows: int = 256
    columns: int = 448
    field_of_view: ValueRange | None = None
    ground_sample_distance: float | None = None
    pitch: ValueRange | None = None
    yaw: float = 0.0
    supersampling: int = 1
    noise: float | None = None

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= 8192 and 1 <= self.columns <= 8192):
            raise ConfigError(f"camera {self.name!r} has {self.rows} x {self.columns} pixels; choose 1 to 8192 each")
        self._check_view()
        self._check_sampling()

    def _check_sampling(self) -> None:
        """Check supersampling and noise."""
        if not 1 <= self.supersampling <= 16:
            raise ConfigError(f"camera {self.name!r}: supersampling {self.supersampling} is not in 1 to 16")
        if self.noise is not None and not self.noise >= 0:
            raise ConfigError(f"camera {self.name!r}: noise {self.noise} cannot be negative")

    def _check_view(self) -> None:
        """Refuse a camera with no width of view or with two, or that looks where no camera can."""
        if (self.field_of_view is None) == (self.ground_sample_distance is None):
            raise ConfigError(f"camera {self.name!r} needs a field_of_view or a ground_sample_distance, and not both")
        if self.field_of_view is not None:
            _range(self, "field_of_view", 0.001, 150)
        if self.ground_sample_distance is not None:
            _positive(self, "ground_sample_distance")
        if self.pitch is not None:
            _range(self, "pitch", -90, 90)


@dataclass(frozen=True)
class PlatformConfig:
    """One or several platforms of a kind.

    Attributes:
        name: of the platform; with ``count`` above 1, ``_1``, ``_2`` ... are added.
        count: how many; they start evenly around their target.
        motion: ``hover``, ``orbit`` (around the target), ``lawnmower`` (up and down over the area), ``follow`` (a
            vehicle), ``transit`` (straight over the target, as aircraft and satellites do).
        altitude: metres above the ground below it at the start.
        distance: metres from the target, on the map.
        speed: metres a second; of a follower, at most.
        area: side of the square that a lawnmower covers, metres; spacing: between its lines.
        offset: metres by which the target is off the middle of the world, at most.
        sway: metres; shake: degrees: spread of what wind does to position and attitude.
        every: takes a picture every so many frames.
        cameras: on it.
    """

    name: str = "UAV"
    count: int = 1
    motion: Motion = "hover"
    altitude: ValueRange = (40.0, 60.0)
    distance: ValueRange = (30.0, 50.0)
    speed: float = 6.0
    area: float = 120.0
    spacing: float = 30.0
    offset: float = 8.0
    sway: float = 0.15
    shake: float = 0.4
    every: int = 1
    cameras: list[CameraConfig] = field(default_factory=lambda: [CameraConfig(field_of_view=(60.0, 70.0))])

    def __post_init__(self) -> None:
        _range(self, "altitude", 1, 1e6)
        _range(self, "distance", 0, 1e5)
        _positive(self, "area", "spacing")
        if not 1 <= self.count <= 100:
            raise ConfigError(f"platform {self.name!r}: count {self.count} is not in 1 to 100")
        if self.every < 1:
            raise ConfigError(f"platform {self.name!r}: every {self.every} must be at least 1 frame")
        if min(self.speed, self.sway, self.shake, self.offset) < 0:
            raise ConfigError(f"platform {self.name!r}: speed, sway, shake and offset cannot be negative")
        _different_names(f"platform {self.name!r}", "cameras", [camera.name for camera in self.cameras])


@dataclass(frozen=True)
class ErrorsConfig:
    """What is wrong with what platforms report; the truth is kept beside it.

    Attributes:
        position: metres; attitude: degrees: spread of the errors of a reported pose.
        correlation: seconds over which these errors stay alike.
        clock: milliseconds: spread of the constant offset of a platform's clock.
        dropped: share of pictures that are missing.
    """

    position: float = 0.0
    attitude: float = 0.0
    correlation: float = 5.0
    clock: float = 0.0
    dropped: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "correlation")
        if min(self.position, self.attitude, self.clock) < 0:
            raise ConfigError("errors.position, .attitude and .clock are spreads; they cannot be negative")
        if not 0 <= self.dropped < 1:
            raise ConfigError(f"errors.dropped is {self.dropped}; give a share from 0 to below 1")


@dataclass(frozen=True)
class WorldConfig:
    """A world, and how it is recorded.

    Attributes:
        name: of the recording; its scenes are ``name-0000`` and so on.
        scenes: how many; frames: of each; interval: seconds between frames.
        seed: decides everything random.
        start: UTC of the first frame of the first scene, ISO 8601.
        warm_up: seconds of traffic before the first frame.
        validation: share of scenes, the last ones, in the split ``val``.
    """

    name: str = "world"
    scenes: int = 20
    frames: int = 40
    interval: float = 0.5
    seed: int = 0
    start: str = "2026-06-21T10:00:00+00:00"
    warm_up: float = 20.0
    validation: float = 0.2
    place: PlaceConfig = field(default_factory=PlaceConfig)
    roads: RoadsConfig = field(default_factory=RoadsConfig)
    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    scenery: SceneryConfig = field(default_factory=SceneryConfig)
    terrain: TerrainConfig = field(default_factory=TerrainConfig)
    light: LightConfig = field(default_factory=LightConfig)
    platforms: list[PlatformConfig] = field(default_factory=lambda: [PlatformConfig(count=4)])
    errors: ErrorsConfig = field(default_factory=ErrorsConfig)
    variety: VarietyConfig = field(default_factory=VarietyConfig)
    imagery: list[ImageryConfig] = field(default_factory=list)

    def __post_init__(self) -> None:
        _positive(self, "scenes", "frames", "interval")
        self._check_length()
        self._check_seed_and_shares()
        _different_names("a world", "platforms", [platform.name for platform in self.platforms])
        if self.imagery:
            _different_names("a world", "imagery", [image.name for image in self.imagery])

    def _check_length(self) -> None:
        """Check that scenes and frames are not too many."""
        if self.scenes > MAX_SCENES or self.frames > MAX_FRAMES:
            raise ConfigError(
                f"{self.scenes} scenes of {self.frames} frames; give {MAX_SCENES} and {MAX_FRAMES} at most"
            )

    def _check_seed_and_shares(self) -> None:
        """Check warm-up, seed and share of validation."""
        if self.warm_up < 0 or self.seed < 0:
            raise ConfigError(f"warm_up {self.warm_up} and seed {self.seed} cannot be negative; give 0 or more")
        if not 0 <= self.validation <= 1:
            raise ConfigError(f"validation is {self.validation}; give a share from 0 to 1")


def _different_names(owner: str, parts: str, names: list[str]) -> None:
    """Refuse no parts at all, or two of the same name."""
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{owner} needs {parts} with different names, has {names}")


def _positive(record: object, *names: str) -> None:
    for name in names:
        if not getattr(record, name) > 0:
            raise ConfigError(f"{name} is {getattr(record, name)}; it must be more than 0")


def _range(record: object, name: str, lowest: float, highest: float) -> None:
    low, high = getattr(record, name)
    if not lowest <= low <= high <= highest:
        raise ConfigError(f"{name} is {[low, high]}; give [least, most] within {lowest:g} to {highest:g}")

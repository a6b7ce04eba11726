"""What is imported: cameras that fly or stand, each with its images and its log, into one scene."""

from dataclasses import dataclass, field

from skyweave.core.errors import ConfigError

DAY_S = 86_400.0  # longer than any flight, so that times fit into nanoseconds of 64 bits


@dataclass(frozen=True)
class CameraImportConfig:
    """One camera and its images.

    A camera that stands has ``latitude``, ``longitude``, ``height``, ``heading`` and ``pitch`` instead of a log.

    Attributes:
        images: video, or folder of images.
        platform: name; letters, digits and ``. _ + -``.
        telemetry: its log; None: the video's own track, or the photographs' own metadata.
        telemetry_format: name of the log's format; None: what it looks like.
        channel: name of the camera in the log, where that has several.
        system: vehicle in the log, where that has several.
        latitude: degrees, of a camera that stands.
        longitude: degrees, of a camera that stands.
        height: metres above the ground; counts before the log's.
        pitch: degrees below the horizon; counts before the log's.
        heading: compass heading in degrees; counts before the log's.
        field_of_view: horizontal, degrees.
        camera: calibration file.
        start: UTC time of the first image.
        offset: seconds that the log is behind the images: added to their times to look up a pose; None: estimated.
        origin: latitude, longitude and height above the ellipsoid at which the local frame of a log begins that has no
            fix.
        rate: images a second of a folder without times.
        labels: file of labels of its images.
        labels_format: name of their format; None: what it looks like.
    """

    images: str
    platform: str = "UAV_1"
    telemetry: str | None = None
    telemetry_format: str | None = None
    channel: str = ""
    system: str = ""
    latitude: float | None = None
    longitude: float | None = None
    height: float | None = None
    pitch: float | None = None
    heading: float | None = None
    field_of_view: float | None = None
    camera: str | None = None
    start: str | None = None
    offset: float | None = None
    origin: tuple[float, float, float] | None = None
    rate: float = 10.0
    labels: str | None = None
    labels_format: str | None = None

    @property
    def stands(self) -> bool:
        """Return whether the camera stands at a known place."""
        return self.latitude is not None

    def __post_init__(self) -> None:
        needed = {"longitude": self.longitude, "height": self.height, "heading": self.heading, "pitch": self.pitch}
        missing = [name for name, value in needed.items() if value is None]
        if self.stands and missing:
            raise ConfigError(f"{self.platform} stands (it has a latitude) and lacks {', '.join(missing)}")
        if not self.rate > 0:
            raise ConfigError(f"rate {self.rate} of {self.platform} must be images a second above 0")
        if self.offset is not None and not abs(self.offset) <= DAY_S:
            raise ConfigError(f"offset {self.offset} of {self.platform} must be seconds, a day at most")


@dataclass(frozen=True)
class ImportConfig:
    """One scene of a recording.

    Attributes:
        cameras: at least one.
        scene: its name.
        interval: seconds between keyframes.
        split: of the scene: ``train``, ``val`` or ``test``.
        elevation: raster of ground heights; None: level ground.
        align: estimate what the logs do not know: their delay and how cameras are mounted.
        max_columns: pixels; wider images are reduced.
    """

    cameras: list[CameraImportConfig] = field(default_factory=list)
    scene: str = "scene-1"
    interval: float = 0.5
    split: str = "train"
    elevation: str | None = None
    align: bool = True
    max_columns: int = 1920

    def __post_init__(self) -> None:
        if not self.cameras:
            raise ConfigError("there is nothing to import; name a camera with its images")
        if not 0 < self.interval <= DAY_S:
            raise ConfigError(f"interval {self.interval} must be seconds above 0, a day at most")
        if self.max_columns < 1:
            raise ConfigError(f"max_columns {self.max_columns} must be pixels, 1 or more")
        names = [camera.platform for camera in self.cameras]
        if len(set(names)) < len(names):
            raise ConfigError(f"platforms need names of their own, and these are {', '.join(names)}")

"""Pictures with poses from elsewhere: a folder, or a topic of the network.

A folder holds ``camera.yaml`` and ``poses.csv`` beside its pictures; both and the topic's messages are described in
docs/fleet.md. Angles are degrees there and radians everywhere inside.
"""

import csv
import io
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.fleet.link.clocks import Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import platform_captures, schedule_ticks
from skyweave.recordings.recording import Capture, Frame

COLUMNS = ("file", "x", "y", "z", "yaw", "pitch", "roll")
MAX_PIXELS = 50_000_000
WAITING = 4  # messages of a topic


@dataclass(frozen=True)
class FolderCameraConfig:
    """What ``camera.yaml`` says.

    Attributes:
        rows, columns: pixels.
        field_of_view: horizontal, degrees; or ``intrinsics``, nine numbers row by row, pixels.
        distortion: k1 k2 p1 p2 k3.
        sensor: what the camera is (``skyweave sensors``).
        ground: height of the ground, metres.
        channel: name of the camera.
        video: file of the folder, if there is one instead of pictures.
    """

    rows: int
    columns: int
    field_of_view: float | None = None
    intrinsics: list[float] | None = None
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    sensor: str = "rgb"
    ground: float = 0.0
    channel: str = "CAMERA"
    video: str | None = None

    def bands(self) -> int:
        """Of the sensor. Raises ``ValueError`` for one that is not known."""
        return len(get_sensor(self.sensor))

    def camera(self) -> PinholeCamera:
        """As a camera. Raises ``ValueError`` for neither or both of field of view and intrinsics."""
        if (self.field_of_view is None) == (self.intrinsics is None):
            raise FleetError("camera.yaml needs field_of_view (degrees) or intrinsics (nine numbers), one of them")
        if self.intrinsics is not None:
            return PinholeCamera(np.array(self.intrinsics).reshape(3, 3), self.rows, self.columns, self.distortion)
        assert self.field_of_view is not None
        plain = PinholeCamera.from_field_of_view(np.radians(self.field_of_view), self.rows, self.columns)
        return PinholeCamera(plain.intrinsics, self.rows, self.columns, self.distortion)


class FolderSource:
    """Pictures of a folder, one an interval, over and over.

    Raises:
        FileNotFoundError: no ``poses.csv``, or a picture that is named there.
        ValueError: what is wrong in them.
    """

    def __init__(self, folder: Path, said: FolderCameraConfig, platform: str, crs: str | None, interval: float) -> None:
        camera, self.interval, self.platform = said.camera(), interval, platform
        self.place = WorldFrame(crs, GroundPlane(said.ground))
        self.captures: list[Capture] = []
        for number, row in enumerate(read_table(folder / "poses.csv", COLUMNS), start=2):
            path = folder / row["file"]
            if not path.exists():
                raise FileNotFoundError(f"{folder / 'poses.csv'} line {number} names {path}, which does not exist")
            x, y, z, *angles = parse_numbers(row, COLUMNS[1:], f"{folder / 'poses.csv'} line {number}")
            pose = camera_pose(np.array([x, y, z]), *np.radians(angles))
            geometry = CameraGeometry(camera, pose, crs, platform)
            load = partial(_observation, path.read_bytes, geometry, said.sensor, str(path))
            self.captures.append(Capture(said.channel, platform, 0, geometry, load))
        if not self.captures:
            raise FleetError(f"{folder / 'poses.csv'} lists no pictures")

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """See `skyweave.fleet.sources.base.ImageSource`."""
        for tick in schedule_ticks(clock, stop, self.interval):
            capture = self.captures[tick % len(self.captures)]
            moment = platform_captures(
                Frame(0, {capture.channel: capture}), self.platform, tick * round(self.interval * 1e9)
            )
            assert moment is not None
            yield moment


class ImageMessage(msgspec.Struct, frozen=True):
    """One picture on a topic, MessagePack map.

    Attributes:
        time: capture, UTC nanoseconds.
        image: JPEG or PNG.
        intrinsics: nine numbers, pixels, row by row.
        world_from_camera: sixteen numbers, row by row, metres.
        channel: name of the camera.
        distortion: k1 k2 p1 p2 k3.
        sensor: what the camera is.
    """

    time: int
    image: bytes
    intrinsics: list[float]
    world_from_camera: list[float]
    channel: str = "CAMERA"
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    sensor: str = "rgb"


class TopicSource:
    """Pictures that come under a key, each as a `ImageMessage`; the newest first, those that are none left out.

    Attributes:
        refused: messages that were none.
    """

    def __init__(
        self, topic: str, platform: str, crs: str | None, subscribe: Callable[..., Callable[[], None]]
    ) -> None:
        self.platform, self.crs, self.refused = platform, crs, 0
        self.place = WorldFrame(crs)
        self._waiting: queue.Queue[bytes] = queue.Queue(WAITING)
        self._end = subscribe(topic, self._heard)

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """See `skyweave.fleet.sources.base.ImageSource`."""
        try:
            while not stop.is_set():
                try:
                    message = self._waiting.get(timeout=0.1)
                except queue.Empty:
                    continue
                try:
                    capture = self._capture(message)
                    capture.load()
                except (ValueError, OSError):
                    self.refused += 1
                    continue
                moment = platform_captures(Frame(capture.time, {capture.channel: capture}), self.platform, 0)
                assert moment is not None
                yield moment
        finally:
            self._end()

    def _heard(self, key: str, message: bytes) -> None:
        while True:
            try:
                self._waiting.put_nowait(message)
                return
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                except queue.Empty:
                    continue

    def _capture(self, message: bytes) -> Capture:
        said = msgspec.msgpack.decode(message, type=ImageMessage)  # a ValidationError is a ValueError
        if (len(said.intrinsics), len(said.world_from_camera), len(said.distortion)) != (9, 16, 5):
            raise FleetError("a picture needs 9 intrinsics, 16 numbers of its pose and 5 of distortion")
        rows, columns = _size(said.image)
        distortion = said.distortion
        camera = PinholeCamera(np.array(said.intrinsics).reshape(3, 3), rows, columns, distortion)  # type: ignore[arg-type]
        pose = np.array(said.world_from_camera).reshape(4, 4)
        geometry = CameraGeometry(camera, pose, self.crs, self.platform)
        observation = _observation(lambda: said.image, geometry, said.sensor, said.channel)
        return Capture(said.channel, self.platform, said.time, geometry, lambda: observation)


def _observation(read: Callable[[], bytes], geometry: CameraGeometry, sensor: str, source: str) -> Observation:
    return observation_from_pixels(decode_image(read(), geometry, sensor, source), geometry, sensor, source)


def decode_image(content: bytes, geometry: CameraGeometry, sensor: str, source: str) -> np.ndarray:
    """(bands, rows, columns) of a JPEG or PNG. Raises ``ValueError`` for one that cannot be read or is of another size
    than its camera's.
    """
    from PIL import Image, UnidentifiedImageError

    camera = geometry.camera
    if _size(content) != (camera.rows, camera.columns):
        raise FleetError(f"{source} is {_size(content)} pixels; its camera has {camera.rows} x {camera.columns}")
    try:
        image = Image.open(io.BytesIO(content))
        pixels = np.asarray(image.convert("L" if len(get_sensor(sensor)) == 1 else "RGB"), np.float32)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise FleetError(f"{source}: no picture: {error}") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def observation_from_pixels(pixels: np.ndarray, geometry: CameraGeometry, sensor: str, source: str) -> Observation:
    """A picture in 8 bits, (bands, rows, columns). Raises ``ValueError`` where it does not fit camera and sensor."""
    bands, camera = get_sensor(sensor), geometry.camera
    if pixels.shape != (len(bands), camera.rows, camera.columns):
        wanted = (len(bands), camera.rows, camera.columns)
        raise FleetError(f"{source} has shape {pixels.shape}; {sensor} and its camera have {wanted}")
    height = max(float(geometry.position[2]), 1.0)
    distance = height / float(camera.intrinsics[0, 0])
    return Observation.from_pixels(pixels, bands, distance, geometry=geometry, source=source)


def _size(content: bytes) -> tuple[int, int]:
    """(rows, columns) without decoding. Raises ``ValueError``."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise FleetError(f"no picture: {error}") from None
    if width * height > MAX_PIXELS:
        raise FleetError(f"a picture of {width} x {height} pixels is too large")
    return height, width


def read_table(path: Path, columns: Sequence[str]) -> Sequence[dict[str, str]]:
    """Of a table with a header. Raises ``FileNotFoundError``, and ``ValueError`` for a column that is not there."""
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise FleetError(f"{path} has no column {missing[0]!r}; it needs {', '.join(columns)}")
        return list(reader)


def parse_numbers(row: dict[str, str], columns: Sequence[str], where: str) -> list[float]:
    """Of a row of a table. Raises ``ValueError`` for what is not finite."""
    try:
        found = [float(row[name]) for name in columns]
    except (TypeError, ValueError):
        found = [np.nan]
    if not np.isfinite(found).all():
        raise FleetError(f"{where}: {', '.join(columns[:-1])} and {columns[-1]} must be numbers")
    return found

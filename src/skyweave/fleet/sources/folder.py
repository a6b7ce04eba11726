"""A folder of images, or of a video, with poses as a source."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.config import load_config_file
from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.camera_checks import check_ground_in_view
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import (
    ImageSource,
    SourceConfig,
    SourceContext,
    check_interval,
    frame_from_capture,
    schedule_ticks,
)
from skyweave.fleet.sources.camera_folder import FolderCameraConfig, parse_numbers, read_table
from skyweave.fleet.sources.image_decoding import check_eight_bit_sensor, observation_from_image
from skyweave.recordings.recording import Capture, Frame

COLUMNS = ("file", "x", "y", "z", "yaw", "pitch", "roll")


@dataclass(frozen=True)
class FolderSourceConfig(SourceConfig):
    """A folder of images, or of a video, with poses; ``kind: folder``.

    Attributes:
        path: the folder.
        crs: reference system of the poses; None: a local frame.
        platform: name of the platform; None: that of the node.
        interval: seconds between frames.
    """

    path: str
    crs: str | None = None
    platform: str | None = None
    interval: float = 0.5

    def __post_init__(self) -> None:
        check_interval(self.interval)

    def build(self, context: SourceContext) -> ImageSource:
        """Open the folder.

        Args:
            context: names the platform.

        Raises:
            FleetError: what is wrong in its files.
            FileNotFoundError: no such folder, table or image.
        """
        from skyweave.fleet.sources.video import VideoSource

        folder = Path(self.path)
        camera_config = load_config_file(folder / "camera.yaml", FolderCameraConfig)
        check_eight_bit_sensor(get_sensor(camera_config.sensor))
        source = FolderSource if camera_config.video is None else VideoSource
        return source(folder, camera_config, self.platform or context.platform, self.crs, self.interval)


class FolderSource:
    """Images of a folder, one an interval, over and over.

    Args:
        folder: with ``poses.csv``.
        camera_config: content of ``camera.yaml``.
        platform: name of the platform.
        crs: reference system of the poses; None: a local frame.
        interval: seconds between frames.

    Raises:
        FileNotFoundError: no ``poses.csv``, or an image that is named there.
        FleetError: what is wrong in them.
    """

    def __init__(
        self, folder: Path, camera_config: FolderCameraConfig, platform: str, crs: str | None, interval: float
    ) -> None:
        self.interval = interval
        self.world_frame = WorldFrame(crs, GroundPlane(camera_config.ground))
        camera, table = camera_config.camera(), folder / "poses.csv"
        self.captures = [
            _capture(folder, row.cells, f"{table} line {row.line}", camera, camera_config, platform, crs)
            for row in read_table(table, COLUMNS)
        ]
        if not self.captures:
            raise FleetError(f"{table} lists no images")
        cameras = [capture.geometry for capture in self.captures if isinstance(capture.geometry, CameraGeometry)]
        check_ground_in_view(cameras, self.world_frame.ground, str(table))

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield the images by the wall clock.

        Args:
            clock: by which frames are due.
            stop: ends the frames.
        """
        for tick in schedule_ticks(clock, stop, self.interval):
            capture = self.captures[tick % len(self.captures)]
            yield frame_from_capture(capture, tick * round(self.interval * NS_PER_S))


def _capture(
    folder: Path,
    row: dict[str, str],
    location: str,
    camera: PinholeCamera,
    camera_config: FolderCameraConfig,
    platform: str,
    crs: str | None,
) -> Capture:
    path = folder / row["file"]
    if not path.exists():
        raise FileNotFoundError(f"{location} names {path}, which does not exist; check the name")
    x, y, z, *angles = parse_numbers(row, COLUMNS[1:], location)
    pose = camera_pose(np.array([x, y, z]), *np.radians(angles))
    geometry = CameraGeometry(camera, pose, crs, platform)

    def load() -> Observation:
        return observation_from_image(path.read_bytes(), geometry, camera_config.sensor, str(path), from_file=True)

    return Capture(camera_config.channel, platform, 0, geometry, load)

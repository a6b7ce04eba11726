"""A video with poses as a source: ``camera.yaml`` and ``poses.csv`` of a folder, see docs/fleet.md."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import frame_from_capture, schedule_ticks
from skyweave.fleet.sources.camera_folder import FolderCameraConfig, parse_numbers, read_table
from skyweave.fleet.sources.image_decoding import observation_from_pixels
from skyweave.recordings.recording import Capture, Frame

COLUMNS = ("time", "x", "y", "z", "yaw", "pitch", "roll")
MAX_DECODE_AHEAD_S = 2.0  # that are decoded through rather than sought
TIME_TOLERANCE_S = 1e-6


class VideoSource:
    """A video from its first pose to its last, in real time, over and over; between two poses they are interpolated.

    Args:
        folder: with ``poses.csv`` and the video.
        camera_config: content of ``camera.yaml``.
        platform: name of the platform.
        crs: reference system of the poses; None: a local frame.
        interval: seconds between frames.

    Raises:
        FileNotFoundError: no ``poses.csv``, or no such video.
        FleetError: what is wrong in them.
    """

    def __init__(
        self, folder: Path, camera_config: FolderCameraConfig, platform: str, crs: str | None, interval: float
    ) -> None:
        assert camera_config.video is not None
        self.camera_config, self.platform, self.crs, self.interval = camera_config, platform, crs, interval
        self.camera, self.world_frame = camera_config.camera(), WorldFrame(crs, GroundPlane(camera_config.ground))
        self.poses = _read_poses(folder / "poses.csv")
        path, size = folder / camera_config.video, (camera_config.rows, camera_config.columns)
        self.video = Video(path)
        if self.video.size != size:
            raise FleetError(f"{path} is {self.video.size} pixels; camera.yaml says {size[0]} x {size[1]}")

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield the video's images by the wall clock.

        Args:
            clock: by which frames are due.
            stop: ends the frames.
        """
        first, last = self.poses[0, 0], self.poses[-1, 0]
        count = int((last - first) / self.interval + TIME_TOLERANCE_S) + 1
        for tick in schedule_ticks(clock, stop, self.interval):
            capture = self.capture(first + tick % count * self.interval)
            yield frame_from_capture(capture, tick * round(self.interval * NS_PER_S))

    def capture(self, seconds: float) -> Capture:
        """Return what the camera sees at a time of the video.

        Args:
            seconds: from the beginning of the video.

        Raises:
            FleetError: the video cannot be decoded there.
        """
        x, y, z, yaw, pitch, roll = (np.interp(seconds, self.poses[:, 0], column) for column in self.poses.T[1:])
        pose = camera_pose(np.array([x, y, z]), float(yaw), float(pitch), float(roll))
        geometry = CameraGeometry(self.camera, pose, self.crs, self.platform)
        pixels = self.video.image_at(seconds)
        if self.camera_config.band_count() == 1:
            pixels = pixels.mean(-1, keepdims=True)
        observation = observation_from_pixels(
            pixels.transpose(2, 0, 1).astype(np.float32), geometry, self.camera_config.sensor, str(self.video.path)
        )
        return Capture(self.camera_config.channel, self.platform, 0, geometry, lambda: observation)


class Video:
    """Images of a video file by time; cheap in order.

    Args:
        path: of the file.

    Attributes:
        size: (rows, columns), pixels.

    Raises:
        FileNotFoundError: no such file.
        FleetError: it is no video.
    """

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no video {path}") from None
        except (av.FFmpegError, IndexError) as error:
            raise FleetError(f"{path} is no video: {error}") from None
        self.size = self._stream.height, self._stream.width
        self._time_base = float(self._stream.time_base or 1)
        self._start = (self._stream.start_time or 0) * self._time_base
        self._frames: Iterator[Any] = iter(())
        self._current: Any = None
        self._next: Any = None

    def image_at(self, seconds: float) -> np.ndarray:
        """Return the image shown at a time; after the end the last one.

        Args:
            seconds: from the beginning.

        Returns:
            (rows, columns, 3) uint8, RGB.

        Raises:
            FleetError: it cannot be decoded.
        """
        import av

        try:
            if not self._is_near(seconds):
                self._seek(seconds)
            while self._next is not None and self._time_of(self._next) <= seconds + TIME_TOLERANCE_S:
                self._current, self._next = self._next, next(self._frames, None)
            pixels: np.ndarray = self._current.to_ndarray(format="rgb24")
        except av.FFmpegError as error:
            raise FleetError(f"{self.path} cannot be decoded at {seconds:.2f} s: {error}") from None
        return pixels

    def _is_near(self, seconds: float) -> bool:
        """Return whether a time is reached by decoding on from the current image."""
        if self._current is None:
            return False
        return 0 <= seconds - self._time_of(self._current) <= MAX_DECODE_AHEAD_S

    def _seek(self, seconds: float) -> None:
        timestamp = round((seconds + self._start) / self._time_base)
        self._container.seek(timestamp, stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._current = next(self._frames, None)
        if self._current is None:  # beyond the last key frame of some containers
            self._container.seek(0)
            self._frames = self._container.decode(self._stream)
            self._current = next(self._frames, None)
        if self._current is None:
            raise FleetError(f"{self.path} holds no images")
        self._next = next(self._frames, None)

    def _time_of(self, frame: Any) -> float:
        return float(frame.pts * self._time_base - self._start)


def _read_poses(path: Path) -> np.ndarray:
    """Return (poses, 7) float64: seconds, metres, radians."""
    rows = [parse_numbers(row.cells, COLUMNS, f"{path} line {row.line}") for row in read_table(path, COLUMNS)]
    poses = np.array(rows, np.float64).reshape(-1, len(COLUMNS))
    if len(poses) < 2 or not (np.diff(poses[:, 0]) > 0).all():
        raise FleetError(f"{path} needs two poses or more, of growing times in seconds from the video's beginning")
    poses[:, 4:] = np.unwrap(np.radians(poses[:, 4:]), axis=0)
    return poses

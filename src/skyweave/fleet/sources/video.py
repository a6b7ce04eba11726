"""A video and where its camera was: ``camera.yaml`` and ``poses.csv`` of a folder, see docs/fleet.md."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.fleet.link.clocks import Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import platform_captures, schedule_ticks
from skyweave.fleet.sources.images import FolderCameraConfig, observation_from_pixels, parse_numbers, read_table
from skyweave.recordings.recording import Capture, Frame

COLUMNS = ("time", "x", "y", "z", "yaw", "pitch", "roll")
AHEAD = 2.0  # seconds that are decoded through rather than sought


class VideoSource:
    """A video from its first pose to its last, in real time, over and over; between two poses they are interpolated.

    Raises:
        FileNotFoundError: no ``poses.csv``, or no such video.
        ValueError: what is wrong in them.
    """

    def __init__(self, folder: Path, said: FolderCameraConfig, platform: str, crs: str | None, interval: float) -> None:
        assert said.video is not None
        self.said, self.platform, self.crs, self.interval = said, platform, crs, interval
        self.camera, self.place = said.camera(), WorldFrame(crs, GroundPlane(said.ground))
        path = folder / "poses.csv"
        table = [
            parse_numbers(row, COLUMNS, f"{path} line {line}")
            for line, row in enumerate(read_table(path, COLUMNS), start=2)
        ]
        self.poses = np.array(table, np.float64).reshape(-1, len(COLUMNS))
        if len(self.poses) < 2 or not (np.diff(self.poses[:, 0]) > 0).all():
            raise FleetError(f"{path} needs two poses or more, of growing times in seconds from the video's beginning")
        self.poses[:, 4:] = np.unwrap(np.radians(self.poses[:, 4:]), axis=0)
        self.video = Video(folder / said.video)
        if self.video.size != (said.rows, said.columns):
            raise FleetError(
                f"{folder / said.video} is {self.video.size} pixels; camera.yaml says {said.rows} x {said.columns}"
            )

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """See `skyweave.fleet.sources.base.ImageSource`."""
        first, last = self.poses[0, 0], self.poses[-1, 0]
        count = int((last - first) / self.interval + 1e-6) + 1
        for tick in schedule_ticks(clock, stop, self.interval):
            capture = self.capture(first + tick % count * self.interval)
            moment = platform_captures(
                Frame(0, {capture.channel: capture}), self.platform, tick * round(self.interval * 1e9)
            )
            assert moment is not None
            yield moment

    def capture(self, seconds: float) -> Capture:
        """What is seen at a time of the video."""
        x, y, z, yaw, pitch, roll = (np.interp(seconds, self.poses[:, 0], column) for column in self.poses.T[1:])
        pose = camera_pose(np.array([x, y, z]), float(yaw), float(pitch), float(roll))
        geometry = CameraGeometry(self.camera, pose, self.crs, self.platform)
        pixels = self.video.at(seconds)
        if self.said.bands() == 1:
            pixels = pixels.mean(-1, keepdims=True)
        observation = observation_from_pixels(
            pixels.transpose(2, 0, 1).astype(np.float32), geometry, self.said.sensor, str(self.video.path)
        )
        return Capture(self.said.channel, self.platform, 0, geometry, lambda: observation)


class Video:
    """Pictures of a video file by time; cheap in order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no video.
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
        self._base = float(self._stream.time_base or 1)
        self._start = (self._stream.start_time or 0) * self._base
        self._frames: Iterator[Any] = iter(())
        self._shown: Any = None
        self._next: Any = None

    def at(self, seconds: float) -> np.ndarray:
        """(rows, columns, 3) uint8: the picture shown so many seconds from the beginning; after the end the last one.

        Raises ``ValueError`` where it cannot be decoded.
        """
        import av

        try:
            if self._shown is None or seconds < self._time(self._shown) or seconds > self._time(self._shown) + AHEAD:
                self._seek(seconds)
            while self._next is not None and self._time(self._next) <= seconds + 1e-6:
                self._shown, self._next = self._next, next(self._frames, None)
            pixels: np.ndarray = self._shown.to_ndarray(format="rgb24")
        except av.FFmpegError as error:
            raise FleetError(f"{self.path} cannot be decoded at {seconds:.2f} s: {error}") from None
        return pixels

    def _seek(self, seconds: float) -> None:
        self._container.seek(round((seconds + self._start) / self._base), stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._shown = next(self._frames, None)
        if self._shown is None:  # beyond the last key frame of some containers
            self._container.seek(0)
            self._frames = self._container.decode(self._stream)
            self._shown = next(self._frames, None)
        if self._shown is None:
            raise FleetError(f"{self.path} holds no pictures")
        self._next = next(self._frames, None)

    def _time(self, frame: Any) -> float:
        return float(frame.pts * self._base - self._start)

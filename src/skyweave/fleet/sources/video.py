"""A video with poses as a source: ``camera.yaml`` and ``poses.csv`` of a folder, see docs/fleet.md."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.camera_checks import check_ground_in_view
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.images.video import TIME_TOLERANCE_S, Video
from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import frame_from_capture, schedule_ticks
from skyweave.fleet.sources.camera_folder import FolderCameraConfig, parse_numbers, read_table
from skyweave.fleet.sources.image_decoding import observation_from_pixels
from skyweave.recordings.recording import Capture, Frame

COLUMNS = ("time", "x", "y", "z", "yaw", "pitch", "roll")


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
        cameras = [self._geometry(pose[1:]) for pose in self.poses]
        check_ground_in_view(cameras, self.world_frame.ground, str(folder / "poses.csv"))
        self.video = Video(folder / camera_config.video)
        _check_video(self.video, camera_config, self.poses)

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
        pixels, taken = self.video.image_at(seconds)  # frames may be far apart: the pose is that of the image
        geometry = self._geometry(np.array([np.interp(taken, self.poses[:, 0], row) for row in self.poses.T[1:]]))
        if self.camera_config.band_count() == 1:
            pixels = pixels.mean(-1, keepdims=True)
        observation = observation_from_pixels(
            pixels.transpose(2, 0, 1).astype(np.float32), geometry, self.camera_config.sensor, str(self.video.path)
        )
        return Capture(self.camera_config.channel, self.platform, 0, geometry, lambda: observation)

    def _geometry(self, numbers: np.ndarray) -> CameraGeometry:
        """Return the camera at x, y, z, yaw, pitch and roll."""
        yaw, pitch, roll = map(float, numbers[3:])
        return CameraGeometry(self.camera, camera_pose(numbers[:3], yaw, pitch, roll), self.crs, self.platform)


def _check_video(video: Video, camera_config: FolderCameraConfig, poses: np.ndarray) -> None:
    """Raise an error for a video that does not fit its camera or its poses."""
    size = (camera_config.rows, camera_config.columns)
    _check_size(video, size, camera_config)
    _check_times(poses, video)


def _check_size(video: Video, size: tuple[int, int], camera_config: FolderCameraConfig) -> None:
    """Check that the images of a video are those of its camera."""
    if video.size != size:
        raise FleetError(f"{video.path} is {video.size} pixels; camera.yaml says {size[0]} x {size[1]}")
    if not video.square_pixels and camera_config.intrinsics is None:
        raise FleetError(
            f"pixels of {video.path} are not square, and field_of_view of camera.yaml means square ones: give "
            "intrinsics"
        )


def _check_times(poses: np.ndarray, video: Video) -> None:
    """Check that the poses lie within the video."""
    first, last = poses[0, 0], poses[-1, 0]
    if first < -TIME_TOLERANCE_S or (video.duration is not None and last > video.duration + TIME_TOLERANCE_S):
        ends = "" if video.duration is None else f" to {video.duration:.2f} s"
        raise FleetError(
            f"poses.csv has poses from {first:g} to {last:g} s, {video.path.name} images from 0{ends}: both count "
            "seconds from the beginning of the video"
        )


def _read_poses(path: Path) -> np.ndarray:
    """Return (poses, 7) float64: seconds, metres, radians."""
    rows = [parse_numbers(row.cells, COLUMNS, f"{path} line {row.line}") for row in read_table(path, COLUMNS)]
    poses = np.array(rows, np.float64).reshape(-1, len(COLUMNS))
    if len(poses) < 2 or not (np.diff(poses[:, 0]) > 0).all():
        raise FleetError(f"{path} needs two poses or more, of growing times in seconds from the video's beginning")
    poses[:, 4:] = np.unwrap(np.radians(poses[:, 4:]), axis=0)
    return poses

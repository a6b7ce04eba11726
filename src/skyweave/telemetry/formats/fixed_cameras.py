"""Cameras that stand still, from a file of their calibration: a pose that holds at all times of the images."""

from pathlib import Path

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.core.geometry.geodesy import LocalFrame
from skyweave.recordings.calibration import load_calibration
from skyweave.telemetry.poses_over_time import NS_PER_S
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples

LASTS_S = 1_000_000  # of a log without an end
POSITION_STD_M, ROTATION_STD = 0.02, np.radians(0.1)  # of a calibration with a target or a total station
LEVEL_NOTE = "the ground about a fixed camera is taken as level as about a drone; of a floor, give --elevation-std 0.02"
MARKS = (b'"R_world_to_cam"', b"<camera ")


class FixedCameraReader:
    """The calibration of cameras in a local world: x to the east, y to the north, z up from the ground."""

    description = "calibrations of fixed cameras (JSON or Qualisys XML)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file is a calibration.

        Args:
            path: of the file.
            head: its first bytes.
        """
        return path.is_file() and any(mark in head for mark in MARKS)

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read the pose of one camera.

        Args:
            path: of the calibration, see `load_calibration`.
            options: ``camera`` is its name; default: that of the images, or the only one. ``origin`` is where the
                calibration's world begins.

        Raises:
            ConfigError: no origin, or none of the cameras has the name.
            DataError: a damaged calibration.
        """
        if options.origin is None:
            raise ConfigError(
                f"{path} has places in a world of its own; say where its zero lies, on the ground, x to the east and y "
                "to the north, with --origin LATITUDE LONGITUDE HEIGHT"
            )
        geometry = _choose_camera(load_calibration(path), path, options)
        return _standing_samples(geometry, path.name, LocalFrame(*options.origin))


def _choose_camera(cameras: dict[str, CameraGeometry], path: Path, options: ReadOptions) -> CameraGeometry:
    name = options.camera or options.images
    if name in cameras:
        return cameras[name]
    if len(cameras) == 1 and not options.camera:
        return next(iter(cameras.values()))
    raise DataError(
        f"{path} has no camera {name!r}, it has {', '.join(sorted(cameras))}: name each video after its camera, such "
        f"as {sorted(cameras)[0]}.mp4"
    )


def _standing_samples(geometry: CameraGeometry, source: str, frame: LocalFrame) -> LogSamples:
    """Two samples alike, between which nothing moves."""
    times = np.array([0, LASTS_S], np.int64) * NS_PER_S
    pose = geometry.world_from_camera
    latitude, longitude, height = frame.to_geographic(pose[None, :3, 3])[0]
    stds = np.repeat([POSITION_STD_M, ROTATION_STD], 3)

    def repeated(value: float | np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, np.float64), (len(times), *np.shape(value)))

    return LogSamples(
        source,
        times,
        "video",
        {"latitude": repeated(latitude), "longitude": repeated(longitude)},
        {"ground": repeated(pose[2, 3]), "ellipsoid": repeated(height)},
        {"ground": POSITION_STD_M, "ellipsoid": POSITION_STD_M},
        enu_from_camera=repeated(quaternion_from_rotation(pose[:3, :3])),
        covariance=repeated(np.diag(stds**2)),
        camera=geometry.camera,
        platform=geometry.name,
        is_fixed=True,
        missing={"utc": "a calibration says nothing of the time"},
        notes=(LEVEL_NOTE,),
    )

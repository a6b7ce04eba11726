"""What a log does not say, supplied by the user or by the flight itself: height, where the camera looks, the lens."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.camera_checks import check_camera
from skyweave.core.geometry.conventions import pose_from_dji
from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_from_quaternion, yaw_from_rotation
from skyweave.core.geometry.geodesy import MAX_HEIGHT_M
from skyweave.telemetry.interpolation import pose_rates
from skyweave.telemetry.poses_over_time import NS_PER_S, HeightDatum, Heights, MissingTopic, PosesOverTime

COURSE_STD_DEGREES = 10.0  # by which a drone does not fly where its camera looks
GIVEN_PITCH_STD_DEGREES = 2.0  # of a pitch that somebody remembers
GIVEN_HEADING_STD_DEGREES = 5.0
GIVEN_HEIGHT_STD_M = 3.0
BROWN_MODELS = ("plumb_bob", "opencv", "pinhole", "radtan", "perspective", "brown", "brown-conrady", "none")
ANGLE_RULE = (
    "heights must count upwards, a gimbal's pitch in a log must be negative below the horizon (-90 straight down), and "
    "that of --pitch positive (90 straight down)"
)
MIN_SPEED = 1.0  # m/s, from which the direction of flight is known


@dataclass(frozen=True)
class LogCompletion:
    """What the user says where the log is silent; what is said here counts before the log.

    Attributes:
        height: metres above the ground.
        pitch: degrees below the horizon.
        heading: degrees clockwise from north, of the camera.
        field_of_view: horizontal, degrees.
        camera: calibration file.
        start: UTC time of the first image, ISO 8601.
    """

    height: float | None = None
    pitch: float | None = None
    heading: float | None = None
    field_of_view: float | None = None
    camera: Path | None = None
    start: str | None = None


def complete_log(poses: PosesOverTime, completion: LogCompletion) -> PosesOverTime:
    """Return a log with what the user supplies, and notes on what was assumed.

    Args:
        poses: of the log.
        completion: by the user.

    Raises:
        DataError: it still does not say where the camera is or looks; the message names the option.
    """
    if completion.start is not None:
        poses = _with_start(poses, parse_utc(completion.start))
    if completion.height is not None:
        check_height(completion.height)
        heights: dict[HeightDatum, Heights] = {
            "ground": Heights(np.full(len(poses), completion.height), GIVEN_HEIGHT_STD_M)
        }
        poses = _without(replace(poses, heights=heights), "height")
    if completion.pitch is not None or completion.heading is not None:
        poses = _with_orientation(poses, completion)
    poses.require("position", "height", "orientation")
    return poses


def _with_start(poses: PosesOverTime, start: int) -> PosesOverTime:
    """Return a log with the UTC of its video's clock, or of a clock that is tied to nothing but its first pose."""
    if poses.clock == "video":
        return _without(replace(poses, epoch=start), "utc")
    if poses.knows("utc"):
        return poses
    notes = (*poses.notes, f"--start is taken to be when the first pose of {poses.source} was")
    return _without(replace(poses, epoch=start - int(poses.times[0]), notes=notes), "utc")


def check_height(height: float) -> None:
    """Refuse a height at which no camera is.

    Args:
        height: above the ground, by the user, metres.

    Raises:
        ConfigError: it is beyond what flies.
    """
    if not abs(height) <= MAX_HEIGHT_M:
        raise ConfigError(f"height {height:g} must be metres above the ground, {MAX_HEIGHT_M:g} at most")


def parse_utc(text: str) -> int:
    """Return nanoseconds since 1970 of an ISO 8601 time.

    Args:
        text: by the user, with its zone or in UTC.

    Raises:
        ConfigError: it is none.
    """
    form = "write it as 2026-11-30T14:02:00.5 in UTC, or with its zone as 2026-11-30T16:02:00.5+02:00"
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"--start {text} is no time; {form}") from None
    if ":" not in text:
        raise ConfigError(f"--start {text} has no time of day; {form}")
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000


def camera_of(poses: PosesOverTime, completion: LogCompletion, size: tuple[int, int] | None) -> PinholeCamera:
    """Return the camera of a log for images of a size.

    Args:
        poses: of the log.
        completion: by the user.
        size: rows and columns of the images; None: those of the calibration.

    Raises:
        DataError: nobody says anything of the lens, or of the size of the images; or numbers that are no camera's.
    """
    camera = _stated_camera(poses, completion, size)
    check_camera(camera, poses.source if completion.camera is None else str(completion.camera))
    if size is None or (camera.rows, camera.columns) == size:
        return camera
    of_camera, of_images = camera.columns / camera.rows, size[1] / size[0]
    if abs(of_camera / of_images - 1) > 0.01:
        raise DataError(
            f"{poses.source}: the camera's images are {camera.columns} x {camera.rows}, these {size[1]} x {size[0]}, "
            "of another shape; give the field of view of these with --fov"
        )
    return camera.resized(*size)


def _stated_camera(poses: PosesOverTime, completion: LogCompletion, size: tuple[int, int] | None) -> PinholeCamera:
    if completion.camera is not None:
        return read_camera(completion.camera)
    if completion.field_of_view is None and poses.camera is not None:
        return poses.camera
    if completion.field_of_view is None:
        poses.require("lens")
    if size is None:
        raise DataError("the images are not here, so their size is not known; give it with --camera")
    horizontal = (
        np.radians(completion.field_of_view)
        if completion.field_of_view is not None
        else float(np.nanmedian(poses.field_of_view[:, 0]))
    )
    return PinholeCamera.from_field_of_view(horizontal, *size)


def read_camera(path: Path) -> PinholeCamera:
    """Read a calibration: YAML or JSON with ``rows``, ``columns``, ``intrinsics`` (3 x 3) and perhaps ``distortion``.

    ROS's files are read, too (``image_width``, ``image_height``, ``camera_matrix``, ``distortion_coefficients``).

    Args:
        path: of the file.

    Raises:
        DataError: it is none, or of a lens that is not read.
    """
    import yaml

    try:
        content = _from_ros(yaml.safe_load(path.read_text("utf-8")))
        distortion = _brown_coefficients(content, path)
        return PinholeCamera(
            np.array(content["intrinsics"], np.float64).reshape(3, 3),
            int(content["rows"]),
            int(content["columns"]),
            distortion,
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is no calibration: {' '.join(str(error).split())}; it needs rows, columns, intrinsics (3 x 3, in "
            "pixels) and perhaps distortion (k1 k2 p1 p2 k3)"
        ) from None


def _from_ros(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a calibration by our keys; ROS's ``camera_info`` files count pixels from the centre of the first one."""
    if "camera_matrix" not in content:
        return content
    matrix = np.array(content["camera_matrix"]["data"], np.float64).reshape(3, 3)
    matrix[:2, 2] += 0.5
    return {
        "rows": content["image_height"],
        "columns": content["image_width"],
        "intrinsics": matrix,
        "distortion": content["distortion_coefficients"]["data"],
        "distortion_model": content.get("distortion_model", ""),
    }


def _brown_coefficients(content: Mapping[str, Any], path: Path) -> tuple[float, float, float, float, float]:
    """Return k1 k2 p1 p2 k3 of a calibration; an error for those of other models, which mean other things."""
    model = next((str(value) for key, value in content.items() if "model" in str(key).lower()), "")
    numbers = [float(number) for number in content.get("distortion", ())]
    if (model and model.lower() not in BROWN_MODELS) or any(numbers[5:]):
        lens = f"the lens model {model!r}" if model else f"{len(numbers)} distortion coefficients"
        raise DataError(
            f"{path} has {lens}, and only k1 k2 p1 p2 k3 of a pinhole camera are read; undistort the images, such as "
            "with OpenCV's initUndistortRectifyMap and remap, and give the new intrinsics without distortion"
        )
    k1, k2, p1, p2, k3 = (*numbers, *[0.0] * (5 - len(numbers)))[:5]
    return k1, k2, p1, p2, k3


def _with_orientation(poses: PosesOverTime, completion: LogCompletion) -> PosesOverTime:
    """Return the log with the camera's orientation of the user; heading may come from the body, or the flight."""
    headings, heading_std, note = _headings(poses, completion)
    pitches, pitch_std = _pitches(poses, completion)
    zero = np.zeros(3)
    rotations = np.stack([
        pose_from_dji(zero, yaw, -pitch)[:3, :3] for yaw, pitch in zip(headings, pitches, strict=True)
    ])  # fmt: skip
    covariance = poses.covariance.copy()
    tilt = np.radians(pitch_std) ** 2
    covariance[:, 3:, 3:] = np.diag([tilt, tilt, np.radians(heading_std) ** 2])
    completed = replace(
        poses,
        enu_from_camera=quaternion_from_rotation(rotations),
        covariance=covariance,
        notes=(*poses.notes, *note),
    )
    return _without(_without(completed, "orientation"), "heading")


def _headings(poses: PosesOverTime, completion: LogCompletion) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Return (n,) degrees clockwise from north, their standard deviation, and what to note."""
    if completion.heading is not None:
        return np.full(len(poses), completion.heading), GIVEN_HEADING_STD_DEGREES, ()
    body = np.isfinite(poses.enu_from_body).all(1)
    if body.any():
        known = rotation_from_quaternion(poses.enu_from_body[body])
        degrees = 90 - np.degrees(yaw_from_rotation(known))
        return (
            _filled(degrees, body),
            GIVEN_HEADING_STD_DEGREES,
            ("the camera is taken to look along the heading in the log",),
        )
    velocity, _ = pose_rates(poses, poses.times, 1.0)
    moving = np.hypot(velocity[:, 0], velocity[:, 1]) > MIN_SPEED
    if not moving.any():
        poses.require("heading")
        raise DataError(f"{poses.source}: it has no heading, and the drone does not move; give it with --heading")
    degrees = 90 - np.degrees(np.arctan2(velocity[moving, 1], velocity[moving, 0]))
    note = f"the camera is taken to look where the drone flies, within {COURSE_STD_DEGREES:g} degrees"
    return _filled(degrees, moving), COURSE_STD_DEGREES, (note,)


def _pitches(poses: PosesOverTime, completion: LogCompletion) -> tuple[np.ndarray, float]:
    """Return (n,) degrees below the horizon and their standard deviation."""
    if completion.pitch is not None:
        return np.full(len(poses), completion.pitch), GIVEN_PITCH_STD_DEGREES
    poses.require("orientation")
    known = np.isfinite(poses.enu_from_camera).all(1)
    forward = rotation_from_quaternion(poses.enu_from_camera[known])[:, :, 2]
    return _filled(np.degrees(np.arcsin(np.clip(-forward[:, 2], -1, 1))), known), 1.0


def _filled(degrees: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return angles everywhere: between those that are known, the nearest way round."""
    rows = np.flatnonzero(known)
    unwrapped = np.unwrap(degrees, period=360)
    return np.asarray(np.interp(np.arange(len(known)), rows, unwrapped))


def _without(poses: PosesOverTime, topic: MissingTopic) -> PosesOverTime:
    missing: Mapping[MissingTopic, str] = {name: text for name, text in poses.missing.items() if name != topic}
    return replace(poses, missing=missing)

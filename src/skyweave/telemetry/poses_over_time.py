"""Where a camera was and where it looked, over time, as a log tells it: with its uncertainty, and with what it lacks.

Every reader of telemetry gives a `PosesOverTime`; everything after it (interpolation, maps, recordings, the location
of detections) takes one. A log that says nothing of something is a fact: the values are NaN, and ``missing`` says in
words what is not there. What cannot do without it refuses by `PosesOverTime.require`, which names the option that
supplies it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera

ClockName = Literal["utc", "video", "boot", "local"]
HeightDatum = Literal["ellipsoid", "sea_level", "takeoff", "ground", "unstated"]
MissingTopic = Literal["position", "height", "orientation", "heading", "utc", "lens"]

NS_PER_S = 1_000_000_000
EARLIEST_UTC_S = 946_684_800  # 2000: stamps before it count from a computer's start, or from elsewhere
REMEDIES: dict[MissingTopic, str] = {
    "position": "give a log that has it with --telemetry",
    "height": "give metres above the ground with --height",
    "orientation": "give the camera's pitch with --pitch, degrees below the horizon, and its compass heading with "
    "--heading unless it looks along the direction of flight",
    "heading": "give the compass heading with --heading",
    "utc": "give the UTC time of the first image with --start",
    "lens": "give the horizontal field of view in degrees with --fov, or a calibration with --camera",
}
UNIT_TOLERANCE = 1e-3  # by which the length of a quaternion may differ from 1


@dataclass(frozen=True)
class Heights:
    """Heights over one datum.

    Attributes:
        values: (n,) metres, NaN where the log says nothing.
        bias_std: standard deviation in metres of the error that all values share: the drift of a barometer, the
            geoid that somebody forgot. It is not in the covariance of the poses.
    """

    values: np.ndarray
    bias_std: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, np.float64).reshape(-1))
        if not self.bias_std >= 0:
            raise DataError(f"standard deviation {self.bias_std} of heights must be metres >= 0")


@dataclass(frozen=True)
class PosesOverTime:
    """Poses of one camera on its platform, in order of time.

    Frames. Places are WGS84. Orientations are rotations to the local east-north-up axes at the place (*true* north,
    not a grid's), as quaternions ``wxyz``, of any sign. A camera's axes are OpenCV's (x right, y down, z forward), a
    body's are forward, right, down. `skyweave.telemetry.project_poses` makes ``world_from_camera`` on a map of them.

    Uncertainty. ``covariance`` is that of small errors (east, north, up in metres; rotation vector about the east,
    north and up axes in radians): the true rotation is ``exp(error) @ enu_from_camera``, so that the last component
    is the error of the heading, whatever the camera looks at. It is the whole error of each pose; errors of
    neighbouring poses are highly correlated (a compass is off by the same angle for minutes). Where the camera's
    orientation is unknown and the body's known, the block of rotations is the body's.

    Times. ``times`` count nanoseconds on ``clock``: ``utc``, since 1970; ``video``, since the first image of the video
    that the log belongs to; ``boot``, since the platform's computer was started; ``local``, since 1970 by a clock whose
    zone is not stated. ``epoch`` is the UTC time of their zero.

    Attributes:
        source: file or topic, for messages.
        times: (n,) int64 nanoseconds, growing.
        clock: what they count from.
        places: (n, 2) latitude and longitude in degrees; NaN where there is no fix. Longitudes may go on beyond 180
            where a flight crosses the antimeridian.
        heights: by what they count from: the WGS84 ``ellipsoid``, mean ``sea_level``, the place of ``takeoff``, or the
            ``ground`` beneath, or ``unstated``: firmware differ in what they mean by an altitude.
        enu_from_camera: (n, 4) orientation of the camera; NaN where unknown.
        enu_from_body: (n, 4) orientation of the platform; NaN where unknown.
        covariance: (n, 6, 6), see above; a block is NaN where what it belongs to is.
        epoch: UTC nanoseconds since 1970 at which ``times`` are 0; None where unknown.
        time_std: standard deviation in seconds of the error that all times share, such as a log's delay to a video.
        field_of_view: (n, 2) horizontal and vertical in radians; NaN where unknown.
        camera: intrinsics, where the log has a calibration.
        platform: name of the platform; empty if unknown.
        is_fixed: whether the camera stands still, so that between two poses nothing moves, however far apart they are.
        missing: what the log does not say, in words, by topic.
        notes: what was assumed and what should be looked at.

    Raises:
        DataError: no pose, shapes that do not fit, times that do not grow, or values that are no poses.
    """

    source: str
    times: np.ndarray
    clock: ClockName
    places: np.ndarray
    heights: Mapping[HeightDatum, Heights]
    enu_from_camera: np.ndarray
    enu_from_body: np.ndarray
    covariance: np.ndarray
    epoch: int | None = None
    time_std: float = 0.0
    field_of_view: np.ndarray = field(default_factory=lambda: np.full((1, 2), np.nan))
    camera: PinholeCamera | None = None
    platform: str = ""
    is_fixed: bool = False
    missing: Mapping[MissingTopic, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(np.asarray(self.times))
        fields_of_view = np.asarray(self.field_of_view, np.float64)
        object.__setattr__(self, "times", np.asarray(self.times, np.int64))
        object.__setattr__(self, "field_of_view", np.broadcast_to(fields_of_view, (n, 2)))
        for name, shape in _SHAPES.items():
            values = np.asarray(getattr(self, name), np.float64)
            if values.shape != (n, *shape):
                raise DataError(f"{self.source}: {name} of {n} poses have shape {values.shape}, not {(n, *shape)}")
            object.__setattr__(self, name, values)
        _check(self)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> np.ndarray:
        """Return the times in seconds on the clock: (n,) float64."""
        return np.asarray(self.times / NS_PER_S)

    @property
    def utc(self) -> np.ndarray:
        """Return the times as UTC nanoseconds since 1970: (n,) int64.

        Raises:
            DataError: it is not known; the message names the option that supplies it.
        """
        self.require("utc")
        assert self.epoch is not None
        return self.times + np.int64(self.epoch)

    def knows(self, topic: MissingTopic) -> bool:
        """Return whether the log, or whoever completed it, says something of a topic.

        Args:
            topic: ``orientation`` is that of the camera.
        """
        known = {
            "position": bool(np.isfinite(self.places).all(1).any()),
            "height": any(np.isfinite(heights.values).any() for heights in self.heights.values()),
            "orientation": bool(np.isfinite(self.enu_from_camera).all(1).any()),
            "heading": bool(np.isfinite([self.enu_from_camera, self.enu_from_body]).all(2).any()),
            "utc": self.epoch is not None,
            "lens": self.camera is not None or bool(np.isfinite(self.field_of_view[:, 0]).any()),
        }
        return known[topic]

    def require(self, *topics: MissingTopic) -> None:
        """Refuse to go on without something.

        Args:
            topics: what is needed.

        Raises:
            DataError: the log does not say it; the message says what is missing and which option supplies it.
        """
        for topic in topics:
            if not self.knows(topic):
                reason = self.missing.get(topic, f"it says nothing of the {topic}")
                raise DataError(f"{self.source}: {reason}; {REMEDIES[topic]}")

    def select(self, indices: np.ndarray) -> "PosesOverTime":
        """Return some of the poses.

        Args:
            indices: (k,) integers in growing order, or (n,) bool.
        """
        heights: dict[HeightDatum, Heights] = {
            datum: replace(heights, values=heights.values[indices]) for datum, heights in self.heights.items()
        }
        arrays = {name: getattr(self, name)[indices] for name in ("times", "field_of_view", *_SHAPES)}
        return replace(self, heights=heights, **arrays)


_SHAPES: dict[str, tuple[int, ...]] = {
    "places": (2,),
    "enu_from_camera": (4,),
    "enu_from_body": (4,),
    "covariance": (6, 6),
}


def _check(poses: PosesOverTime) -> None:
    """Refuse poses that are none."""
    source, n = poses.source, len(poses)
    if not n:
        raise DataError(f"{source} holds no poses")
    if (np.diff(poses.times) <= 0).any():
        raise DataError(f"{source}: times of poses must grow; sort them and leave repeated ones out")
    for datum, heights in poses.heights.items():
        if len(heights.values) != n:
            raise DataError(f"{source}: {len(heights.values)} heights above {datum} for {n} poses")
    latitudes = poses.places[np.isfinite(poses.places).all(1), 0]
    if (np.abs(latitudes) > 90).any():
        raise DataError(f"{source}: latitude {latitudes[np.abs(latitudes) > 90][0]:g} is no place on the Earth")
    for name in ("enu_from_camera", "enu_from_body"):
        lengths = np.linalg.norm(getattr(poses, name), axis=1)
        if (np.abs(lengths[np.isfinite(lengths)] - 1) > UNIT_TOLERANCE).any():
            raise DataError(f"{source}: quaternions of {name} must have length 1")
    variances = np.diagonal(poses.covariance, axis1=1, axis2=2)
    if (variances[np.isfinite(variances)] < 0).any():
        raise DataError(f"{source}: variances of poses must not be negative")

"""Pictures of a ROS 2 camera, over Zenoh: from ``rmw_zenoh``, or through zenoh-bridge-ros2dds from other middleware.

Three topics make a capture: pictures, the camera's intrinsics, and poses, which are interpolated to the moment of the
picture. Their messages come in CDR, as ROS 2 sends them, and are read by rosbags; no ROS is needed here. Frames are
those of REP 103 and REP 105: bodies look along x, with y to the left and z up; the world is east, north, up.
"""

import bisect
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose, make_transform, rotation_from_quaternion
from skyweave.core.geometry.ground import GroundPlane
from skyweave.fleet.config import ROS_IMAGES, ROS_POSES, RosConfig
from skyweave.fleet.link.clocks import Clock
from skyweave.fleet.node.latest_value import LatestValue
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import platform_captures
from skyweave.fleet.sources.images import decode_image, observation_from_pixels
from skyweave.recordings.recording import Capture, Frame

ENCODINGS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0)),
             "mono8": (1, (0,)), "8UC1": (1, (0,)), "8UC3": (3, (2, 1, 0))}  # fmt: skip
log = logging.getLogger("skyweave.fleet")
REMEMBERED = 400  # poses
POLL = 0.1
PATIENCE = 5.0  # seconds without a picture after which it is said why
EARLY = 0.9  # of an interval after which the next picture is taken
BACK = 1_000_000_000  # nanoseconds: stamps that go back farther are of a clock that was set anew


class RosSource:
    """A platform's camera. Messages that are not what they should be, and pictures without intrinsics or a pose, are
    left out and counted; what is missing is logged while no picture comes through.

    Attributes:
        refused: messages, by what they should have been: ``image``, ``info`` or ``pose``.
    """

    def __init__(
        self,
        config: RosConfig,
        platform: str,
        crs: str | None,
        interval: float,
        subscribe: Callable[..., Callable[[], None]],
    ) -> None:
        from rosbags.typesys import Stores, get_typestore

        self.config, self.platform, self.crs, self.interval = config, platform, crs, interval
        self.place = WorldFrame(crs, GroundPlane(config.ground))
        self.refused: Counter[str] = Counter()
        self._error: dict[str, str] = {}
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._images: LatestValue[bytes] = LatestValue()
        self._info: PinholeCamera | None = None
        self._poses: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=REMEMBERED)
        self._arrived = threading.Condition()
        self._ends = [
            subscribe(config.image, lambda _, message: self._images.put(message)),
            subscribe(config.info, lambda _, message: self._guarded("info", self._read_info, message)),
            subscribe(config.pose, lambda _, message: self._guarded("pose", self._read_pose, message)),
        ]

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """See `skyweave.fleet.sources.base.ImageSource`; the newest picture first, those in between are left out."""
        last, told = 0, monotonic()
        try:
            while not stop.is_set():
                message = self._images.take(POLL)
                capture = None if message is None else self._guarded("image", self._capture, message, last)
                if capture is None:
                    if monotonic() - told > PATIENCE:
                        log.warning(f"no picture for {PATIENCE:.0f} s: {self._missing()}")
                        told = monotonic()
                    continue
                told = monotonic()
                last = capture.time
                moment = platform_captures(Frame(capture.time, {capture.channel: capture}), self.platform, 0)
                assert moment is not None
                yield moment
        finally:
            for end in self._ends:
                end()

    def _guarded(self, what: str, read: Callable[..., Any], *arguments: Any) -> Any:
        """What ``read`` gives; None, counted, for messages that are not what they should be."""
        try:
            return read(*arguments)
        except Exception as error:  # any bytes may come, and rosbags raises what its parsing runs into
            self.refused[what] += 1
            self._error[what] = " ".join(str(error).split())[:200] or type(error).__name__
            return None

    def _missing(self) -> str:
        """Why no picture comes through."""
        said = []
        for what, key, there in (
            ("image", self.config.image, True),
            ("info", self.config.info, self._info is not None),
            ("pose", self.config.pose, bool(self._poses)),
        ):
            if self.refused[what]:
                said.append(
                    f"{self.refused[what]} messages under {key} were left out, the last for: {self._error[what]}"
                )
            elif not there:
                said.append(f"nothing has come under {key}")
        return "; ".join(said) or f"nothing comes under {self.config.image}"

    def _read(self, message: bytes, kind: str) -> Any:
        return self._types.deserialize_cdr(message, kind)

    def _read_info(self, message: bytes) -> None:
        said = self._read(message, "sensor_msgs/msg/CameraInfo")
        distortion = np.asarray(said.d, np.float64)
        if said.distortion_model not in ("", "plumb_bob") and distortion.any():
            raise FleetError(f"distortion model {said.distortion_model!r} is not known; rectify the pictures first")
        padded = tuple(float(value) for value in np.pad(distortion[:5], (0, 5 - len(distortion[:5]))))
        intrinsics = np.array(said.k, np.float64).reshape(3, 3)
        intrinsics[:2, 2] += 0.5  # ROS has the centre of the first pixel at 0
        self._info = PinholeCamera(intrinsics, int(said.height), int(said.width), padded)  # type: ignore[arg-type]

    def _read_pose(self, message: bytes) -> None:
        said = self._read(message, self.config.pose_type)
        pose = said.pose if self.config.pose_type == ROS_POSES[0] else said.pose.pose
        position = np.array([pose.position.x, pose.position.y, pose.position.z])
        quaternion = np.array([pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z])
        if not np.isfinite(position).all():
            raise FleetError("a position is not finite")
        rotation_from_quaternion(quaternion)  # raises for what is none
        with self._arrived:
            stamp = _stamp(said.header)
            if self._poses and self._poses[-1][0] - stamp > BACK:
                self._poses.clear()
            if not self._poses or stamp > self._poses[-1][0]:
                self._poses.append((stamp, position, quaternion / np.linalg.norm(quaternion)))
            self._arrived.notify_all()

    def _capture(self, message: bytes, last: int) -> Capture | None:
        said = self._read(message, self.config.image_type)
        time = _stamp(said.header)
        if last - BACK < time < last + EARLY * self.interval * 1e9:
            return None
        camera, body = self._info, self._pose_at(time)
        if camera is None or body is None:
            raise FleetError("no intrinsics have come" if camera is None else "no pose near its time has come")
        pose = body if self.config.mount is None else body @ camera_mount(self.config.mount)
        pose[:3, 3] += self.config.origin
        geometry = CameraGeometry(camera, pose, self.crs, self.platform)
        if self.config.image_type == ROS_IMAGES[0]:
            pixels = decode_image(bytes(said.data), geometry, self.config.sensor, self.config.image)
        else:
            pixels = _raw_pixels(said)
        observation = observation_from_pixels(pixels, geometry, self.config.sensor, self.config.image)
        return Capture(self.config.channel, self.platform, time, geometry, lambda: observation)

    def _pose_at(self, time: int) -> np.ndarray | None:
        """(4, 4) the world from what the pose is of, between the poses before and after."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._poses) and self._poses[-1][0] >= time, self.config.patience)
            poses = list(self._poses)
        after = bisect.bisect_left([stamp for stamp, _, _ in poses], time)
        near = [pose for pose in poses[max(after - 1, 0) : after + 1] if abs(pose[0] - time) <= 1e9 * self.interval]
        if not near:
            return None
        first, second = near[0], near[-1]
        share = np.clip((time - first[0]) / max(second[0] - first[0], 1), 0, 1)
        sign = 1 if first[2] @ second[2] >= 0 else -1
        rotation = rotation_from_quaternion((1 - share) * first[2] + share * sign * second[2])
        return make_transform(rotation, (1 - share) * first[1] + share * second[1])


def camera_mount(mount: tuple[float, ...]) -> np.ndarray:
    """(4, 4) body from camera (optical frame), of metres forward, left, up and degrees of yaw, pitch, roll."""
    return camera_pose(np.array(mount[:3]), *np.radians(mount[3:]))


def _stamp(header: Any) -> int:
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def _raw_pixels(said: Any) -> np.ndarray:
    """(bands, rows, columns) of a sensor_msgs/msg/Image. Raises ``ValueError``."""
    if said.encoding not in ENCODINGS:
        raise FleetError(f"encoding {said.encoding!r} is not read; there are {', '.join(ENCODINGS)}")
    channels, order = ENCODINGS[said.encoding]
    data = np.asarray(said.data, np.uint8)
    if said.step < said.width * channels or len(data) < said.step * said.height:
        raise FleetError(f"{len(data)} bytes are no picture of {said.height} x {said.width} {said.encoding}")
    rows = data[: said.step * said.height].reshape(said.height, said.step)[:, : said.width * channels]
    return rows.reshape(said.height, said.width, channels)[..., list(order)].transpose(2, 0, 1).astype(np.float32)

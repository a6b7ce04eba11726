"""Images of a ROS 2 camera as a source, over Zenoh: from ``rmw_zenoh``, or through zenoh-bridge-ros2dds.

Three topics make a capture: images, the camera's intrinsics, and poses, which are interpolated to the time of the
image. rosbags reads the messages; no ROS is needed here.
"""

import bisect
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from skyweave.core.errors import ConfigError, FleetError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import make_transform, rotation_from_quaternion
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.sensors import get_sensor
from skyweave.fleet.link.clocks import NS_PER_S, Clock, to_clock
from skyweave.fleet.node.latest_value import LatestValue
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.detected_capture import detected_capture, no_image
from skyweave.fleet.sources.base import SourceConfig, SourceContext, check_interval, frame_from_capture
from skyweave.fleet.sources.image_decoding import check_eight_bit_sensor, decode_image, observation_from_pixels
from skyweave.fleet.sources.ros_messages import (
    COMPRESSED_IMAGE,
    IMAGE_TYPES,
    POSE_STAMPED,
    POSE_TYPES,
    StampedPose,
    boxes_from_message,
    camera_mount,
    check_compressed_format,
    pixels_from_raw_image,
    pose_from_message,
    stamp_ns,
)
from skyweave.fleet.sources.topic_session import TopicSession, open_topic_session
from skyweave.locating.vision_messages import DETECTIONS_2D, vision_types
from skyweave.recordings.recording import Capture, Frame
from skyweave.recordings.ros_camera_info import camera_from_info

log = logging.getLogger("skyweave.fleet")
Result = TypeVar("Result")
MAX_POSES = 400  # that are remembered
MAX_REASON_LENGTH = 200
POLL_S = 0.1
WARN_AFTER_S = 5.0  # without an image
MIN_INTERVAL_SHARE = 0.9  # of the interval after which the next image is taken
CLOCK_RESET_NS = NS_PER_S  # stamps that go back farther are of a clock that was set anew


@dataclass(frozen=True)
class RosSourceConfig(SourceConfig):
    """A camera of ROS 2; ``kind: ros2``.

    Attributes:
        image: topic of the images, such as ``drone/front/image_raw/compressed`` behind a bridge, or
            ``0/drone/front/image_raw/compressed/**`` with rmw_zenoh (0 is the domain); empty where boxes come.
        info: topic of the intrinsics, ``sensor_msgs/msg/CameraInfo``. Where ``image`` is a rectified topic (``rect`` in
            its name) P counts, else K and D.
        pose: topic of the poses.
        image_type: of the images' messages.
        pose_type: of the poses' messages.
        mount: of the camera on what the pose is of: metres forward, left and up, then degrees of yaw (to the left),
            pitch (downwards) and roll. None: the pose is the camera's optical frame (x right, y down, z forward).
        origin: east, north and up of the poses' own origin in the reference system, metres.
        ground: height of the ground in the reference system, metres.
        sensor: name of the camera's sensor (``skyweave sensors``).
        channel: name of the camera.
        pose_timeout: seconds for which an image waits for a pose as new as itself.
        detections: topic of ``vision_msgs/Detection2DArray`` of a detector there, instead of images.
        connect: Zenoh endpoints of a session of its own, such as ``tcp/127.0.0.1:7447`` of a bridge on this machine;
            none: the fleet's session.
        crs: reference system of the poses; None: a local frame.
        platform: name of the platform; None: that of the node.
        interval: seconds between frames.
    """

    info: str
    pose: str
    image: str = ""
    image_type: str = COMPRESSED_IMAGE
    pose_type: str = POSE_STAMPED
    mount: tuple[float, float, float, float, float, float] | None = None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ground: float = 0.0
    sensor: str = "rgb"
    channel: str = "CAMERA"
    pose_timeout: float = 0.2
    detections: str = ""
    connect: list[str] = field(default_factory=list)
    crs: str | None = None
    platform: str | None = None
    interval: float = 0.5

    def __post_init__(self) -> None:
        check_interval(self.interval)
        if bool(self.image) == bool(self.detections):
            raise ConfigError("a ROS camera needs the topic of its image, or that of detections in it")
        for name, value, known in (("image", self.image_type, IMAGE_TYPES), ("pose", self.pose_type, POSE_TYPES)):
            if value not in known:
                raise ConfigError(f"{name}_type {value!r} is not read; there are {', '.join(known)}")

    def build(self, context: SourceContext) -> "RosSource":
        """Subscribe to the camera's topics.

        Args:
            context: names the platform and subscribes.

        Raises:
            FleetError: a session that cannot be opened, or a sensor that measures another unit than an image holds.
        """
        check_eight_bit_sensor(get_sensor(self.sensor))
        with open_topic_session(self.connect, context).closed_on_error() as session:
            return RosSource(self, self.platform or context.platform, session)


class RosSource:
    """A platform's camera.

    Messages that are not what they should be, and images without intrinsics or a pose, are left out and counted; what
    is missing is logged while no image comes through.

    Args:
        config: topics and mount.
        platform: name of the platform.
        session: to subscribe on.

    Attributes:
        rejected: messages, by what they should have been: ``image``, ``info`` or ``pose``.
    """

    def __init__(self, config: RosSourceConfig, platform: str, session: TopicSession) -> None:
        self.config, self.platform = config, platform
        self.world_frame = WorldFrame(config.crs, GroundPlane(config.ground))
        self.rejected: Counter[str] = Counter()
        self._last_error: dict[str, str] = {}
        self._types = vision_types()
        self._images: LatestValue[bytes] = LatestValue()
        self._camera: PinholeCamera | None = None
        self._poses: deque[StampedPose] = deque(maxlen=MAX_POSES)
        self._pose_arrived = threading.Condition()
        self._session = session
        self._subscriptions = [
            session.subscribe(config.image or config.detections, self._on_image),
            session.subscribe(config.info, lambda _, message: self._guarded("info", self._on_info, message)),
            session.subscribe(config.pose, lambda _, message: self._guarded("pose", self._on_pose, message)),
        ]

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield the newest image at a time; those in between are left out.

        Args:
            clock: by which captures are timed; their own times are by the system's.
            stop: ends the frames.
        """
        last_time, last_report = 0, monotonic()
        try:
            while not stop.is_set():
                message = self._images.take(POLL_S)
                capture = None if message is None else self._guarded("image", self._capture, message, last_time)
                if capture is not None:
                    last_report, last_time = monotonic(), capture.time
                    yield frame_from_capture(capture, to_clock(capture.time, clock) - capture.time)
                elif monotonic() - last_report > WARN_AFTER_S:
                    log.warning(f"no image for {WARN_AFTER_S:.0f} s: {self._describe_missing()}")
                    last_report = monotonic()
        finally:
            for unsubscribe in self._subscriptions:
                unsubscribe()
            self._session.close()

    def _guarded(self, kind: str, read: Callable[..., Result], *arguments: Any) -> Result | None:
        """Return what ``read`` returns; None, counted, for messages that are not what they should be."""
        try:
            return read(*arguments)
        except Exception as error:  # any bytes may come, and rosbags raises what its parsing runs into
            self.rejected[kind] += 1
            self._last_error[kind] = " ".join(str(error).split())[:MAX_REASON_LENGTH] or type(error).__name__
            return None

    def _describe_missing(self) -> str:
        """Return why no image comes through."""
        reasons = []
        for kind, topic, arrived in (
            ("image", self.config.image or self.config.detections, True),
            ("info", self.config.info, self._camera is not None),
            ("pose", self.config.pose, bool(self._poses)),
        ):
            if self.rejected[kind]:
                reasons.append(
                    f"{self.rejected[kind]} messages under {topic} were left out, the last for: "
                    f"{self._last_error[kind]}"
                )
            elif not arrived:
                reasons.append(f"nothing has come under {topic}")
        return "; ".join(reasons) or f"nothing comes under {self.config.image or self.config.detections}"

    def _on_image(self, topic: str, message: bytes) -> None:
        self._images.put(message)

    def _on_info(self, message: bytes) -> None:
        info = self._types.deserialize_cdr(message, "sensor_msgs/msg/CameraInfo")
        self._camera = camera_from_info(info, rectified="rect" in self.config.image)

    def _on_pose(self, message: bytes) -> None:
        pose_type = self.config.pose_type
        pose = pose_from_message(self._types.deserialize_cdr(message, pose_type), pose_type)
        with self._pose_arrived:
            if self._poses and self._poses[-1].time - pose.time > CLOCK_RESET_NS:
                self._poses.clear()
            if not self._poses or pose.time > self._poses[-1].time:
                self._poses.append(pose)
            self._pose_arrived.notify_all()

    def _capture(self, content: bytes, last_time: int) -> Capture | None:
        """Return an image as a capture; None for one that comes too soon after the last."""
        config = self.config
        message: Any = self._types.deserialize_cdr(content, config.image_type if config.image else DETECTIONS_2D)
        time = stamp_ns(message.header)
        if last_time - CLOCK_RESET_NS < time < last_time + MIN_INTERVAL_SHARE * config.interval * NS_PER_S:
            return None
        camera, body_pose = self._camera, self._pose_at(time)
        if camera is None or body_pose is None:
            raise FleetError("no intrinsics have come" if camera is None else "no pose near its time has come")
        pose = body_pose if config.mount is None else body_pose @ camera_mount(config.mount)
        pose[:3, 3] += config.origin
        geometry = CameraGeometry(camera, pose, config.crs, self.platform)
        if not config.image:
            capture = Capture(config.channel, self.platform, time, geometry, no_image)
            return detected_capture(capture, *boxes_from_message(message))
        pixels, valid = _decode_pixels(config, message, geometry)
        observation = observation_from_pixels(pixels, geometry, config.sensor, config.image, valid)
        return Capture(config.channel, self.platform, time, geometry, lambda: observation)

    def _pose_at(self, time: int) -> np.ndarray | None:
        """Return (4, 4) world from body, interpolated between the poses before and after; None: there are none near."""
        poses = self._await_poses(time)
        after = bisect.bisect_left([pose.time for pose in poses], time)
        tolerance = NS_PER_S * self.config.interval
        near = [pose for pose in poses[max(after - 1, 0) : after + 1] if abs(pose.time - time) <= tolerance]
        return interpolate_poses(near[0], near[-1], time) if near else None

    def _await_poses(self, time: int) -> list[StampedPose]:
        """Wait for a pose of that time, and return those that are known."""
        with self._pose_arrived:
            self._pose_arrived.wait_for(
                lambda: bool(self._poses) and self._poses[-1].time >= time, self.config.pose_timeout
            )
            poses = list(self._poses)
        return poses


def _decode_pixels(
    config: RosSourceConfig, message: Any, geometry: CameraGeometry
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode the pixels of an image message and their validity."""
    if config.image_type == COMPRESSED_IMAGE:
        check_compressed_format(message)
        pixels, valid = decode_image(bytes(message.data), geometry, config.sensor, config.image)
    else:
        pixels, valid = pixels_from_raw_image(message, len(get_sensor(config.sensor))), None
    return pixels, valid


def interpolate_poses(first: StampedPose, second: StampedPose, time: int) -> np.ndarray:
    """Interpolate two poses: positions linearly, orientations by normalised linear interpolation of quaternions.

    Args:
        first: the pose before.
        second: the pose after; may be the same.
        time: nanoseconds; clipped to the times of the two.

    Returns:
        (4, 4) world from body.
    """
    share = float(np.clip((time - first.time) / max(second.time - first.time, 1), 0, 1))
    sign = 1 if first.quaternion @ second.quaternion >= 0 else -1
    rotation = rotation_from_quaternion((1 - share) * first.quaternion + share * sign * second.quaternion)
    return make_transform(rotation, (1 - share) * first.position + share * second.position)

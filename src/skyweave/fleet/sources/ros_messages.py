"""Messages of ROS 2 to poses and pixels. They come in CDR, as ROS 2 sends them; no ROS is needed here.

Frames are those of REP 103 and REP 105: bodies look along x, with y to the left and z up; the world is east, north, up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.frames import camera_pose, rotation_from_quaternion

COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (COMPRESSED_IMAGE, "sensor_msgs/msg/Image")
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"
POSE_TYPES = (POSE_STAMPED, "geometry_msgs/msg/PoseWithCovarianceStamped", "nav_msgs/msg/Odometry")
# name: (channels, order of the channels that are read)
ENCODINGS: dict[str, tuple[int, tuple[int, ...]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0,)),
    "8UC1": (1, (0,)),
    "8UC3": (3, (2, 1, 0)),
}


@dataclass(frozen=True)
class StampedPose:
    """A position and an orientation at a time.

    Attributes:
        time: nanoseconds.
        position: (3,) metres.
        quaternion: (4,) w x y z, of length 1.
    """

    time: int
    position: np.ndarray
    quaternion: np.ndarray


def pose_from_message(message: Any, pose_type: str) -> StampedPose:
    """Return the pose in a message.

    Args:
        message: of one of `POSE_TYPES`.
        pose_type: which one.

    Raises:
        FleetError: it is not finite.
        DataError: a quaternion that is none.
    """
    pose = message.pose if pose_type == POSE_STAMPED else message.pose.pose
    position = np.array([pose.position.x, pose.position.y, pose.position.z])
    quaternion = np.array([pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z])
    if not np.isfinite(position).all():
        raise FleetError("a position is not finite")
    rotation_from_quaternion(quaternion)  # raises for what is none
    return StampedPose(stamp_ns(message.header), position, quaternion / np.linalg.norm(quaternion))


def boxes_from_message(message: Any) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the boxes in a ``vision_msgs/Detection2DArray``: corners in pixels, scores, names of classes.

    Of a box that is turned, the upright one around it counts; of several hypotheses, the one of the highest score.

    Args:
        message: with any number of detections; those without a hypothesis are left out.
    """
    boxes, scores, names = [], [], []
    for detection in message.detections:
        best = max((one.hypothesis for one in detection.results), key=lambda one: float(one.score), default=None)
        if best is None:
            continue
        centre, turn = detection.bbox.center, float(detection.bbox.center.theta)
        width, height = float(detection.bbox.size_x), float(detection.bbox.size_y)
        half_width = (abs(width * np.cos(turn)) + abs(height * np.sin(turn))) / 2
        half_height = (abs(width * np.sin(turn)) + abs(height * np.cos(turn))) / 2
        u, v = float(centre.position.x), float(centre.position.y)
        boxes.append([u - half_width, v - half_height, u + half_width, v + half_height])
        scores.append(min(max(float(best.score), 0.0), 1.0))
        names.append(str(best.class_id))
    return np.array(boxes, np.float64).reshape(-1, 4), np.array(scores), tuple(names)


def pixels_from_raw_image(image: Any, bands: int) -> np.ndarray:
    """Return the pixels of a ``sensor_msgs/msg/Image``.

    Args:
        image: the message.
        bands: of the sensor; grey is repeated for them.

    Returns:
        (bands, rows, columns) float32.

    Raises:
        FleetError: an encoding that is not read, or too few bytes.
    """
    if image.encoding not in ENCODINGS:
        raise FleetError(f"encoding {image.encoding!r} is not read; there are {', '.join(ENCODINGS)}")
    channels, order = ENCODINGS[image.encoding]
    data = np.asarray(image.data, np.uint8)
    if image.step < image.width * channels or len(data) < image.step * image.height:
        raise FleetError(f"{len(data)} bytes are no image of {image.height} x {image.width} {image.encoding}")
    rows = data[: image.step * image.height].reshape(image.height, image.step)[:, : image.width * channels]
    pixels = rows.reshape(image.height, image.width, channels)[..., list(order)]
    repeats = bands if channels == 1 else 1
    return pixels.transpose(2, 0, 1).repeat(repeats, 0).astype(np.float32)


def check_compressed_format(image: Any) -> None:
    """Raise an error for a ``sensor_msgs/msg/CompressedImage`` that does not hold grey or colours of 8 bits.

    Its format is such as ``rgb8; jpeg compressed bgr8``: the encoding before, the codec, and the encoding inside; or
    the codec alone.

    Args:
        image: the message.

    Raises:
        FleetError: it says that it holds another encoding, such as 16UC1 or a Bayer pattern.
    """
    before, _, after = image.format.partition(";")
    inside = after.partition("compressed")[2].strip()
    encoding = inside or (before.strip() if after else "")
    if encoding and encoding not in ENCODINGS:
        raise FleetError(f"a compressed image of encoding {encoding!r} is not read; there are {', '.join(ENCODINGS)}")


def stamp_ns(header: Any) -> int:
    """Return the time of a ``std_msgs/msg/Header`` in nanoseconds.

    Args:
        header: of a message.
    """
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def camera_mount(mount: tuple[float, ...]) -> np.ndarray:
    """Return how a camera sits on a body.

    Args:
        mount: metres forward, left and up, then degrees of yaw (to the left), pitch (downwards) and roll.

    Returns:
        (4, 4) body from camera (optical frame: x right, y down, z forward).
    """
    return camera_pose(np.array(mount[:3]), *np.radians(mount[3:]))

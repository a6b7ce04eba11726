"""Bags of ROS 1 and 2, and MCAP files of ROS 2: receiver, odometry, IMU, transforms and camera, by rosbags.

Frames are those of REP 103, 105 and 147: bodies look along x, with y to the left and z up; worlds are east, north, up;
an optical frame is a camera's. Which of them a transform is of is known by the frames' names.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.geodesy import LocalFrame
from skyweave.recordings.ros_camera_info import camera_from_info
from skyweave.telemetry.angles import multiply_quaternions
from skyweave.telemetry.formats.bag_bounds import bound_decompression
from skyweave.telemetry.formats.ros_topics import FixesOfTopic, choose_fixes, choose_poses, turn_to_north
from skyweave.telemetry.formats.ros_transforms import TransformTree, chain_times, compose
from skyweave.telemetry.poses_over_time import EARLIEST_UTC_S, NS_PER_S, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples
from skyweave.telemetry.streams import Stream, join_streams

BAG_MAGIC, MCAP_MAGIC = b"#ROSBAG V", b"\x89MCAP0\r\n"
FIX, INFO = "sensor_msgs/msg/NavSatFix", "sensor_msgs/msg/CameraInfo"
ODOMETRY, POSE, POSE_COVARIANCE, IMU = (
    "nav_msgs/msg/Odometry",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "sensor_msgs/msg/Imu",
)
CALIBRATION_FIELDS = ("d", "k", "r", "p", "D", "K", "R", "P")  # of CameraInfo: in capitals in ROS 1
OTHER_FIELDS = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
TRANSFORMS, OLD_TRANSFORMS = "tf2_msgs/msg/TFMessage", "tf/msg/tfMessage"
POSE_TYPES = (ODOMETRY, POSE_COVARIANCE, POSE, IMU)  # by which the body's orientation is known, the best first
LATEST_NS = 2**63 - 1
NO_FIX = -1  # NavSatStatus
MAX_CLOCK_DIFFERENCE_NS = NS_PER_S  # between the delays of two topics; messages are logged within some milliseconds
WORLD_FRAMES = ("map", "odom", "world", "enu", "local_enu")
BODY_FRAMES = ("base_link", "base_footprint", "body", "fcu")
FLU_FROM_FRD = np.array([0.0, 1.0, 0.0, 0.0])  # quaternion: half a turn about x
MISSING: dict[MissingTopic, str] = {
    "orientation": "the bag has no transform (tf) from its body to its camera, or no orientation of the body",
    "heading": "the bag has no odometry, pose or IMU with an orientation",
    "position": "the bag has no fix (NavSatFix); where its odometry begins on the Earth is not known: give it with "
    "--origin LATITUDE LONGITUDE HEIGHT",
    "utc": "the stamps of its messages are not of this century",
    "lens": "the bag has no CameraInfo",
}


@dataclass
class BagContent:
    """Messages of a bag by kind.

    Attributes:
        fixes: by topic, times, latitude, longitude, height and their standard deviations, a row each.
        poses: by topic, times and rows of position (3), quaternion wxyz (4) and covariance (36, NaN where not stated).
        pose_types: type of each topic of poses.
        frames: name of the frame that the poses of a topic are of.
        body_frames: names of the frames of bodies.
        cameras: cameras by their frames.
        calibrations: size and K that their frames had first.
        changed: frames of the cameras whose calibration does not stay the same.
        tree: transforms.
        delays: by topic, nanoseconds from the stamps of its headers to when they were logged.
    """

    fixes: FixesOfTopic = field(default_factory=lambda: defaultdict(list))
    poses: dict[str, list[tuple[int, np.ndarray]]] = field(default_factory=lambda: defaultdict(list))
    pose_types: dict[str, str] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    body_frames: set[str] = field(default_factory=lambda: set(BODY_FRAMES))
    cameras: dict[str, PinholeCamera] = field(default_factory=dict)
    calibrations: dict[str, tuple[float, ...]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    tree: TransformTree = field(default_factory=TransformTree)
    delays: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


class RosBagReader:
    """Bags of ROS 1 (.bag), of ROS 2 (a folder, .db3, .mcap)."""

    description = "ROS bags and MCAP (.bag, .mcap, .db3, a folder)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether this is a bag.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        if path.is_dir():
            return (path / "metadata.yaml").exists()
        return head.startswith((BAG_MAGIC, MCAP_MAGIC)) or path.suffix.lower() in (".bag", ".db3", ".mcap")

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a bag.

        Args:
            path: of the bag.
            options: ``camera`` is a frame of a camera, ``platform`` a namespace of topics; ``origin`` is where a local
                frame begins.

        Raises:
            DataError: it is damaged, or has none of the messages that are read.
        """
        content = BagContent()
        _read_messages(path, options.platform, content)
        if not content.fixes and not content.poses and not content.tree:
            raise DataError(f"{path.name} has no fix, odometry, pose, IMU or transform; it is no log of a platform")
        frame, camera = _choose_camera(content.cameras, options.camera, path.name)
        clock_notes = _on_one_clock(content)
        fixes, notes = choose_fixes(content.fixes, path.name)
        notes += clock_notes
        streams = [fixes, *_pose_streams(content, frame, options.origin, fixes, notes)]
        notes += [
            f"CameraInfo of {name} changes (a zoom, or two cameras of one frame): the first is used"
            for name in content.changed & {frame}
        ]
        first = min((int(stream.times[0]) for stream in streams if len(stream.times)), default=0)
        return join_streams(
            path.name,
            "utc" if first >= EARLIEST_UTC_S * NS_PER_S else "boot",
            streams,
            camera=camera,
            platform=options.platform,
            missing=MISSING,
            notes=tuple(notes),
        )


def _read_messages(path: Path, namespace: str, into: BagContent) -> None:
    """Take the messages of the types that are read, whatever fields they have: a bag brings its own definitions."""
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.typesys import Stores, get_typestore

    bound_decompression()
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.LATEST)) as reader:
            connections = [
                connection
                for connection in reader.connections
                if connection.msgtype in HANDLERS and (namespace in connection.topic or connection.topic[:3] == "/tf")
            ]
            # rosbags takes an empty list for all connections
            for connection, logged, content in reader.messages(connections) if connections else ():
                message = reader.deserialize(content, connection.msgtype)
                time = _stamp(message, logged)
                if hasattr(message, "header"):
                    into.delays[connection.topic].append(logged - time)
                HANDLERS[connection.msgtype](into, connection.topic, connection.msgtype, time, message)
    except (AnyReaderError, OSError) as error:
        raise DataError(
            f"{path.name} is no bag, or damaged: {error}; copy it once more, or reindex it with the tools of "
            "the recorder that wrote it"
        ) from None
    except Exception as error:  # rosbags raises what its parsers stumble over: struct, index, key and SQLite's errors
        if isinstance(error, DataError):
            raise DataError(f"{path.name}: {error}") from None
        raise DataError(f"{path.name} is damaged: {error or type(error).__name__}") from None


def _stamp(message: Any, logged: int) -> int:
    """Nanoseconds of a message's header, or when it was logged where it has none; an error for what is no time."""
    header = getattr(message, "header", None)
    stamp = 0 if header is None else int(header.stamp.sec) * NS_PER_S + int(header.stamp.nanosec)
    time = stamp or logged
    if not 0 <= time <= LATEST_NS:
        raise DataError(f"a message is of {time} ns, which is no time; is the bag damaged? Record or copy it again")
    return time


def _on_one_clock(content: BagContent) -> list[str]:
    """Move topics whose headers are of another clock than the others' to when they were logged; return notes on them.

    All messages are logged on one clock; a driver may stamp its own by the clock of its sensor, or of a simulation.
    """
    delays = {topic: float(np.median(values)) for topic, values in content.delays.items()}
    reference = min(delays.values(), key=abs, default=0.0)
    notes = []
    for kind in (content.fixes, content.poses):
        for topic, rows in kind.items():
            shift = round(delays.get(topic, reference) - reference)
            if abs(shift) > MAX_CLOCK_DIFFERENCE_NS:
                kind[topic] = [(row[0] + shift, *row[1:]) for row in rows]
                side = "before" if shift > 0 else "after"
                notes.append(
                    f"the stamps of {topic} lie {abs(shift) / NS_PER_S:.1f} s {side} those of others that were logged "
                    "with them: they are moved to when they were logged"
                )
    return notes


def _take_fix(content: BagContent, topic: str, message_type: str, time: int, fix: Any) -> None:
    if fix.status.status <= NO_FIX:
        return
    variances = np.asarray(fix.position_covariance, np.float64).reshape(3, 3).diagonal()
    known = fix.position_covariance_type > 0 and (variances > 0).all()
    horizontal, vertical = (
        (float(np.sqrt(max(variances[:2]))), float(np.sqrt(variances[2]))) if known else (np.nan,) * 2
    )
    content.fixes[topic].append((time, fix.latitude, fix.longitude, fix.altitude, horizontal, vertical))


def _take_pose(content: BagContent, topic: str, message_type: str, time: int, message: Any) -> None:
    pose = message.pose if message_type == POSE else message.pose.pose
    stated = np.zeros(36) if message_type == POSE else np.asarray(message.pose.covariance, np.float64)
    covariance = stated if stated.any() else np.full(36, np.nan)
    row = np.array([pose.position.x, pose.position.y, pose.position.z, *_wxyz(pose.orientation), *covariance])
    content.poses[topic].append((time, row))
    content.pose_types[topic] = message_type
    content.frames[topic] = message.header.frame_id
    if message_type == ODOMETRY and message.child_frame_id:
        content.body_frames.add(message.child_frame_id.lstrip("/"))


def _take_imu(content: BagContent, topic: str, message_type: str, time: int, imu: Any) -> None:
    variances = np.asarray(imu.orientation_covariance, np.float64)
    if variances[0] == -1:  # by the message's definition: it has no orientation
        return
    content.poses[topic].append((time, np.array([*(np.nan,) * 3, *_wxyz(imu.orientation), *(np.nan,) * 36])))
    content.pose_types[topic] = message_type
    content.frames[topic] = imu.header.frame_id


def _take_info(content: BagContent, topic: str, message_type: str, time: int, info: Any) -> None:
    lens = (info.width, info.height, *np.asarray(getattr(info, "k", getattr(info, "K", ())), np.float64).tolist())
    if content.calibrations.setdefault(info.header.frame_id, lens) != lens:
        content.changed.add(info.header.frame_id)
    if info.header.frame_id not in content.cameras:
        lower_case = {name.lower(): getattr(info, name) for name in CALIBRATION_FIELDS if hasattr(info, name)}
        others = {name: getattr(info, name) for name in OTHER_FIELDS}
        content.cameras[info.header.frame_id] = camera_from_info(SimpleNamespace(**lower_case, **others))


def _take_transforms(content: BagContent, topic: str, message_type: str, time: int, message: Any) -> None:
    for transform in message.transforms:
        stamp = int(transform.header.stamp.sec) * NS_PER_S + int(transform.header.stamp.nanosec)
        rotation, shift = transform.transform.rotation, transform.transform.translation
        content.tree.add(
            transform.header.frame_id,
            transform.child_frame_id,
            stamp or time,
            np.array(_wxyz(rotation)),
            np.array([shift.x, shift.y, shift.z]),
            fixed=topic.endswith("static"),
        )


def _wxyz(quaternion: Any) -> tuple[float, float, float, float]:
    return quaternion.w, quaternion.x, quaternion.y, quaternion.z


HANDLERS = {
    FIX: _take_fix,
    ODOMETRY: _take_pose,
    POSE_COVARIANCE: _take_pose,
    POSE: _take_pose,
    IMU: _take_imu,
    INFO: _take_info,
    TRANSFORMS: _take_transforms,
    OLD_TRANSFORMS: _take_transforms,
}


def _choose_camera(
    cameras: Mapping[str, PinholeCamera], name: str, source: str
) -> tuple[str | None, PinholeCamera | None]:
    """Frame and intrinsics of the camera that is asked for, or of the only one."""
    chosen = [frame for frame in cameras if name in frame]
    if name and len(chosen) != 1:
        raise DataError(f"{source} has no one camera {name!r}; it has {', '.join(cameras) or 'none'}")
    if len(chosen) > 1:
        raise DataError(f"{source} has the cameras {', '.join(cameras)}; choose one with --channel")
    return (chosen[0], cameras[chosen[0]]) if chosen else (name or None, None)


def _pose_streams(
    content: BagContent,
    camera_frame: str | None,
    origin: tuple[float, float, float] | None,
    fixes: Stream,
    notes: list[str],
) -> list[Stream]:
    """Orientations of body and camera, and places in a local frame whose origin on the Earth is known."""
    origin = None if content.fixes else origin
    topic = choose_poses(content.poses, content.pose_types, POSE_TYPES, notes)
    if topic is None:
        return [] if camera_frame is None else [_world_stream(content.tree, camera_frame, origin)]
    rows = content.poses[topic]
    times = np.array([time for time, _ in rows], np.int64)
    times, first = np.unique(times, return_index=True)
    values = np.stack([rows[index][1] for index in first])
    body = _in_body_axes(content, topic, times, values[:, 3:7])
    if content.pose_types[topic] != IMU:  # whose axes are east, north, up by definition
        body = turn_to_north(body, values[:, :2], times, fixes, topic, notes)
    camera = None
    if camera_frame is not None:
        chain, end = content.tree.chain(camera_frame, content.body_frames)
        if end in content.body_frames:
            camera = multiply_quaternions(body, compose(chain, times)[0])
    return [
        Stream(
            times,
            **_local_places(values[:, :3], origin),
            enu_from_camera=camera,
            enu_from_body=multiply_quaternions(body, FLU_FROM_FRD),
            covariance=values[:, 7:].reshape(-1, 6, 6),
        )
    ]


def _in_body_axes(content: BagContent, topic: str, times: np.ndarray, stated: np.ndarray) -> np.ndarray:
    """Orientations (n, 4) of the body: an IMU says how it is turned itself, wherever it is mounted."""
    if content.pose_types[topic] != IMU:
        return stated
    chain, end = content.tree.chain(content.frames[topic], content.body_frames)
    if not chain or end not in content.body_frames:
        return stated
    return multiply_quaternions(stated, compose(chain, times)[0] * np.array([1.0, -1.0, -1.0, -1.0]))


def _world_stream(tree: TransformTree, camera_frame: str, origin: tuple[float, float, float] | None) -> Stream:
    """The camera by the transforms alone, up to their root, if that is a world."""
    chain, root = tree.chain(camera_frame, ())
    times = chain_times(chain)
    if root not in WORLD_FRAMES:
        return Stream(np.zeros(0, np.int64))
    quaternions, positions = compose(chain, times)
    return Stream(times, **_local_places(positions, origin), enu_from_camera=quaternions)


def _local_places(positions: np.ndarray, origin: tuple[float, float, float] | None) -> dict[str, Any]:
    """Columns and heights of a stream with positions (n, 3) about an origin; nothing where that is not known."""
    if origin is None or not np.isfinite(positions).any():
        return {}
    places = LocalFrame(*origin).to_geographic(positions)
    return {"columns": {"latitude": places[:, 0], "longitude": places[:, 1]}, "heights": {"ellipsoid": places[:, 2]}}

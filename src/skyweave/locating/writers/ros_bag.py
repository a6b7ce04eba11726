"""Tracks as ``vision_msgs/Detection3DArray`` with covariance, in a ROS 2 bag (MCAP); no ROS is needed."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyweave.core.atomic_write import write_folder_aside
from skyweave.core.errors import MissingExtraError
from skyweave.locating.track_table import TrackTable
from skyweave.locating.vision_messages import DETECTIONS_3D, vision_types
from skyweave.locating.writers.base import TrackOutput, TrackPlace
from skyweave.locating.writers.images import TimedPlaces, places_over_time

try:
    from rosbags.rosbag2 import StoragePlugin, Writer
except ImportError as error:  # before hours of work are done for nothing
    raise MissingExtraError("a ROS bag needs rosbags; install skyweave[ros]") from error

TOPIC, FRAME = "/tracks", "map"
BAG_VERSION: Literal[9] = 9  # of the metadata: ROS 2 Iron and later
HEADING_STD_RAD = 0.2  # of what moves, or of a box


def write_track_ros_bag(output: TrackOutput, folder: Path) -> list[Path]:
    """Write the folder ``tracks_ros2``, a bag: the topic ``/tracks`` in the frame ``map``, metres of the map's system.

    Args:
        output: what to write.
        folder: where.
    """
    types = vision_types()
    path = folder / "tracks_ros2"
    with write_folder_aside(path) as aside:
        bag = aside / path.name  # which the writer makes, and names its file after
        with Writer(bag, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection(TOPIC, DETECTIONS_3D, typestore=types)
            for timed in places_over_time(output):
                message = _Messages(types, timed.time).array(output, timed)
                writer.write(connection, timed.time, types.serialize_cdr(message, DETECTIONS_3D))
        for file in list(bag.iterdir()):
            file.rename(aside / file.name)
        bag.rmdir()
    return [path]


class _Messages:
    """Makes the messages of one time."""

    def __init__(self, types: Any, time: int) -> None:
        self._types = types
        stamp = self._make("builtin_interfaces/msg/Time", sec=time // 10**9, nanosec=time % 10**9)
        self._header = self._make("std_msgs/msg/Header", stamp=stamp, frame_id=FRAME)

    def array(self, output: TrackOutput, timed: TimedPlaces) -> Any:
        detections = [self._detection(place, output.result.elevation_std) for place in timed.places]
        return self._make(DETECTIONS_3D, header=self._header, detections=detections)

    def _detection(self, place: TrackPlace, elevation_std: float) -> Any:
        table, row = place.table, place.row
        length, width, height = table.size.tolist()
        pose = self._pose(table, row)
        hypothesis = self._make("vision_msgs/msg/ObjectHypothesis", class_id=table.category, score=table.score)
        with_covariance = self._make(
            "geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=_pose_covariance(table, row, elevation_std)
        )
        result = self._make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=with_covariance)
        size = self._make("geometry_msgs/msg/Vector3", x=length, y=width, z=height)
        box = self._make("vision_msgs/msg/BoundingBox3D", center=pose, size=size)
        return self._make(
            "vision_msgs/msg/Detection3D", header=self._header, results=[result], bbox=box, id=str(table.number)
        )

    def _pose(self, table: TrackTable, row: int) -> Any:
        x, y = table.points[row].tolist()
        z, yaw = float(table.up[row] + table.size[2] / 2), float(table.headings[row])
        point = self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)
        turned = self._make(
            "geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=float(np.sin(yaw / 2)), w=float(np.cos(yaw / 2))
        )
        return self._make("geometry_msgs/msg/Pose", position=point, orientation=turned)

    def _make(self, name: str, **values: Any) -> Any:
        return self._types.types[name](**values)


def _pose_covariance(table: TrackTable, row: int, elevation_std: float) -> np.ndarray:
    """Return the (36,) covariance of x, y, z and the rotations about them."""
    covariance = np.zeros((6, 6))
    covariance[:2, :2] = table.covariances[row]
    covariance[2, 2] = elevation_std**2 + float(table.size_std[2] / 2) ** 2
    covariance[5, 5] = HEADING_STD_RAD**2
    return covariance.ravel()

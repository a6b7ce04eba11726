"""Fused scenes as messages: JSON with everything, GeoJSON for a GIS, and JSON with ROS's names (docs/fleet.md)."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from skyweave.core.errors import FleetError
from skyweave.fleet.link.topics import result_topic
from skyweave.fleet.link.transport import Priority
from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.scene_content import NS_PER_S, PublishedScene, covariance_content, round_coordinates
from skyweave.perception.export import geojson
from skyweave.perception.results import Detections


@dataclass(frozen=True)
class MessageSink:
    """Publishes scenes in one form.

    Attributes:
        node: that publishes.
        form: last word of the topic.
        convert: returns a scene's content, plain JSON types.
    """

    node: Node
    form: str
    convert: Callable[[PublishedScene], Any]

    def write(self, published: PublishedScene) -> None:
        """Publish a scene.

        Args:
            published: the scene.
        """
        message = json.dumps(self.convert(published), allow_nan=False, separators=(",", ":")).encode()
        self.node.publish(result_topic(self.node.fleet, self.node.name, self.form), message, Priority.RESULTS)

    def close(self) -> None:
        """Do nothing: messages are out."""


@dataclass(frozen=True)
class SceneSinkConfig(SinkConfig):
    """Everything, for the dashboard and clients; ``kind: scene``."""

    def build(self, node: Node) -> MessageSink:
        """Make the sink.

        Args:
            node: that publishes.
        """
        return MessageSink(node, "scene", lambda published: published.json_content)


@dataclass(frozen=True)
class GeoJsonSinkConfig(SinkConfig):
    """Boxes and trajectories as GeoJSON (RFC 7946); ``kind: geojson``."""

    def build(self, node: Node) -> MessageSink:
        """Make the sink.

        Args:
            node: that publishes.

        Raises:
            FleetError: the fleet has no reference system.
        """
        if node.world_frame.crs is None:
            raise FleetError("GeoJSON needs a place on Earth; give the fleet a crs, or leave out the sink geojson")
        return MessageSink(node, "geojson", _geojson_content)


@dataclass(frozen=True)
class RosSinkConfig(SinkConfig):
    """Boxes with the fields of ``vision_msgs/Detection3DArray``, as JSON; ``kind: ros``."""

    def build(self, node: Node) -> MessageSink:
        """Make the sink.

        Args:
            node: that publishes.
        """
        return MessageSink(
            node, "ros", lambda published: ros_detections(published.detections, published.scene, published.identities)
        )


def ros_detections(detections: Detections, scene: FusedScene, identities: Sequence[str | None]) -> dict[str, Any]:
    """Return boxes as the fields of ``vision_msgs/Detection3DArray``, plain JSON types.

    Frames are those of REP 103: metres, x east, y north, z up; quaternions x y z w.

    Args:
        detections: the boxes.
        scene: that they are of.
        identities: of each in the whole fleet; None where one has none.
    """
    seconds, nanoseconds = divmod(scene.time, NS_PER_S)
    header = {"stamp": {"sec": seconds, "nanosec": nanoseconds}, "frame_id": "map"}
    return {
        "header": header,
        "detections": [
            _ros_detection(detections, index, header, identity) for index, identity in enumerate(identities)
        ],
    }


def _ros_detection(detections: Detections, index: int, header: dict[str, Any], identity: str | None) -> dict[str, Any]:
    yaw = float(detections.boxes.yaws[index])
    centre = round_coordinates(detections.boxes.centres[index])
    size = round_coordinates(detections.boxes.sizes[index])
    pose = {
        "position": dict(zip("xyz", centre, strict=True)),
        "orientation": {"x": 0.0, "y": 0.0, "z": math.sin(yaw / 2), "w": math.cos(yaw / 2)},
    }
    hypothesis = {"class_id": detections.categories[index], "score": float(detections.scores[index])}
    return {
        "header": header,
        "results": [
            {"hypothesis": hypothesis, "pose": {"pose": pose, "covariance": _ros_covariance(detections, index)}}
        ],
        "bbox": {"center": pose, "size": dict(zip("xyz", size, strict=True))},
        "id": identity or "",
    }


def _ros_covariance(detections: Detections, index: int) -> list[float]:
    """Return the covariance of position and rotation, row by row; 0 where nothing is known."""
    covariance = [0.0] * 36
    if (known := covariance_content(detections, index)) is not None:
        covariance[0], covariance[1], covariance[7] = known
        covariance[6] = covariance[1]
    return covariance


def _geojson_content(published: PublishedScene) -> dict[str, Any]:
    trajectories = published.scene.prediction.trajectories
    return geojson([published.detections] if trajectories is None else [published.detections, trajectories])

"""A fused scene as plain JSON types: everything that a map of the fleet shows (docs/fleet.md)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.core.geometry.outlines import camera_footprint
from skyweave.fleet.link.topics import topic_word
from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.peer import Peer
from skyweave.fleet.sinks.observers import box_observers
from skyweave.perception.results import Detections
from skyweave.perception.results.trajectory_set import Trajectories
from skyweave.recordings.recording import Capture

if TYPE_CHECKING:
    from skyweave.collaboration.pose_alignment import PoseError

MAX_FOOTPRINT_DISTANCE_M = 400.0
MAX_FORECAST_OFFSET_M = 3.0  # from a box's expected position to the start of its forecast
NS_PER_S = 10**9


@dataclass(frozen=True)
class PublishedScene:
    """A fused scene as a node publishes it: its objects are followed over time.

    Attributes:
        node: that fused it.
        scene: as fused.
        detections: of the scene that are published, with the node's own numbers of their tracks.
        identities: of the same objects in the whole fleet; None where one has no track.
    """

    node: Node
    scene: FusedScene
    detections: Detections
    identities: tuple[str | None, ...]

    @cached_property
    def json_content(self) -> dict[str, Any]:
        """Everything that a map of the fleet shows, plain JSON types; metres in the fleet's reference system."""
        node, scene = self.node, self.scene
        novelty = scene.prediction.novelty
        return {
            "fleet": node.fleet,
            "platform": node.name,
            "sequence": scene.sequence,
            "time": scene.time / NS_PER_S,
            "latency": round(scene.latency, 4),
            "novelty": None if novelty is None else round(novelty, 2),
            "crs": node.world_frame.crs,
            "boxes": [
                _box_content(self.detections, index) | {"identity": self.identities[index], "observers": observers}
                for index, observers in enumerate(box_observers(scene, self.detections, node.perceiver.categories))
            ],
            "forecasts": _forecast_content(scene, self.detections),
            "views": [_view_content(node, capture) for capture in scene.frame.captures.values()],
            "peer_frames": {
                frame.peer: {"time_offset": round(frame.time_offset, 4), "complete": frame.complete}
                for frame in scene.peer_frames
            },
            "links": link_content(node),
            "budget": node.rate_controller.frame_bytes,
        }


def link_content(node: Node) -> dict[str, Any]:
    """Return how a node receives each peer, plain JSON types by name of the peer.

    Args:
        node: that receives.
    """
    now = node.clock()
    content = {}
    for peer in node.peers.all():
        with node.peers.contained(peer.name):
            content[peer.name] = _peer_content(node, peer, now)
    return content


def _peer_content(node: Node, peer: Peer, now: int) -> dict[str, Any]:
    age = peer.age_of_information(now)
    return {
        "bytes": peer.bytes,
        "messages": peer.messages,
        "rejected": sum(peer.rejection_counts().values()),
        "age": None if age is None else round(age, 3),
        "clock_offset": round(peer.clock.offset / NS_PER_S, 4),
        "alive": peer.is_alive(now, node.options.peer_timeout),
        "pose": pose_error_content(node.pose_error(peer)),
    }


def pose_error_content(error: "PoseError | None") -> dict[str, Any] | None:
    """Return the estimated error of a peer's poses as plain JSON types.

    Args:
        error: None: not known.
    """
    if error is None:
        return None
    degrees = round(float(np.degrees(error.rotation_rad)), 2)
    return {"metres": round(error.translation_m, 2), "degrees": degrees, "trusted": error.trusted}


def track_id(detections: Detections, index: int) -> str | None:
    """Return the identity of a box's track; None: it has none yet.

    Args:
        detections: followed over time.
        index: of the box.
    """
    return None if detections.instances is None else detections.instances[index] or None


def covariance_content(detections: Detections, index: int) -> list[float] | None:
    """Return the covariance of a box's place: east, east and north, north in square metres; None: it is not known.

    Args:
        detections: the boxes.
        index: of the box.
    """
    if detections.covariances is None or np.isnan(detections.covariances[index]).any():
        return None
    return [round(float(value), 4) for value in detections.covariances[index].ravel()[[0, 1, 3]]]


def round_coordinates(values: np.ndarray) -> list[float]:
    """Return numbers rounded to a millimetre.

    Args:
        values: (n,) metres.
    """
    return [round(float(value), 3) for value in values]


def _box_content(detections: Detections, index: int) -> dict[str, Any]:
    boxes = detections.boxes
    return {
        "id": track_id(detections, index),
        "category": detections.categories[index],
        "score": round(float(detections.scores[index]), 3),
        "centre": round_coordinates(boxes.centres[index]),
        "size": round_coordinates(boxes.sizes[index]),
        "yaw": round(float(boxes.yaws[index]), 4),
        "velocity": round_coordinates(np.nan_to_num(detections.velocities[index])),
        "covariance": covariance_content(detections, index),
    }


def _forecast_content(scene: FusedScene, detections: Detections) -> list[dict[str, Any]]:
    """Return the most probable path of each published box that has one."""
    trajectories = scene.prediction.trajectories
    if trajectories is None or not len(trajectories):
        return []
    content = []
    paths = trajectories.best_modes()
    for index in range(len(detections)):
        category, distances, nearest = _nearest_forecast(detections, index, trajectories, paths)
        if distances[nearest] < MAX_FORECAST_OFFSET_M:
            path = [round_coordinates(point) for point in paths[nearest]]
            content.append({"id": track_id(detections, index), "category": category, "path": path})
    return content


def _nearest_forecast(
    detections: Detections, index: int, trajectories: Trajectories, paths: np.ndarray
) -> tuple[str, np.ndarray, int]:
    """Return the forecast whose start is nearest to where an object is expected."""
    category = detections.categories[index]
    same_category = np.array([other == category for other in trajectories.categories])
    velocity = np.nan_to_num(detections.velocities[index])
    expected = detections.boxes.centres[index, :2] + velocity * trajectories.times[0]
    distances = np.where(same_category, np.hypot(*(paths[:, 0] - expected).T), np.inf)
    nearest = int(distances.argmin())
    return category, distances, nearest


def _view_content(node: Node, capture: Capture) -> dict[str, Any]:
    geometry = capture.geometry
    footprint = camera_footprint(geometry, node.world_frame.ground, MAX_FOOTPRINT_DISTANCE_M)[:, :2]
    forward = geometry.world_from_camera[:3, 2]
    quaternion = quaternion_from_rotation(geometry.world_from_camera[:3, :3])
    return {
        "channel": topic_word(capture.channel),
        "position": round_coordinates(geometry.position),
        "orientation": [round(float(value), 5) for value in quaternion],
        "heading": round(math.atan2(float(forward[1]), float(forward[0])), 4),
        "footprint": [round_coordinates(point) for point in footprint if np.isfinite(point).all()],
        "rows": geometry.camera.rows,
        "columns": geometry.camera.columns,
        "intrinsics": [round(float(value), 4) for value in geometry.camera.intrinsics.ravel()],
    }

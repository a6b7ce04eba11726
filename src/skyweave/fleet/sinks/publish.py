"""Pictures as messages: our own JSON with everything, GeoJSON for a GIS, and JSON with ROS's names (docs/fleet.md)."""

import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from skyweave.collaboration.pose_alignment import PoseError
from skyweave.core.errors import FleetError
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.core.geometry.outlines import camera_footprint
from skyweave.fleet.link.topics import camera_topic, result_topic
from skyweave.fleet.link.transport import Priority
from skyweave.fleet.node.node import FusedScene, Node
from skyweave.perception.export import geojson
from skyweave.perception.results import Detections
from skyweave.perception.tracking import Tracker, TrackerConfig
from skyweave.recordings.recording import Capture

MIN_PUBLISHED_SCORE = 0.2  # score from which a box is published
FARTHEST = 400.0  # metres to which a view is outlined
MOST = 400  # boxes of a published picture
CAMERA_WIDTH = 320
JPEG_QUALITY = 70


class Publisher:
    """Publishes a node's pictures.

    Args:
        node: whose.
        forms: of results: ``true_color_image``, ``geojson``, ``ros``.
        camera_interval: seconds between small pictures of each camera; 0: none.
    """

    def __init__(self, node: Node, forms: Sequence[str] = ("picture",), camera_interval: float = 0.0) -> None:
        unknown = set(forms) - {"picture", "geojson", "ros"}
        if unknown:
            raise FleetError(f"no form {sorted(unknown)[0]!r} of results; there are picture, geojson, ros")
        if "geojson" in forms and node.place.crs is None:
            raise FleetError("GeoJSON needs a place on Earth; give the fleet a crs, or leave out the form geojson")
        self.node, self.forms, self.camera_interval = node, tuple(forms), camera_interval
        self.tracker = Tracker(TrackerConfig(start=0.3, keep=3.0))
        self._last_camera = 0

    def publish(self, picture: FusedScene) -> dict[str, Any]:
        """Follow what was found and publish it. Returns the content of form ``true_color_image``."""
        node = self.node
        with node.statistics.stage("publish"):
            found = self._tracked(picture)
            content = scene_content(node, picture, found)
            for form in self.forms:
                if form == "picture":
                    plain: Any = content
                elif form == "ros":
                    plain = ros_detections(found, picture)
                else:
                    plain = geojson(
                        [found] if picture.scene.trajectories is None else [found, picture.scene.trajectories]
                    )
                message = json.dumps(plain, allow_nan=False, separators=(",", ":")).encode()
                node.publish(result_topic(node.fleet, node.name, form), message, Priority.RESULTS)
            self._cameras(picture)
        return content

    def _tracked(self, picture: FusedScene) -> Detections:
        found = picture.scene.detections
        if found is None:
            return Detections.empty(self.node.place.crs, picture.time)
        order = np.flatnonzero(found.scores >= MIN_PUBLISHED_SCORE)[:MOST]
        return self.tracker.follow(found.select(order))

    def _cameras(self, picture: FusedScene) -> None:
        if not self.camera_interval or picture.time - self._last_camera < self.camera_interval * 1e9:
            return
        self._last_camera = picture.time
        for capture in picture.frame.captures.values():
            key = camera_topic(self.node.fleet, self.node.name, capture.channel)
            self.node.publish(key, thumbnail_jpeg(capture), Priority.PICTURES)


def scene_content(node: Node, picture: FusedScene, found: Detections) -> dict[str, Any]:
    """Everything that a map of the fleet shows, plain JSON types; metres in the fleet's reference system."""
    boxes = found.boxes
    return {
        "fleet": node.fleet,
        "platform": node.name,
        "sequence": picture.sequence,
        "time": picture.time / 1e9,
        "latency": round(picture.latency, 4),
        "crs": node.place.crs,
        "boxes": [
            {
                "id": (found.instances or ())[i] or None,
                "category": found.categories[i],
                "score": round(float(found.scores[i]), 3),
                "centre": _rounded(boxes.centres[i]),
                "size": _rounded(boxes.sizes[i]),
                "yaw": round(float(boxes.yaws[i]), 4),
                "velocity": _rounded(np.nan_to_num(found.velocities[i])),
            }
            for i in range(len(found))
        ],
        "forecasts": _forecasts(picture, found),
        "views": [_view(node, capture) for capture in picture.frame.captures.values()],
        "sources": {one.peer: {"apart": round(one.apart, 4), "complete": one.complete} for one in picture.sources},
        "links": link_content(node),
        "budget": node.budget.frame,
    }


def link_content(node: Node) -> dict[str, Any]:
    """How this node hears each of the others."""
    now = node.clock()
    return {
        peer.name: {
            "bytes": peer.bytes,
            "messages": peer.messages,
            "refused": sum(peer.refused().values()),
            "age": round((now - peer.last_frame) / 1e9, 3) if peer.last_frame else None,
            "offset": round(peer.clock.offset / 1e9, 4),
            "alive": bool(peer.beat_heard) and now - peer.beat_heard <= node.options.alive * 1e9,
            "pose": pose_content(node.pose_error(peer)),
        }
        for peer in node.peers.all()
    }


def pose_content(error: PoseError | None) -> dict[str, Any] | None:
    """How wrong a peer's poses are, as JSON."""
    if error is None:
        return None
    degrees = round(float(np.degrees(error.rotation_rad)), 2)
    return {"metres": round(error.translation_m, 2), "degrees": degrees, "trusted": error.trusted}


def ros_detections(found: Detections, picture: FusedScene) -> dict[str, Any]:
    """The fields of ``vision_msgs/Detection3DArray`` (REP 103: metres, x east, y north, z up; quaternion x y z w)."""
    seconds, nanoseconds = divmod(picture.time, 10**9)
    header = {"stamp": {"sec": seconds, "nanosec": nanoseconds}, "frame_id": "map"}
    detections = []
    for i in range(len(found)):
        yaw = float(found.boxes.yaws[i])
        centre, size = _rounded(found.boxes.centres[i]), _rounded(found.boxes.sizes[i])
        pose = {
            "position": dict(zip("xyz", centre, strict=True)),
            "orientation": {"x": 0.0, "y": 0.0, "z": math.sin(yaw / 2), "w": math.cos(yaw / 2)},
        }
        hypothesis = {"class_id": found.categories[i], "score": float(found.scores[i])}
        detections.append(
            {
                "header": header,
                "results": [
                    {
                        "hypothesis": hypothesis,
                        "pose": {"pose": pose, "covariance": [0.0] * 36},
                    }
                ],
                "bbox": {"center": pose, "size": dict(zip("xyz", size, strict=True))},
                "id": (found.instances or ())[i],
            }
        )
    return {"header": header, "detections": detections}


def thumbnail_jpeg(capture: Capture) -> bytes:
    """A picture of a capture, at most ``CAMERA_WIDTH`` pixels wide."""
    from PIL import Image

    from skyweave.core.images.true_color import true_color_image

    image = Image.fromarray(true_color_image(capture.load()))
    if image.width > CAMERA_WIDTH:
        image = image.resize((CAMERA_WIDTH, round(image.height * CAMERA_WIDTH / image.width)))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _forecasts(picture: FusedScene, found: Detections) -> list[dict[str, Any]]:
    """The most probable way of each published box that has one."""
    trajectories = picture.scene.trajectories
    if trajectories is None or not len(trajectories):
        return []
    shown = []
    best = trajectories.most_probable()
    starts = best[:, 0] - 0.0
    for i in range(len(found)):
        same = np.array([category == found.categories[i] for category in trajectories.categories])
        expected = found.boxes.centres[i, :2] + np.nan_to_num(found.velocities[i]) * trajectories.times[0]
        distance = np.where(same, np.hypot(*(starts - expected).T), np.inf)
        nearest = int(distance.argmin())
        if distance[nearest] < 3.0:
            name = (found.instances or ())[i] or None
            path = [_rounded(point) for point in best[nearest]]
            shown.append({"id": name, "category": found.categories[i], "path": path})
    return shown


def _view(node: Node, capture: Capture) -> dict[str, Any]:
    geometry = capture.geometry
    outline = camera_footprint(geometry, node.place.ground, FARTHEST)[:, :2]
    forward = geometry.world_from_camera[:3, 2]
    return {
        "channel": capture.channel,
        "position": _rounded(geometry.position),
        "orientation": [round(float(v), 5) for v in quaternion_from_rotation(geometry.world_from_camera[:3, :3])],
        "heading": round(math.atan2(float(forward[1]), float(forward[0])), 4),
        "footprint": [_rounded(point) for point in outline if np.isfinite(point).all()],
        "rows": geometry.camera.rows,
        "columns": geometry.camera.columns,
        "intrinsics": [round(float(v), 4) for v in geometry.camera.intrinsics.ravel()],
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]

"""A fleet's scenes as a Rerun file (rerun.io). Positions are moved to near zero, because Rerun holds 32-bit floats."""

from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
from msgspec import to_builtins

from skyweave.core.geometry.outlines import name_colour
from skyweave.fleet.link.messages import CameraImage
from skyweave.fleet.link.scene_message import SceneMessage
from skyweave.fleet.sinks.recorder import RecordingSession, record_messages
from skyweave.fleet.sinks.recording_file import partial_recording
from skyweave.fleet.sinks.subscriber import ReceivedMessage

IMAGE_PLANE_DISTANCE_M = 6.0
FORECAST_HEIGHT_M = 0.3
ORIGIN_DIGITS = -1  # the origin is rounded to 10 m


def record_rerun(path: str | Path, session: RecordingSession) -> int:
    """Record until the session ends; return how many messages were received. The file has its name when it is whole.

    Args:
        path: of the file.
        session: what is recorded, and for how long.

    Raises:
        OSError: it cannot be written.
    """
    with partial_recording(path) as partial:
        stream = rr.RecordingStream("skyweave", recording_id=session.fleet)
        stream.save(str(partial))
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        recorder = RerunRecorder(stream)
        count = record_messages(session, recorder.write, stream.flush)
        stream.flush()
        stream.disconnect()
    return count


class RerunRecorder:
    """Logs scenes and camera images.

    Args:
        stream: of the file.

    Attributes:
        origin: (3,) by which positions are moved, metres; None until the first scene.
        undrawn: messages that cannot be drawn.
    """

    def __init__(self, stream: rr.RecordingStream) -> None:
        self.stream = stream
        self.origin: np.ndarray | None = None
        self.undrawn = 0

    def write(self, message: ReceivedMessage, received: int) -> None:
        """Log a message of the fleet. What cannot be drawn is left out, and counted.

        Args:
            message: as it came.
            received: UTC nanoseconds.
        """
        self.stream.set_time("time", timestamp=np.datetime64(received, "ns"))
        content = message.content
        try:
            if isinstance(content, CameraImage):
                entity = f"world/{content.platform}/{content.channel}/image"
                self.stream.log(entity, rr.EncodedImage(contents=content.jpeg, media_type="image/jpeg"))
            elif isinstance(content, SceneMessage):
                self._log_scene(content.platform, to_builtins(content))
        except OSError:  # of the file
            raise
        except Exception:
            self.undrawn += 1

    def _log_scene(self, platform: str, content: dict[str, Any]) -> None:
        if self.origin is None and not (content["views"] or content["boxes"]):
            return
        if self.origin is None:
            self._set_origin(content)
        self._log_boxes(platform, content["boxes"])
        self._log_forecasts(platform, content["forecasts"])
        self.stream.log(f"plots/latency/{platform}", rr.Scalars(content["latency"]))
        for view in content["views"]:
            self._log_view(platform, view)

    def _set_origin(self, content: dict[str, Any]) -> None:
        views, boxes = content["views"], content["boxes"]
        position = views[0]["position"] if views else boxes[0]["centre"]
        self.origin = np.array([*np.round(position[:2], ORIGIN_DIGITS), 0.0])
        text = f"moved by {(-self.origin).tolist()} m from {content['crs']}"
        self.stream.log("scene", rr.TextDocument(text), static=True)

    def _log_boxes(self, platform: str, boxes: list[dict[str, Any]]) -> None:
        yaws = np.array([box["yaw"] for box in boxes])
        self.stream.log(
            f"world/{platform}/objects",
            rr.Boxes3D(
                centers=np.array([box["centre"] for box in boxes]).reshape(-1, 3) - self.origin,
                half_sizes=np.array([box["size"] for box in boxes]).reshape(-1, 3) / 2,
                quaternions=np.stack([0 * yaws, 0 * yaws, np.sin(yaws / 2), np.cos(yaws / 2)], -1).reshape(-1, 4),
                colors=[name_colour(box["category"]) for box in boxes],
                labels=_labels(boxes),
                show_labels=False,
            ),
        )

    def _log_forecasts(self, platform: str, forecasts: list[dict[str, Any]]) -> None:
        paths = [
            np.array([[*point, FORECAST_HEIGHT_M] for point in forecast["path"]]) - self.origin
            for forecast in forecasts
        ]
        colours = [name_colour(forecast["category"]) for forecast in forecasts]
        self.stream.log(f"world/{platform}/forecasts", rr.LineStrips3D(paths, colors=colours))

    def _log_view(self, platform: str, view: dict[str, Any]) -> None:
        entity, quaternion = f"world/{platform}/{view['channel']}", view["orientation"]
        self.stream.log(
            entity,
            rr.Transform3D(
                translation=np.array(view["position"]) - self.origin,
                quaternion=rr.Quaternion(xyzw=[*quaternion[1:], quaternion[0]]),
            ),
        )
        self.stream.log(
            f"{entity}/image",
            rr.Pinhole(
                image_from_camera=np.array(view["intrinsics"]).reshape(3, 3),
                resolution=[view["columns"], view["rows"]],
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=IMAGE_PLANE_DISTANCE_M,
            ),
        )
        ring = np.array([[*point, 0.0] for point in view["footprint"]]).reshape(-1, 3) - self.origin
        if len(ring):
            strip = np.concatenate([ring, ring[:1]])
            self.stream.log(f"world/views/{platform}", rr.LineStrips3D([strip], colors=[name_colour(platform)]))


def _labels(boxes: list[dict[str, Any]]) -> list[str]:
    """Return the label of each box."""
    return [f"{box['category']} {box['id'] or ''}" for box in boxes]

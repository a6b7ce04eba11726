"""A fleet's pictures as a Rerun file (rerun.io). Places are moved to near zero, because Rerun holds 32-bit floats."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.outlines import name_colour
from skyweave.fleet.link.topics import CAMERA, RESULT
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.mcap import record_messages

FRUSTUM = 6.0  # metres from a camera to its picture


def record_rerun(
    path: str | Path,
    fleet: str,
    transport: Transport,
    stop: threading.Event,
    seconds: float | None = None,
    keys: str | None = None,
    name: str = "viewer",
) -> int:
    """Record until stopped. The file is there when it is whole. Returns how many messages were heard."""
    with write_aside(path) as aside:
        stream = rr.RecordingStream("skyweave", recording_id=fleet)
        stream.save(str(aside))
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        recorder = RerunRecorder(stream)
        count = record_messages(fleet, transport, stop, seconds, keys, name, recorder.write)
        stream.flush()
        stream.disconnect()
    return count


class RerunRecorder:
    """Logs pictures and cameras."""

    def __init__(self, stream: rr.RecordingStream) -> None:
        self.stream = stream
        self.origin: np.ndarray | None = None

    def write(self, key: str, message: bytes, when: int) -> None:
        """One message of the fleet."""
        words = key.split("/")
        self.stream.set_time("time", timestamp=np.datetime64(when, "ns"))
        if words[2] == CAMERA:
            place = f"world/{words[3]}/{words[4]}/image"
            self.stream.log(place, rr.EncodedImage(contents=message, media_type="image/jpeg"))
        elif words[2] == RESULT and words[-1] == "picture":
            try:
                self._picture(words[3], json.loads(message))
            except (ValueError, KeyError, TypeError, IndexError):
                return

    def _picture(self, platform: str, content: dict[str, Any]) -> None:
        stream, boxes = self.stream, content["boxes"]
        if self.origin is None:
            place = content["views"][0]["position"] if content["views"] else boxes[0]["centre"]
            self.origin = np.array([*np.round(place[:2], -1), 0.0])
            stream.log(
                "scene", rr.TextDocument(f"moved by {(-self.origin).tolist()} m from {content['crs']}"), static=True
            )
        yaws = np.array([box["yaw"] for box in boxes])
        stream.log(
            f"world/{platform}/objects",
            rr.Boxes3D(
                centers=np.array([box["centre"] for box in boxes]).reshape(-1, 3) - self.origin,
                half_sizes=np.array([box["size"] for box in boxes]).reshape(-1, 3) / 2,
                quaternions=np.stack([0 * yaws, 0 * yaws, np.sin(yaws / 2), np.cos(yaws / 2)], -1).reshape(-1, 4),
                colors=[name_colour(box["category"]) for box in boxes],
                labels=[f"{box['category']} {box['id'] or ''}" for box in boxes],
                show_labels=False,
            ),
        )
        paths = [np.array([[*point, 0.3] for point in one["path"]]) - self.origin for one in content["forecasts"]]
        colours = [name_colour(one["category"]) for one in content["forecasts"]]
        stream.log(f"world/{platform}/forecasts", rr.LineStrips3D(paths, colors=colours))
        stream.log(f"plots/latency/{platform}", rr.Scalars(content["latency"]))
        for view in content["views"]:
            place, turn = f"world/{platform}/{view['channel']}", view["orientation"]
            stream.log(
                place,
                rr.Transform3D(
                    translation=np.array(view["position"]) - self.origin,
                    quaternion=rr.Quaternion(xyzw=[*turn[1:], turn[0]]),
                ),
            )
            stream.log(
                f"{place}/image",
                rr.Pinhole(
                    image_from_camera=np.array(view["intrinsics"]).reshape(3, 3),
                    resolution=[view["columns"], view["rows"]],
                    camera_xyz=rr.ViewCoordinates.RDF,
                    image_plane_distance=FRUSTUM,
                ),
            )
            ring = np.array([[*point, 0.0] for point in view["footprint"]]).reshape(-1, 3) - self.origin
            if len(ring):
                strip = np.concatenate([ring, ring[:1]])
                stream.log(f"world/views/{platform}", rr.LineStrips3D([strip], colors=[name_colour(platform)]))

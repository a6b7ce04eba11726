"""A fleet's messages as MCAP (mcap.dev): as they are, for `fleet replay`, and in Foxglove's schemas, for viewers.

Places are written in a frame ``local``, a round number of metres from ``map``, because viewers draw in 32 bits.
"""

import json
import queue
import threading
import time
from collections.abc import Callable
from math import cos, sin
from pathlib import Path
from typing import Any

from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransform_pb2 import FrameTransform
from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from mcap.writer import Writer
from mcap_protobuf.schema import register_schema

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.outlines import name_colour
from skyweave.fleet.link.topics import CAMERA, RESULT
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.subscriber import FleetSubscriber

RAW_ENCODING = "skyweave"  # encoding of the messages as they are
WAITING = 20_000  # messages
STAYS = 2.0  # seconds that a drawn thing stays without a newer one
LINE_STRIP, LINE_LOOP = 0, 1  # of LinePrimitive


def record_mcap(
    path: str | Path,
    fleet: str,
    transport: Transport,
    stop: threading.Event,
    seconds: float | None = None,
    keys: str | None = None,
    name: str = "viewer",
) -> int:
    """Record until stopped. The file is there when it is whole. Returns how many messages it holds.

    Raises:
        OSError: it cannot be written.
    """
    with write_aside(path) as aside, aside.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="", library="skyweave")
        recorder = McapRecorder(writer)
        writer.add_metadata("skyweave", {"fleet": fleet})
        count = record_messages(fleet, transport, stop, seconds, keys, name, recorder.write)
        writer.finish()
    return count


def record_messages(
    fleet: str,
    transport: Transport,
    stop: threading.Event,
    seconds: float | None,
    keys: str | None,
    name: str,
    write: Callable[[str, bytes, int], None],
) -> int:
    """Hand all messages of a fleet to ``write`` (key, message, when it came in nanoseconds), in this thread."""
    waiting: queue.Queue[tuple[str, bytes, int]] = queue.Queue(WAITING)

    def heard(key: str, message: bytes, sealed: bytes) -> None:
        try:
            waiting.put_nowait((key, message, time.time_ns()))
        except queue.Full:
            listener.refused["recorder"] += 1

    listener = FleetSubscriber(fleet, transport, keys, name)
    listener.everything(heard)
    count, until = 0, None if seconds is None else time.monotonic() + seconds
    try:
        while not stop.is_set() and (until is None or time.monotonic() < until):
            try:
                key, message, when = waiting.get(timeout=0.1)
            except queue.Empty:
                continue
            write(key, message, when)
            count += 1
    finally:
        listener.close()
    while not waiting.empty():
        write(*waiting.get_nowait())
        count += 1
    return count


class McapRecorder:
    """Writes messages as they are and, beside them, what viewers understand."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.origin: tuple[float, float] | None = None
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._frames: dict[tuple[str, str], str] = {}  # of cameras

    def write(self, key: str, message: bytes, when: int) -> None:
        """One message of the fleet."""
        if key not in self._channels:
            self._channels[key] = self.writer.register_channel(topic=key, message_encoding=RAW_ENCODING, schema_id=0)
        self.writer.add_message(self._channels[key], when, message, when)
        words = key.split("/")
        if words[2] == RESULT and words[-1] == "picture":
            try:
                self._picture(words[3], json.loads(message), when)
            except (ValueError, KeyError, TypeError, IndexError):
                return  # another version's: it is recorded as it is
        elif words[2] == CAMERA:
            image = CompressedImage(
                timestamp=_stamp(when), frame_id=f"{words[3]}/{words[4]}", data=message, format="jpeg"
            )
            self._add(f"/{words[3]}/{words[4]}/image", image, when)

    def _picture(self, platform: str, content: dict[str, Any], when: int) -> None:
        stamp = _stamp(round(content["time"] * 1e9))
        if self.origin is None:
            x, y, _ = content["views"][0]["position"] if content["views"] else content["boxes"][0]["centre"]
            self.origin = (round(x, -2), round(y, -2))
        shift = FrameTransform(timestamp=stamp, parent_frame_id="map", child_frame_id="local")
        shift.translation.x, shift.translation.y = self.origin
        shift.rotation.w = 1.0
        self._add("/tf", shift, when)
        for view in content["views"]:
            self._view(platform, view, stamp, when, content["crs"])
        self._add(f"/{platform}/scene", self._scene(platform, content, stamp), when)

    def _view(self, platform: str, view: dict[str, Any], stamp: Timestamp, when: int, crs: str | None) -> None:
        frame = f"{platform}/{view['channel']}"
        transform = FrameTransform(timestamp=stamp, parent_frame_id="local", child_frame_id=frame)
        self._place(transform.translation, view["position"])
        transform.rotation.w, transform.rotation.x, transform.rotation.y, transform.rotation.z = view["orientation"]
        self._add("/tf", transform, when)
        k = view["intrinsics"]
        calibration = CameraCalibration(
            timestamp=stamp,
            frame_id=frame,
            width=view["columns"],
            height=view["rows"],
            K=k,
            P=[*k[:3], 0, *k[3:6], 0, *k[6:], 0],
            R=[1, 0, 0, 0, 1, 0, 0, 0, 1],
        )
        self._add(f"/{platform}/{view['channel']}/calibration", calibration, when)
        if crs is not None:
            latitude, longitude = _lat_lon(view["position"], crs)
            fix = LocationFix(
                timestamp=stamp, frame_id=frame, latitude=latitude, longitude=longitude, altitude=view["position"][2]
            )
            self._add(f"/{platform}/location", fix, when)

    def _scene(self, platform: str, content: dict[str, Any], stamp: Timestamp) -> SceneUpdate:
        update = SceneUpdate()
        entity = update.entities.add()
        entity.timestamp.CopyFrom(stamp)
        entity.frame_id, entity.id = "local", platform
        entity.lifetime.CopyFrom(Duration(nanos=0, seconds=round(STAYS)))
        for box in content["boxes"]:
            cube = entity.cubes.add()
            self._place(cube.pose.position, box["centre"])
            cube.pose.orientation.z, cube.pose.orientation.w = sin(box["yaw"] / 2), cos(box["yaw"] / 2)
            cube.size.x, cube.size.y, cube.size.z = box["size"]
            _paint(cube.color, name_colour(box["category"]), 0.3 + 0.6 * box["score"])
        for forecast in content["forecasts"]:
            line = entity.lines.add()
            line.type, line.thickness, line.scale_invariant = LINE_STRIP, 2.0, True
            line.pose.orientation.w = 1.0
            for point in forecast["path"]:
                self._place(line.points.add(), [*point, 0.3])
            _paint(line.color, name_colour(forecast["category"]), 0.8)
        for view in content["views"]:
            line = entity.lines.add()
            line.type, line.thickness, line.scale_invariant = LINE_LOOP, 1.0, True
            line.pose.orientation.w = 1.0
            for point in view["footprint"]:
                self._place(line.points.add(), [*point, 0.0])
            _paint(line.color, name_colour(platform), 0.7)
        return update

    def _place(self, target: Any, point: list[float]) -> None:
        assert self.origin is not None
        target.x, target.y, target.z = point[0] - self.origin[0], point[1] - self.origin[1], point[2]

    def _add(self, topic: str, message: Message, when: int) -> None:
        if topic not in self._channels:
            name = type(message).DESCRIPTOR.full_name
            if name not in self._schemas:
                self._schemas[name] = register_schema(self.writer, type(message))
            self._channels[topic] = self.writer.register_channel(
                topic=topic, message_encoding="protobuf", schema_id=self._schemas[name]
            )
        self.writer.add_message(self._channels[topic], when, message.SerializeToString(), when)


def _stamp(time: int) -> Timestamp:
    return Timestamp(seconds=time // 10**9, nanos=time % 10**9)


def _paint(target: Any, colour: tuple[int, int, int], opacity: float) -> None:
    target.r, target.g, target.b = (value / 255 for value in colour)
    target.a = opacity


def _lat_lon(position: list[float], crs: str) -> tuple[float, float]:
    longitude, latitude = _to_degrees(crs).transform(position[0], position[1])
    return latitude, longitude


_TRANSFORMERS: dict[str, Any] = {}


def _to_degrees(crs: str) -> Any:
    from pyproj import Transformer

    if crs not in _TRANSFORMERS:
        _TRANSFORMERS[crs] = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    return _TRANSFORMERS[crs]

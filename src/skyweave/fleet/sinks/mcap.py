"""A fleet's messages as MCAP (mcap.dev): as they are, for `fleet replay`, and in Foxglove's schemas, for viewers.

Positions are written in a frame ``local``, a round number of metres from ``map``, because viewers draw in 32 bits.
"""

import json
from contextlib import closing
from functools import lru_cache
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
from msgspec import to_builtins

from skyweave.core.geometry.outlines import name_colour
from skyweave.fleet.link.messages import CameraImage, MessageContent
from skyweave.fleet.link.scene_message import SceneMessage
from skyweave.fleet.link.topics import RESULT, Topic
from skyweave.fleet.sinks.recorder import RecordingSession, record_messages
from skyweave.fleet.sinks.recording_file import RecordingFile, partial_recording
from skyweave.fleet.sinks.subscriber import ReceivedMessage

RAW_ENCODING, JSON_ENCODING = "skyweave", "json"  # of the messages as they are, and of those of them that are JSON
FLEET_ENCODINGS = (RAW_ENCODING, JSON_ENCODING)
LIFETIME_S = 2  # of a drawn object without a newer one
ORIGIN_DIGITS = -2  # the origin is rounded to 100 m
_POINT = {"type": "array", "items": {"type": "number"}}
JSON_SCHEMAS: dict[str, dict[str, Any]] = {
    "scene": {
        "title": "skyweave.Scene",
        "type": "object",
        "properties": {
            "platform": {"type": "string"},
            "time": {"type": "number", "description": "UTC seconds"},
            "crs": {"type": ["string", "null"]},
            "boxes": {"type": "array", "items": {"type": "object", "properties": {"centre": _POINT, "size": _POINT}}},
            "forecasts": {"type": "array", "items": {"type": "object"}},
            "views": {"type": "array", "items": {"type": "object", "properties": {"position": _POINT}}},
        },
    },
    "geojson": {
        "title": "geojson.FeatureCollection",
        "type": "object",
        "properties": {
            "type": {"const": "FeatureCollection"},
            "features": {"type": "array", "items": {"type": "object"}},
        },
    },
    "ros": {"title": "vision_msgs.Detection3DArray", "type": "object"},
}
"""What a fleet's results hold, by their form (mcap.dev: message encoding ``json``, schema encoding ``jsonschema``)."""
LINE_STRIP, LINE_LOOP = 0, 1  # of LinePrimitive


def record_mcap(path: str | Path, session: RecordingSession) -> int:
    """Record until the session ends; return how many messages the file holds. It has its name when it is whole.

    Args:
        path: of the file.
        session: what is recorded, and for how long.

    Raises:
        FleetError: the disk is full; what was recorded is kept.
        OSError: it cannot be written.
    """
    with partial_recording(path) as partial, closing(RecordingFile(partial)) as file:
        writer: Any = Writer(file)  # type: ignore[arg-type]  # parts of it are not typed
        end_chunk = writer._Writer__finalize_chunk  # it has no other way to end one early

        def save() -> None:
            end_chunk()
            file.sync()

        try:
            writer.start(profile="", library="skyweave")
            recorder = McapRecorder(writer)
            writer.add_metadata("skyweave", {"fleet": session.fleet})
            count = record_messages(session, recorder.write, save)
            writer.finish()
            file.sync()
        except OSError:
            file.cut()
            raise
    return count


class McapRecorder:
    """Writes messages as they are and, beside them, what viewers understand.

    Args:
        writer: of the file.

    Attributes:
        origin: (east, north) of the frame ``local`` in ``map``, metres; None until the first scene.
        undrawn: messages that are in the file, and of which nothing is that viewers understand.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.origin: tuple[float, float] | None = None
        self.undrawn = 0
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}

    def write(self, message: ReceivedMessage, received: int) -> None:
        """Write a message of the fleet. What cannot be drawn of it is left out, and counted; the message stays.

        Args:
            message: as it came.
            received: UTC nanoseconds.
        """
        topic = message.topic
        if topic not in self._channels:
            self._channels[topic] = self._register(topic, message.address)
        self.writer.add_message(self._channels[topic], received, message.message, received)
        try:
            self._write_derived(message.content, received)
        except OSError:  # of the file
            raise
        except Exception:
            self.undrawn += 1

    def _write_derived(self, content: MessageContent, received: int) -> None:
        """Write what viewers understand of a message."""
        if isinstance(content, SceneMessage):
            self._write_scene(content.platform, to_builtins(content), received)
        elif isinstance(content, CameraImage):
            frame = f"{content.platform}/{content.channel}"
            image = CompressedImage(timestamp=_stamp(received), frame_id=frame, data=content.jpeg, format="jpeg")
            self._add(f"/{frame}/image", image, received)

    def _register(self, topic: str, address: Topic) -> int:
        """Return the channel of a topic: results of the forms that are JSON say so, and what they hold."""
        schema = JSON_SCHEMAS.get(address.name) if address.kind == RESULT else None
        number, encoding = (0, RAW_ENCODING) if schema is None else (self._json_schema(schema), JSON_ENCODING)
        channel: int = self.writer.register_channel(topic=topic, message_encoding=encoding, schema_id=number)
        return channel

    def _json_schema(self, schema: dict[str, Any]) -> int:
        title = schema["title"]
        if title not in self._schemas:
            text = json.dumps(schema).encode()
            self._schemas[title] = self.writer.register_schema(name=title, encoding="jsonschema", data=text)
        return self._schemas[title]

    def _write_scene(self, platform: str, content: dict[str, Any], received: int) -> None:
        stamp = _stamp(round(content["time"] * 1e9))
        if self.origin is None:
            places = [view["position"] for view in content["views"]] + [box["centre"] for box in content["boxes"]]
            if not places:
                return
            x, y, _ = places[0]
            self.origin = (round(x, ORIGIN_DIGITS), round(y, ORIGIN_DIGITS))
        shift = FrameTransform(timestamp=stamp, parent_frame_id="map", child_frame_id="local")
        shift.translation.x, shift.translation.y = self.origin
        shift.rotation.w = 1.0
        self._add("/tf", shift, received)
        for view in content["views"]:
            self._write_view(platform, view, stamp, received, content["crs"])
        self._add(f"/{platform}/scene", self._scene_update(platform, content, stamp), received)

    def _write_view(
        self, platform: str, view: dict[str, Any], stamp: Timestamp, received: int, crs: str | None
    ) -> None:
        frame = f"{platform}/{view['channel']}"
        transform = FrameTransform(timestamp=stamp, parent_frame_id="local", child_frame_id=frame)
        self._set_position(transform.translation, view["position"])
        transform.rotation.w, transform.rotation.x, transform.rotation.y, transform.rotation.z = view["orientation"]
        self._add("/tf", transform, received)
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
        self._add(f"/{platform}/{view['channel']}/calibration", calibration, received)
        if crs is not None:
            latitude, longitude = _latitude_longitude(view["position"], crs)
            fix = LocationFix(
                timestamp=stamp, frame_id=frame, latitude=latitude, longitude=longitude, altitude=view["position"][2]
            )
            self._add(f"/{platform}/location", fix, received)

    def _scene_update(self, platform: str, content: dict[str, Any], stamp: Timestamp) -> SceneUpdate:
        update = SceneUpdate()
        entity = update.entities.add()
        entity.timestamp.CopyFrom(stamp)
        entity.frame_id, entity.id = "local", platform
        entity.lifetime.CopyFrom(Duration(nanos=0, seconds=LIFETIME_S))
        for box in content["boxes"]:
            self._add_cube(entity, box)
        for forecast in content["forecasts"]:
            self._add_path(entity, forecast)
        for view in content["views"]:
            self._add_footprint(entity, view, platform)
        return update

    def _add_cube(self, entity: Any, box: Any) -> None:
        """Add one box."""
        cube = entity.cubes.add()
        self._set_position(cube.pose.position, box["centre"])
        cube.pose.orientation.z, cube.pose.orientation.w = sin(box["yaw"] / 2), cos(box["yaw"] / 2)
        cube.size.x, cube.size.y, cube.size.z = box["size"]
        _paint(cube.color, name_colour(box["category"]), 0.3 + 0.6 * box["score"])

    def _add_path(self, entity: Any, forecast: Any) -> None:
        """Add the path of one forecast."""
        line = entity.lines.add()
        line.type, line.thickness, line.scale_invariant = LINE_STRIP, 2.0, True
        line.pose.orientation.w = 1.0
        for point in forecast["path"]:
            self._set_position(line.points.add(), [*point, 0.3])
        _paint(line.color, name_colour(forecast["category"]), 0.8)

    def _add_footprint(self, entity: Any, view: Any, platform: str) -> None:
        """Add the footprint of one view."""
        line = entity.lines.add()
        line.type, line.thickness, line.scale_invariant = LINE_LOOP, 1.0, True
        line.pose.orientation.w = 1.0
        for point in view["footprint"]:
            self._set_position(line.points.add(), [*point, 0.0])
        _paint(line.color, name_colour(platform), 0.7)

    def _set_position(self, target: Any, point: list[float]) -> None:
        assert self.origin is not None
        target.x, target.y, target.z = point[0] - self.origin[0], point[1] - self.origin[1], point[2]

    def _add(self, topic: str, message: Message, received: int) -> None:
        if topic not in self._channels:
            name = type(message).DESCRIPTOR.full_name
            if name not in self._schemas:
                self._schemas[name] = register_schema(self.writer, type(message))
            self._channels[topic] = self.writer.register_channel(
                topic=topic, message_encoding="protobuf", schema_id=self._schemas[name]
            )
        self.writer.add_message(self._channels[topic], received, message.SerializeToString(), received)


def _stamp(time: int) -> Timestamp:
    return Timestamp(seconds=time // 10**9, nanos=time % 10**9)


def _paint(target: Any, colour: tuple[int, int, int], opacity: float) -> None:
    target.r, target.g, target.b = (value / 255 for value in colour)
    target.a = opacity


def _latitude_longitude(position: list[float], crs: str) -> tuple[float, float]:
    longitude, latitude = _to_degrees(crs).transform(position[0], position[1])
    return latitude, longitude


@lru_cache(maxsize=16)
def _to_degrees(crs: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)

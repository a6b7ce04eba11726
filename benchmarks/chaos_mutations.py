"""Structure-aware mutations of every kind of message of a fleet, as a hostile member with good keys can send them.

A mutation keeps what it takes to get to the next layer: the envelope's signature, MessagePack and JSON that parse, the
lengths and checksums of chunks, the first bytes of images. What it changes are the values in them.
"""

import io
import json
import random
import re
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from skyweave.fleet.link.envelope import HEADER_BYTES, NS_PER_STAMP
from skyweave.fleet.link.heartbeat import Heartbeat, PeerReport, encode_heartbeat
from skyweave.fleet.link.topics import camera_topic, frame_topic, heartbeat_topic, result_topic
from skyweave.wire import BoxList, FrameContent, WireGrid, encode_frame
from skyweave.wire.frame import Pose, Request
from skyweave.wire.header import Header, read_header, write_chunk

KINDS = ("heartbeat", "frame", "scene", "geojson", "ros", "camera")
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 1e-10, 1e-300, 5e-324, 1e10, 1e17, 1e200, 1.7e308, -0.0,
    0.5,
)  # fmt: skip
TEXTS = (
    "",
    "x" * 65,
    "x" * 5000,
    "UAV_1",
    "../../x",
    "\0",
    "EPSG:32632",
    "nonsense",
    "<script>alert(1)</script>",
    "é" * 40,
)
FIRST_DIGIT = re.compile(rb"(?<=[\[:, ])[1-9]")  # of a number
RAW_NUMBERS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" + b"0" * 400, b"1" * 6000)


class Mutator:
    """Makes hostile messages of one member.

    Args:
        fleet: name of the fleet.
        platform: name of the member.
        platform_id: its number.
        scene: a fused scene as a node publishes it.
        clock: returns UTC nanoseconds.
        seed: of the choices.
        grid: (micrometres a cell, EPSG code) of the fleet's maps.
    """

    def __init__(
        self,
        fleet: str,
        platform: str,
        platform_id: int,
        scene: dict[str, Any],
        clock: Callable[[], int],
        seed: int = 0,
        grid: tuple[int, int] = (500_000, 0),
    ) -> None:
        self.grid = grid
        self.victim = (1, 0)
        self.fleet, self.platform, self.platform_id, self.clock = fleet, platform, platform_id, clock
        self.scene = json.dumps({**scene, "fleet": fleet, "platform": platform})
        self.place = scene["views"][0]["position"]
        self.random = random.Random(seed)
        self.sequence = 0
        self.jpegs = [_image("JPEG", 24, 32), _image("JPEG", 24, 32, progressive=True)]
        self.others = [_image(kind, 24, 32) for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP")]
        self._makers: dict[str, Callable[[], tuple[str, bytes]]] = {
            "heartbeat": self._heartbeat, "frame": self._frame, "scene": self._scene, "geojson": self._geojson,
            "ros": self._ros, "camera": self._camera,
        }  # fmt: skip
        self._frame_chunks: list[bytes] = []
        self._frame_time = 0

    def on_heartbeat(self, platform_id: int, envelope: bytes) -> None:
        """Note the last heartbeat of a node that is attacked."""
        self.victim = (platform_id, int.from_bytes(envelope[4:HEADER_BYTES], "little") * NS_PER_STAMP)

    def message(self, kind: str) -> tuple[str, bytes]:
        """Return (topic, mutated message) of a kind."""
        topic, message = self._makers[kind]()
        return (self._odd_topic(topic) if self.random.random() < 0.02 else topic), message

    def _heartbeat(self) -> tuple[str, bytes]:
        now = self.clock()
        # A node takes frames only of who has received a heartbeat of its own process (a round trip).
        report = PeerReport(self.victim[0], self.victim[1] or now, now, self.random.randrange(1 << 30), 1000, 5)
        good = Heartbeat(1, self.platform_id, 0, *self.grid, 0.5, ("car", "truck"), now, (report, report))
        if self.random.random() < 0.1:
            return heartbeat_topic(self.fleet, self.platform), encode_heartbeat(good)
        content = json.loads(msgspec.json.encode(good))
        content = self._changed(content)
        try:
            message = msgspec.msgpack.encode(content)
        except (OverflowError, RecursionError):
            message = b"\xdc\xff\xff" + b"\x91" * 5000
        return heartbeat_topic(self.fleet, self.platform), self._cut(message)

    def _frame(self) -> tuple[str, bytes]:
        chunk = self.random.choice(self._chunks())
        way = self.random.random()
        if way < 0.45:
            chunk = self._changed_header(chunk)
        elif way < 0.9:
            chunk = with_valid_checksum(chunk, self.random)
        elif way < 0.95:
            chunk = self._cut(chunk)
        return frame_topic(self.fleet, self.platform), chunk

    def _scene(self) -> tuple[str, bytes]:
        content = msgspec.json.decode(self.scene)
        content["time"] = self.clock() / 1e9
        content["sequence"] = self.sequence = (self.sequence + 1) % (1 << 32)
        return result_topic(self.fleet, self.platform, "scene"), self._json(content)

    def _geojson(self) -> tuple[str, bytes]:
        point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [11.0, 48.0]}, "properties": {"a": 1}}
        return result_topic(self.fleet, self.platform, "geojson"), self._json(
            {"type": "FeatureCollection", "platform": "UAV_1", "features": [point] * 3}
        )

    def _ros(self) -> tuple[str, bytes]:
        boxes = [{"bbox": {"center": {"position": {"x": 1.0}}, "size": {"x": 1}}, "results": [{"score": 0.5}]}]
        return result_topic(self.fleet, self.platform, "ros"), self._json(
            {"header": {"stamp": {"sec": 1}}, "detections": boxes}
        )

    def _camera(self) -> tuple[str, bytes]:
        content, way = bytearray(self.random.choice(self.jpegs)), self.random.random()
        if way < 0.5:
            for _ in range(self.random.randint(1, 6)):
                content[self.random.randrange(2, len(content))] = self.random.randrange(256)
        elif way < 0.6:
            place = content.find(b"\xff\xc0")
            content[place + 5 : place + 9] = self.random.randbytes(4)
        elif way < 0.7:
            content = bytearray(self.random.choice(self.others))
        elif way < 0.75:
            scan = content.find(b"\xff\xda")
            content[scan:scan] = content[scan : scan + 10] * self.random.choice((5, 200, 3000))
        elif way < 0.8:
            content = bytearray(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{1 1 add pop} loop\n")
        channel = self.random.choice(("FRONT", "BACK", f"C{self.random.randrange(2000)}"))
        return camera_topic(self.fleet, self.platform, channel), self._cut(bytes(content))

    def _json(self, content: Any) -> bytes:
        """Return JSON with something changed, of which a twelfth are numbers that JSON does not have."""
        way = self.random.random()
        if way < 0.03:
            return msgspec.json.encode(content)
        changed, own = self._changed(content), way > 0.8
        # Python's own writes infinities and spaces, and takes ten times as long.
        message = json.dumps(changed).encode() if own else msgspec.json.encode(changed)
        if way < 0.12:
            first = self.random.randrange(len(message))
            digit = FIRST_DIGIT.search(message, first) or FIRST_DIGIT.search(message)
            if digit:
                return message[: digit.start()] + self.random.choice(RAW_NUMBERS) + message[digit.end() :]
        if way < 0.14:
            return b'{"x":' + b"[" * self.random.choice((50, 2000, 100_000)) + message
        return self._cut(message)

    def _changed(self, content: Any) -> Any:
        """Change one to three places of nested content, in place."""
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            parent, key = self._place(content)
            if parent is None:
                return self._value(content)
            way = self.random.random()
            if way < 0.08 and isinstance(parent, dict):
                del parent[key]
            elif way < 0.12 and isinstance(parent, list):
                parent[key:key] = [deepcopy(parent[key])] * self.random.choice((1, 70, 2000))
            elif way < 0.16 and isinstance(parent, list):
                del parent[key]
            elif way < 0.2 and isinstance(parent, dict):
                parent[self.random.choice(TEXTS)] = deepcopy(parent[key])
            else:
                parent[key] = self._value(parent[key])
        return content

    def _place(self, content: Any) -> tuple[Any, Any]:
        """Return a random place in nested content, as (container, key); (None, None) where there is none."""
        container, key = None, None
        while isinstance(content, dict | list) and content:
            container, key = (
                content,
                self.random.choice(list(content) if isinstance(content, dict) else range(len(content))),
            )
            content = content[key]
            if self.random.random() < 0.15:
                break
        return container, key

    def _value(self, before: Any) -> Any:
        """Return another value: mostly of the same type, and then at its limits."""
        if self.random.random() < 0.7:
            if isinstance(before, bool):
                return not before
            if isinstance(before, int | float):
                number = self.random.choice(NUMBERS)
                return number if self.random.random() < 0.7 else before * self.random.choice((-1, 0, 1e3, 1e9, 1.01))
            if isinstance(before, str):
                return self.random.choice(TEXTS)
        nested: Any = []
        for _ in range(30):
            nested = [nested]
        return self.random.choice((None, True, 0, -1, "x", [], {}, [[]], {"a": {}}, nested, [before] * 70))

    def _chunks(self) -> list[bytes]:
        """Return chunks of a frame of about now."""
        if self.clock() - self._frame_time > 10**9:
            self._frame_time, self.sequence = self.clock(), (self.sequence + 1) % (1 << 32)
            self._frame_chunks = self._encode_frame()
        return self._frame_chunks

    def _encode_frame(self) -> list[bytes]:
        generator, count = np.random.default_rng(self.sequence), 60
        resolution, epsg = self.grid
        x, y, _ = self.place
        centres = np.array([x, y, 1.0]) + generator.uniform(-10, 10, (count, 3))
        boxes = BoxList(
            centres, generator.uniform(1, 5, (count, 3)), np.zeros(count), generator.integers(0, 2, count),
            generator.uniform(0.3, 1, count), generator.uniform(-5, 5, (count, 2)),
        )  # fmt: skip
        west, north = round(x * 1e6 / resolution) - 100, round(y * 1e6 / resolution) + 100
        grid = WireGrid(west, north, resolution, 200, 200, epsg)
        pose = Pose(np.array([x, y, 30.0]), np.array([1.0, 0, 0, 0]), np.eye(6) * 0.01)
        request = Request(np.ones((grid.coarser(10).rows, grid.coarser(10).columns), np.uint8), 10)
        content = FrameContent(
            self.platform_id, self.sequence, self._frame_time, grid, boxes=boxes, pose=pose, request=request
        )
        return encode_frame(content, mtu=600)

    def _changed_header(self, chunk: bytes) -> bytes:
        """Return a chunk whose header says something else, with its checksum right."""
        header, reader = read_header(chunk)
        number = int(self.random.choice([value for value in NUMBERS if isinstance(value, int)]))
        grid = header.grid
        change: dict[str, Any] = self.random.choice((
            {"platform": abs(number) % (1 << 32)}, {"sequence": abs(number) % (1 << 32)}, {"time": number},
            {"time": header.time + self.random.choice((-(10**10), 10**10, 10**8))},
            {"fingerprint": abs(number) % (1 << 32)}, {"codec": 255},
            {"index": self.random.randrange(4096)}, {"last": not header.last},
            {"grid": replace(grid, west=self.random.choice((2**31 - 1, -(2**31) + 1)))},
            {"grid": replace(grid, rows=self.random.choice((1, 10_000)), columns=self.random.choice((1, 100)))},
            {"grid": replace(grid, epsg=self.random.choice((32632, 1, 16_000_000)))},
            {"grid": replace(grid, resolution=self.random.choice((1, 10**9)))},
        ))  # fmt: skip
        try:
            changed: Header = replace(header, **change)
            return write_chunk(changed, chunk[reader.position : len(chunk) - 4])
        except ValueError:
            return with_valid_checksum(chunk, self.random)

    def _cut(self, message: bytes) -> bytes:
        """Cut off a few messages, and change bytes of a few others."""
        way = self.random.random()
        if way < 0.04 and message:
            return message[: self.random.randrange(len(message))]
        if way < 0.08 and message:
            changed = bytearray(message)
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
            return bytes(changed)
        return message + self.random.randbytes(3) if way < 0.09 else message

    def _odd_topic(self, topic: str) -> str:
        return self.random.choice((
            topic + "/x", topic.rpartition("/")[0], topic.replace(self.platform, ".."), topic + "\0", "skyweave", "",
            topic.replace(self.fleet, "other"), topic.replace(self.platform, self.platform + "x"), "/" * 200,
        ))  # fmt: skip


def with_valid_checksum(chunk: bytes, generator: random.Random) -> bytes:
    """Return a chunk with changed bytes whose length and checksum are right."""
    changed = bytearray(chunk[:-4])
    for _ in range(generator.randint(1, 3)):
        changed[generator.randrange(5, len(changed))] = generator.randrange(256)
    if generator.random() < 0.2:
        del changed[generator.randrange(40, len(changed)) :]
    changed[3:5] = (len(changed) + 4).to_bytes(2, "little")
    return bytes(changed) + zlib.crc32(changed).to_bytes(4, "little")


def _image(kind: str, rows: int, columns: int, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((rows, columns, 3), 90, np.uint8)).save(stream, kind, **options)
    return stream.getvalue()

"""Structure-aware mutations of ROS messages, bags and recordings against what reads them: camera, importer, replay.

    OMP_NUM_THREADS=1 python benchmarks/chaos_files.py --files 2000

A mutation keeps what it takes to get to the next layer, and changes what is in it: numbers and lengths of CDR, records
of MCAP in and outside of chunks, rows of SQLite, messages of bags. A reader may refuse a file, in a word; a camera may
leave a message out. Exit status 1 where something else is raised, a reader works for more than ten seconds, a frame
holds what is not finite, or a camera does not go on with the next good message.
"""

import argparse
import importlib
import json
import random
import signal
import sqlite3
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from chaos_mutations import NUMBERS
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin

from skyweave.core.errors import SkyweaveError
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.sinks.mcap_reading import read_recorded_messages
from skyweave.fleet.sinks.recording_index import RecordingIndex
from skyweave.fleet.sinks.replay import replay
from skyweave.telemetry.reading import read_telemetry

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "fleet"), str(TESTS / "telemetry")]
ros: Any = importlib.import_module("test_ros")
ros_bag: Any = importlib.import_module("test_ros_bag")

LIMIT_S = 10.0  # of processor time
MAGIC = b"\x89MCAP0\r\n"
CHUNK = 6  # opcode of MCAP
CHUNK_HEADER_BYTES = 28  # before the name of the compression
DOUBLES = (float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, 0.0, 1e17)
TOPIC = "skyweave/chaos/result/UAV_1/geojson"
GOOD = json.dumps({"type": "FeatureCollection", "features": []}).encode()


def with_changed_numbers(content: bytes, generator: random.Random, begin: int = 0) -> bytes:
    """Change one to three numbers of 1, 2, 4 or 8 bytes, at places that are multiples of their sizes."""
    changed = bytearray(content)
    for _ in range(generator.randint(1, 3)):
        size = generator.choice((1, 2, 4, 8, 8))
        places = range(begin, len(changed) - size + 1, size)
        if not places:
            return bytes(changed)
        place = generator.choice(places)
        if size == 8 and generator.random() < 0.7:
            changed[place : place + 8] = struct.pack("<d", generator.choice(DOUBLES))
        else:
            number = int(generator.choice([value for value in NUMBERS if isinstance(value, int)]))
            changed[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(changed)


def mutated_message(content: bytes, generator: random.Random) -> bytes:
    """Return a message in CDR or in ROS 1's encoding with other numbers, or cut off, or with more behind it."""
    way = generator.random()
    if way < 0.1:
        return content[: generator.randrange(len(content))]
    if way < 0.15:
        return content + generator.randbytes(9)
    return with_changed_numbers(content, generator, begin=4)


def mutated_mcap(content: bytes, generator: random.Random) -> bytes:
    """Return an MCAP file with records that are changed, left out, doubled, moved or of other lengths."""
    return MAGIC + mutated_records(content[len(MAGIC) : -len(MAGIC)], generator) + MAGIC


def mutated_records(content: bytes, generator: random.Random) -> bytes:
    records = list(split_records(content))
    for _ in range(generator.randint(1, 2)):
        if not records:
            break
        place, way = generator.randrange(len(records)), generator.random()
        opcode, body = records[place]
        if opcode == CHUNK and way < 0.7:
            records[place] = opcode, mutated_chunk(body, generator)
        elif way < 0.75:
            records[place] = opcode, with_changed_numbers(body, generator)
        elif way < 0.8:
            del records[place]
        elif way < 0.85:
            records[place:place] = [records[place]] * generator.choice((1, 50))
        elif way < 0.9:
            records[place] = generator.randrange(256), body
        elif way < 0.95:
            generator.shuffle(records)
        else:
            records[place] = opcode, body[: generator.randrange(len(body) + 1)]
    packed = b"".join(bytes([opcode]) + len(body).to_bytes(8, "little") + body for opcode, body in records)
    if generator.random() < 0.1 and len(packed) > 9:
        packed = packed[:1] + generator.choice((0, 1 << 20, 1 << 40, (1 << 64) - 1)).to_bytes(8, "little") + packed[9:]
    return packed


def split_records(content: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 9 <= len(content):
        length = int.from_bytes(content[place + 1 : place + 9], "little")
        yield content[place], content[place + 9 : place + 9 + length]
        place += 9 + length


def mutated_chunk(body: bytes, generator: random.Random) -> bytes:
    """Return a chunk that says other sizes, or whose records are changed; without a checksum."""
    header = bytearray(body[:CHUNK_HEADER_BYTES])
    header[24:28] = bytes(4)
    name_bytes = int.from_bytes(body[28:32], "little")
    name, records = body[32 : 32 + name_bytes], body[32 + name_bytes + 8 :]
    way = generator.random()
    if way < 0.2:
        header[16:24] = generator.choice((0, 1, 1 << 30, 1 << 62)).to_bytes(8, "little")
    elif way < 0.3:
        name = generator.choice((b"", b"zstd", b"lz4", b"bz9"))
    elif not name:
        records = mutated_records(records, generator)
        header[16:24] = len(records).to_bytes(8, "little")
    else:
        records = with_changed_numbers(records, generator)
    return bytes(header) + len(name).to_bytes(4, "little") + name + len(records).to_bytes(8, "little") + records


def fleet_recording(path: Path, compression: CompressionType) -> bytes:
    with path.open("wb") as stream:
        writer: Any = Writer(stream, compression=compression, chunk_size=400)
        writer.start()
        channel = writer.register_channel(topic=TOPIC, message_encoding="skyweave", schema_id=0)
        for number in range(30):
            writer.add_message(channel, number * 10**8, GOOD, number * 10**8)
        writer.finish()
    return path.read_bytes()


class Files:
    """Mutated files of each kind, and what reads them."""

    def __init__(self, folder: Path, generator: random.Random) -> None:
        self.folder, self.generator = folder, generator
        kinds = (CompressionType.NONE, CompressionType.ZSTD, CompressionType.LZ4)
        self.recordings = [fleet_recording(folder / "good.mcap", kind) for kind in kinds]
        self.ros2, self.ros1 = ros_bag.RosMessages(), ros_bag.RosMessages(ros1=True)
        bag = ros_bag.write_bag(folder / "bag", ros_bag.flight_of(self.ros2), self.ros2.store, StoragePlugin.MCAP)
        self.ros_mcap = next(bag.glob("*.mcap")).read_bytes()
        self.number = 0

    def recording(self) -> None:
        """A recording of a fleet, to what reads it in order, by time, and plays it."""
        path = self.folder / "flight.mcap"
        path.write_bytes(mutated_mcap(self.generator.choice(self.recordings), self.generator))
        list(read_recorded_messages(path))
        index = RecordingIndex(path)
        list(index.scan())
        list(index.between(index.begin, index.end))
        replay(path, LoopbackNetwork().join(), threading.Event(), speed=1e6)

    def mcap_of_ros(self) -> None:
        """An MCAP file of ROS 2 whose records are changed, to the importer."""
        path = self.folder / "ros.mcap"
        path.write_bytes(mutated_mcap(self.ros_mcap, self.generator))
        read_telemetry(path)

    def bag_of_ros_2(self) -> None:
        """A bag of ROS 2 (SQLite or MCAP) with changed messages, to the importer."""
        storage = self.generator.choice((StoragePlugin.SQLITE3, StoragePlugin.MCAP))
        path = ros_bag.write_bag(
            self._new_path(""), self._messages(self.ros2), Changed(self.ros2.store, self.generator), storage
        )
        if storage is StoragePlugin.SQLITE3 and self.generator.random() < 0.5:
            self._change_rows(next(path.glob("*.db3")))
        read_telemetry(path)

    def bag_of_ros_1(self) -> None:
        """A bag of ROS 1 with changed messages or changed numbers anywhere, to the importer."""
        store = Changed(self.ros1.store, self.generator)
        path = ros_bag.write_bag(self._new_path(".bag"), self._messages(self.ros1), store)
        if self.generator.random() < 0.5:
            path.write_bytes(with_changed_numbers(path.read_bytes(), self.generator, begin=13))
        read_telemetry(path)

    def _new_path(self, suffix: str) -> Path:
        self.number += 1
        return self.folder / f"flight{self.number}{suffix}"

    def _messages(self, messages: Any) -> Iterator[tuple[str, int, Any]]:
        for topic, logged, message in ros_bag.flight_of(messages):
            odd = self.generator.random() < 0.01
            yield topic, self.generator.choice((0, 2**31, 2**61)) if odd else logged, message

    def _change_rows(self, path: Path) -> None:
        with sqlite3.connect(path) as database:
            time, kind = self.generator.choice((-1, 0, 2**63 - 1)), self.generator.choice(("", "x/msg/Y", "a/b"))
            database.execute("update messages set timestamp = ? where id % 7 = 0", (time,))
            if self.generator.random() < 0.3:
                database.execute("update topics set type = ? where id = 2", (kind,))
        database.close()


class Changed:
    """A store of types that changes every twentieth message that it serialises."""

    def __init__(self, store: Any, generator: random.Random) -> None:
        self._store, self._generator = store, generator

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        return value if not name.startswith("serialize") else lambda *args: self._changed(bytes(value(*args)))

    def _changed(self, content: bytes) -> bytes:
        return mutated_message(content, self._generator) if self._generator.random() < 0.05 else content


class Camera:
    """A camera of ROS 2 whose three topics say what they should not."""

    def __init__(self, generator: random.Random) -> None:
        self.generator, self.bench, self.after = generator, ros.Bench(), 0.0

    def message(self) -> None:
        """A changed message of one topic, then good ones: the camera goes on."""
        kind = self.generator.choice(("info", "pose", "image"))
        self.after += 0.2
        good = {"info": ros.info(), "pose": ros.odometry(self.after, (0, 0, 20)), "image": ros.compressed(self.after)}
        bad = mutated_message(good[kind], self.generator)
        source = self.bench.source
        read = {"info": source._on_info, "pose": source._on_pose, "image": lambda content: source._capture(content, 0)}
        capture = source._guarded(kind, read[kind], bad)
        if capture is not None:
            demand_finite(capture)
        source._poses.clear()
        self.bench.say(info=good["info"], pose=good["pose"])
        capture = source._guarded("image", source._capture, good["image"], 0)
        if capture is None:
            raise AssertionError(f"the camera does not go on: {source._last_error}")
        demand_finite(capture)


def demand_finite(capture: Any) -> None:
    values = (capture.geometry.world_from_camera, capture.geometry.camera.intrinsics, capture.load().pixels)
    if not all(np.isfinite(value).all() for value in values):
        raise AssertionError("a frame holds what is not finite")


def attempt(work: Callable[[], None]) -> str:
    """Do it within a time; return what came of it."""

    def expire(*_: Any) -> None:
        raise BaseExceptionGroup("time", [TimeoutError(f"more than {LIMIT_S:.0f} s")])

    signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        work()
        return "read"
    except (SkyweaveError, OSError):
        return "refused"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files, camera = Files(Path(folder), random.Random(args.seed)), Camera(random.Random(args.seed))
        works = {
            "ROS messages, to a camera": camera.message,
            "recordings, to replay": files.recording,
            "MCAP files of ROS 2, to the importer": files.mcap_of_ros,
            "bags of ROS 2, to the importer": files.bag_of_ros_2,
            "bags of ROS 1, to the importer": files.bag_of_ros_1,
        }
        started = time.monotonic()
        for number in range(args.files):
            name = list(works)[number % len(works)]
            counts.setdefault(name, Counter())[attempt(works[name])] += 1
    report = {name: dict(outcomes) for name, outcomes in counts.items()}
    print(json.dumps({"seconds": round(time.monotonic() - started, 1), **report}, indent=1))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(any(set(outcomes) - {"read", "refused"} for outcomes in report.values()))


if __name__ == "__main__":
    main()

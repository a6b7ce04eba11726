"""What a member with good keys may send to those who only listen: client, page, recorder, replay."""

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mcap_protobuf", reason="needs skyweave[record]")

import fabricated_fleet as fleet
from skyweave.fleet import FleetClient
from skyweave.fleet.dashboard.state import watch_fleet
from skyweave.fleet.link.clocks import offset_clock, wall_clock
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.heartbeat import Heartbeat, encode_heartbeat
from skyweave.fleet.link.loopback import LoopbackNetwork, LoopbackTransport
from skyweave.fleet.link.topics import camera_topic, result_topic
from skyweave.fleet.sinks import mcap_reading
from skyweave.fleet.sinks.messages import GeoJsonSinkConfig, RosSinkConfig, SceneSinkConfig
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.recorder import RecordingSession, get_recorder
from skyweave.fleet.sinks.replay import ReplayCount, replay


def scene_content(platform: str = "UAV_1") -> dict[str, Any]:
    """A fused scene as a node publishes it."""
    hub = LoopbackNetwork()
    node, tape = fleet.node(platform, hub.join(), wall_clock), []
    hub.join().subscribe("skyweave/*/result/**", lambda topic, envelope: tape.append(envelope))
    pending = node.observe_and_send(fleet.frame(0, platform, time=wall_clock()))
    publisher = ScenePublisher(node, [SceneSinkConfig()])
    publisher.publish(node.fuse(pending))
    publisher.close()
    content: dict[str, Any] = json.loads(tape[0][12:])
    return content


HONEST = scene_content()
BOX = HONEST["boxes"][0]
HOSTILE: dict[str, bytes | dict[str, Any]] = {
    "no links": b'{"links":{}}',
    "no scene": b'{"links":{},"latency":NaN}',
    "not a number": json.dumps({**HONEST, "latency": float("nan")}).encode(),
    "crs": {"crs": "nonsense"},
    "time": json.dumps({**HONEST, "time": float("inf")}).encode(),
    "late time": {"time": 1e300},
    "deep": b"[" * 200_000,
    "deep field": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + json.dumps(HONEST).encode()[1:],
    "category": {"boxes": [{**BOX, "category": []}]},
    "coordinate": {"boxes": [{**BOX, "centre": [10**400, 0, 0]}]},
    "huge coordinate": {"boxes": [{**BOX, "centre": [1e200, 0, 0]}]},
    "boxes": {"boxes": [BOX] * 5000},
    "no boxes": {"boxes": None},
    "footprint": {"views": [{**HONEST["views"][0], "footprint": [[1]]}]},
    "intrinsics": {"views": [{**HONEST["views"][0], "intrinsics": [1, 2]}]},
    "rows": {"views": [{**HONEST["views"][0], "rows": 10**12}]},
    "channel": {"views": [{**HONEST["views"][0], "channel": "../../x"}]},
    "links by number": {"links": {"UAV_1": {"bytes": float(2**60), "alive": 1}}},
    "another platform": {"platform": "UAV_1"},
    "another fleet": {"fleet": "other"},
    "nothing": b"",
    "a list": b"[]",
}


def hostile_message(name: str) -> bytes:
    change = HOSTILE[name]
    if isinstance(change, bytes):
        return change
    return json.dumps({**HONEST, "platform": "UAV_2", **change}).encode()


class Member:
    """Speaks under its own name, as access control allows."""

    def __init__(self, hub: LoopbackNetwork, name: str, seconds_ahead: float = 0.0) -> None:
        self.name, self.transport = name, hub.join()
        self.sealer = EnvelopeSealer(None, offset_clock(seconds_ahead))

    def send(self, topic: str, message: bytes) -> None:
        self.transport.publish(topic, self.sealer.seal(topic, message))

    def send_scene(self, message: bytes | None = None) -> None:
        content = json.dumps({**HONEST, "platform": self.name}).encode() if message is None else message
        self.send(result_topic("test", self.name, "scene"), content)


def jpeg(rows: int = 24, columns: int = 32) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((rows, columns, 3), 90, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_message_of_a_member_reaches_client_or_page_as_something_else(name: str) -> None:
    hub = LoopbackNetwork()
    honest, hostile = Member(hub, "UAV_1"), Member(hub, "UAV_2")
    state, close = watch_fleet("test", hub.join())
    with FleetClient("test", transport=hub.join()) as client:
        honest.send_scene()
        hostile.send_scene(hostile_message(name))
        assert client.platforms() == ["UAV_1"] and client.latest("UAV_2") is None
        latest = client.latest("UAV_1")
        assert latest is not None and latest["boxes"] == HONEST["boxes"]
    assert list(strict(state.to_json())["platforms"]) == ["UAV_1"]
    close()


def test_honest_scenes_come_through_whole_in_every_form() -> None:
    hub = LoopbackNetwork()
    node = fleet.node("UAV_1", hub.join(), wall_clock)
    forms = [SceneSinkConfig(), RosSinkConfig()]
    with FleetClient("test", transport=hub.join()) as client:
        waiting = {form: client.results(form, timeout=0.1) for form in ("scene", "ros")}
        for results in waiting.values():
            assert next(results, None) is None  # begins to listen
        published = ScenePublisher(node, forms).publish(
            node.fuse(node.observe_and_send(fleet.frame(0, "UAV_1", time=wall_clock())))
        )
        scene, ros = (next(client.results(form, timeout=1)) for form in ("scene", "ros"))
    assert json.loads(json.dumps(scene)) == {**published.json_content, "age": scene["age"]} and 0 <= scene["age"] < 5
    assert ros["platform"] == "UAV_1" and len(ros["detections"]) == len(scene["boxes"])
    assert GeoJsonSinkConfig()


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":1e999}', b"[1]", b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"])
def test_other_forms_are_bounded_and_named_by_their_key(content: bytes) -> None:
    hub = LoopbackNetwork()
    hostile = Member(hub, "UAV_2")
    with FleetClient("test", transport=hub.join()) as client:
        assert next(client.results("ros", timeout=0.01), None) is None
        hostile.send(result_topic("test", "UAV_2", "ros"), content)
        hostile.send(result_topic("test", "UAV_2", "ros"), b'{"platform":"UAV_1","detections":[]}')
        results = list(client.results("ros", timeout=0.01))
    assert results == [{"platform": "UAV_2", "detections": []}]


@pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0, -15.0, 12.0])
def test_what_was_sent_long_ago_or_later_is_not_taken(seconds: float) -> None:
    hub = LoopbackNetwork()
    with FleetClient("test", transport=hub.join()) as client:
        Member(hub, "UAV_1", seconds).send_scene()
        assert client.platforms() == []


def test_a_message_is_never_younger_than_it_says() -> None:
    hub = LoopbackNetwork()
    ahead, behind = Member(hub, "UAV_1", 6.0), Member(hub, "UAV_2", -3.0)
    with FleetClient("test", transport=hub.join()) as client:
        ahead.send_scene()
        ahead.sealer.clock = offset_clock(2.0)  # the message lay four seconds on the way
        ahead.sealer._last_stamp = 0
        ahead.send_scene()
        behind.send_scene()
        ages = [(client.latest(name) or {})["age"] for name in ("UAV_1", "UAV_2")]
    assert ages == pytest.approx([4.0, 3.0], abs=0.5)


def test_one_member_does_not_fill_what_others_need() -> None:
    hub = LoopbackNetwork()
    honest, hostile = Member(hub, "UAV_1"), Member(hub, "UAV_2")
    state, close = watch_fleet("test", hub.join())
    with FleetClient("test", transport=hub.join()) as client:
        assert next(client.scenes(timeout=0.01), None) is None  # begins to listen
        scenes = client.scenes(timeout=0.5)
        for _ in range(200):
            hostile.send_scene()
        for number in range(1500):
            hostile.send(camera_topic("test", "UAV_2", f"C{number}"), jpeg())
            hostile.send(result_topic("test", "UAV_2", f"form{number}"), b"{}")
        honest.send_scene()
        honest.send(camera_topic("test", "UAV_1", "FRONT"), jpeg())
        assert "UAV_1" in [next(scenes)["platform"] for _ in range(2)], "platforms are read in turns"
    shown = strict(state.to_json())
    assert "UAV_1" in shown["platforms"]
    assert state.jpeg("UAV_1", "FRONT") == jpeg()
    assert len(shown["cameras"]) <= 10 and sum(shown["rejected"].values()) > 1400
    close()


@pytest.mark.parametrize(
    "content", [b"\xff\xd8", b"\xff\xd8" + bytes(300_000), jpeg(1100, 1000), b"%!PS-Adobe-3.0 EPSF-3.0\n", b""]
)
def test_thumbnails_are_small_jpegs(content: bytes) -> None:
    hub = LoopbackNetwork()
    member = Member(hub, "UAV_1")
    state, close = watch_fleet("test", hub.join())
    member.send_scene()
    member.send(camera_topic("test", "UAV_1", "FRONT"), jpeg())
    member.send(camera_topic("test", "UAV_1", "FRONT"), content)
    assert state.jpeg("UAV_1", "FRONT") == jpeg()
    close()


def recorded(path: Path, hub: LoopbackNetwork, speak: Callable[[], None]) -> int:
    """Record while somebody speaks; return how many messages the recorder says it has."""
    stop, counts, transport = threading.Event(), [], hub.join()
    session = RecordingSession("test", transport, stop)
    thread = threading.Thread(target=lambda: counts.append(get_recorder(path)(path, session)))
    thread.start()
    deadline = time.monotonic() + 20
    while not listens(hub, transport) and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    speak()
    stop.set()
    thread.join(30)
    assert counts, "the recorder has ended with an error"
    return counts[0]


def listens(hub: LoopbackNetwork, transport: LoopbackTransport) -> bool:
    return any(member is transport for member, _, _ in list(hub._subscriptions.values()))


@pytest.mark.parametrize("suffix", ["mcap", "rrd"])
def test_no_message_of_a_member_ends_a_recording(suffix: str, tmp_path: Path) -> None:
    if suffix == "rrd":
        pytest.importorskip("rerun", reason="needs skyweave[view]")
    hub, file = LoopbackNetwork(), tmp_path / f"fleet.{suffix}"
    honest, hostile = Member(hub, "UAV_1"), Member(hub, "UAV_2")

    def speak() -> None:
        for name in HOSTILE:
            hostile.send_scene(hostile_message(name))
            honest.send_scene()
        for topic in ("camera/UAV_2", "camera/UAV_2/a/b", "result/UAV_2", "frame/UAV_2/x", "alive/../x"):
            hostile.send(f"skyweave/test/{topic}", jpeg())

    assert recorded(file, hub, speak) == len(HOSTILE)
    assert file.stat().st_size > 1000
    if suffix == "mcap":
        heard: list[tuple[str, bytes]] = []
        hub.join().subscribe("**", lambda topic, envelope: heard.append((topic, envelope[12:])))
        counts = replay(file, hub.join(), threading.Event(), speed=1e6)
        assert (counts.played, counts.refused) == (len(HOSTILE), 0)
        assert [json.loads(message) for _, message in heard] == [HONEST] * len(HOSTILE)


def test_a_recording_of_others_is_played_as_far_as_it_is_one(tmp_path: Path) -> None:
    from mcap.writer import CompressionType, Writer

    file = tmp_path / "made.mcap"
    with file.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.ZSTD)
        writer.start()
        topics = [result_topic("test", "UAV_1", "scene"), "skyweave/test/camera/UAV_1", "../../etc", "skyweave/a/b/c/d"]
        channels = [writer.register_channel(topic=topic, message_encoding="json", schema_id=0) for topic in topics]
        for time_ns in (1, 2**62, 3):
            for channel in channels:
                writer.add_message(channel, time_ns, json.dumps(HONEST).encode(), time_ns)
        for name in HOSTILE:
            writer.add_message(channels[0], 5, hostile_message(name), 5)
        writer.finish()
    hub, heard = LoopbackNetwork(), []
    hub.join().subscribe("**", lambda topic, envelope: heard.append(topic))
    counts = replay(file, hub.join(), threading.Event(), speed=1e6)
    assert counts.played == 4 == len(heard), "three, and one that says what it is"
    assert counts.refused == 9 + len(HOSTILE) - 1
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3])  # cut off within the only chunk: nothing of it can be read
    with pytest.raises(ValueError, match="cut off"):
        replay(file, hub.join(), threading.Event())


def test_a_recording_that_expands_without_bound_is_refused(tmp_path: Path) -> None:
    from mcap.writer import CompressionType, Writer

    file = tmp_path / "bomb.mcap"
    with file.open("wb") as stream:
        writer = Writer(stream, chunk_size=1 << 40, compression=CompressionType.ZSTD)
        writer.start()
        channel = writer.register_channel(topic="skyweave/a/result/b/scene", message_encoding="json", schema_id=0)
        for _ in range(20):
            writer.add_message(channel, 0, bytes(4 << 20), 0)
        writer.finish()
    assert file.stat().st_size < 100_000
    with pytest.raises(ValueError, match="a chunk of"):
        replay(file, LoopbackNetwork().join(), threading.Event())


def test_a_recording_with_a_record_that_is_too_large_is_played_up_to_it_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It seemed whole, whatever came behind the record."""
    from mcap.writer import CompressionType, Writer

    file, heartbeat = tmp_path / "a.mcap", encode_heartbeat(Heartbeat(1, 1, 0, 1, 0, 0.5, ("car",), 1, ()))
    with file.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.NONE, use_chunking=False)
        writer.start()
        channel = writer.register_channel("skyweave/a/alive/UAV_1", "skyweave", 0)
        for content in (heartbeat, heartbeat, bytes(2000), heartbeat):
            writer.add_message(channel, 0, content, 0)
        writer.finish()
    assert replay(file, LoopbackNetwork().join(), threading.Event()) == ReplayCount(3, 1)
    assert not caplog.text
    monkeypatch.setattr(mcap_reading, "MAX_RECORD_BYTES", 1000)
    assert replay(file, LoopbackNetwork().join(), threading.Event()) == ReplayCount(2, 0)
    assert "a.mcap is cut off or damaged after 2 messages" in caplog.text

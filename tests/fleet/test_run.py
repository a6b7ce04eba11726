"""Nodes in real time: threads, sources, results."""

import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

import fabricated_fleet as fleet
import fabricated_scene as toy
from fabricated_world import small_world
from skyweave.fleet import FleetClient
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.fused_scene import FusedScene, peer_names
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.detected_capture import DetectedCapture
from skyweave.fleet.sinks.cameras import CameraSinkConfig
from skyweave.fleet.sinks.messages import RosSinkConfig, SceneSinkConfig
from skyweave.fleet.sinks.node_status import node_status
from skyweave.fleet.sinks.prometheus import NodeCollector
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sources.base import SourceContext
from skyweave.fleet.sources.folder import FolderSourceConfig
from skyweave.fleet.sources.recording import RecordingSource
from skyweave.fleet.sources.simulator import SimulatorSource, SimulatorSourceConfig
from skyweave.fleet.sources.topic import ImageMessage, TopicSourceConfig
from skyweave.fleet.supervisor.runtime import run_node
from skyweave.perception.results import Detections
from skyweave.perception.tracking import Tracker, TrackerConfig
from skyweave.recordings.recording import Frame, RecordedScene

NAMES = ("UAV_1", "UAV_4")


def toy_source(name: str, interval: float = 0.2) -> RecordingSource:
    frames = [replace(fleet.frame(k, name), annotations=toy.frame(k).annotations) for k in range(4)]
    halves = [replace(f, annotations=fleet.frame(k, name).annotations) for k, f in enumerate(frames)]
    return RecordingSource(RecordedScene("toy", halves), name, interval)


def start(
    name: str, hub: LoopbackNetwork, stop: threading.Event, made: list[FusedScene]
) -> tuple[Node, threading.Thread]:
    node = fleet.node(
        name, hub.join(), wall_clock, NodeOptions(max_wait=0.15, heartbeat_interval=0.1, max_time_offset=0.1)
    )
    node.interval = 0.2
    publisher = ScenePublisher(node, [SceneSinkConfig(), RosSinkConfig(), CameraSinkConfig(interval=0.1)])

    def done(fused: FusedScene) -> None:
        publisher.publish(fused)
        made.append(fused)

    def run() -> None:
        run_node(node, toy_source(name), done, stop)
        publisher.close()

    thread = threading.Thread(target=run)
    thread.start()
    return node, thread


def test_nodes_run_together_and_a_client_reads_them() -> None:
    hub, stop = LoopbackNetwork(), threading.Event()
    made: dict[str, list[FusedScene]] = {name: [] for name in NAMES}
    client = FleetClient("test", transport=hub.join())
    running = [start(name, hub, stop, made[name]) for name in NAMES]
    try:
        seen: set[str] = set()
        both = False
        until = time.monotonic() + 30
        for content in client.scenes(timeout=20):
            seen.add(content["platform"])
            both = both or (len(content["boxes"]) == 7 and len(content["peer_frames"]) == 1)
            if (seen == set(NAMES) and both) or time.monotonic() > until:
                break
        assert seen == set(NAMES) and both
        assert client.platforms() == sorted(NAMES)
        latest = client.latest("UAV_1")
        assert latest is not None and latest["views"][0]["channel"] == "UAV_1"
        assert len(latest["views"][0]["footprint"]) >= 4
        ros = next(client.results("ros", timeout=20))
        assert ros["header"]["frame_id"] == "map" and set(ros["detections"][0]["bbox"]["size"]) == {"x", "y", "z"}
        with pytest.raises(ValueError, match="no form"):
            next(client.results("xml"))
    finally:
        stop.set()
        for _, thread in running:
            thread.join(20)
        client.close()
    assert not any(thread.is_alive() for _, thread in running)
    node = running[0][0]
    said = node_status(node)
    assert said["frames_sent"] >= said["frames"] == len(made["UAV_1"]) > 0 and json.dumps(said)
    assert node.statistics.published.count == said["frames"]
    assert said["latency"]["mean"] > said["latency_fused"]["mean"], "publishing takes time"
    families = {family.name: family for family in NodeCollector(node).collect()}
    assert families["skyweave_frames"].samples[0].value == said["frames"]
    assert {sample.labels["peer"] for sample in families["skyweave_received_bytes"].samples} == {"UAV_4"}
    assert "skyweave_age_of_information_seconds" in families and "skyweave_stage_seconds" in families


def test_a_slow_node_skips_moments_and_counts_them() -> None:
    hub, stop, made = LoopbackNetwork(), threading.Event(), []
    node = fleet.node("UAV_1", hub.join(), wall_clock)
    node.interval = 0.02
    observe = node.perceiver.observe

    def slowly(*arguments: object) -> object:
        time.sleep(0.1)
        return observe(*arguments)

    node.perceiver.observe = slowly  # type: ignore[method-assign]
    run_node(node, toy_source("UAV_1", 0.02), made.append, stop, max_frames=5)
    assert len(made) == 5
    assert node.statistics.dropped_frames["superseded"] > 5
    assert all(fused.latency < 5 for fused in made)


def test_a_source_that_breaks_ends_the_node_loudly() -> None:
    class Broken:
        world_frame = toy_source("UAV_1").world_frame

        def frames(self, clock: object, stop: object) -> Iterator[Frame]:
            raise OSError("the camera is gone")
            yield

    node = fleet.node("UAV_1", LoopbackNetwork().join(), wall_clock)
    with pytest.raises(OSError, match="camera is gone"):
        run_node(node, Broken(), lambda fused: None, threading.Event())


def first(source: object, count: int = 2) -> list[Frame]:
    stop, found = threading.Event(), []
    for frame in source.frames(wall_clock, stop):  # type: ignore[attr-defined]
        found.append(frame)
        if len(found) == count:
            break
    stop.set()
    return found


def test_recordings_play_by_the_wall_clock() -> None:
    one, other = first(toy_source("UAV_1", 0.05)), first(toy_source("UAV_1", 0.05))
    for frame in (*one, *other):
        assert set(frame.captures) == {"UAV_1"} and abs(wall_clock() - frame.time) < 10e9
        assert frame.time % 50_000_000 == 0
        assert frame.annotations is not None
        number = round(frame.annotations.boxes.centres[0, 0] + 10) // 2  # cars move 2 m a frame
        assert number == frame.time // 50_000_000 % 4
    with pytest.raises(ValueError, match="no platform 'UAV_9'; it has UAV_1"):
        toy_source("UAV_1").__class__(toy.scene(), "UAV_9", 0.1)


def test_the_simulator_runs_live_and_late_starters_catch_up() -> None:
    config = SimulatorSourceConfig("unused", interval=0.2, start=time.time() - 1.0)
    source = SimulatorSource(small_world(warm_up=1.0), config, "UAV_1")
    frames = first(source)
    assert source.simulated.frames_done >= 5
    assert frames[1].time > frames[0].time
    assert set(frames[0].captures) == {"UAV_1"} and frames[0].annotations is not None
    assert next(iter(frames[0].captures.values())).load().pixels.shape[0] == 3
    with pytest.raises(ValueError, match="no platform"):
        SimulatorSource(small_world(warm_up=1.0), config, "UAV_7")


def jpeg(rows: int = 48, columns: int = 64) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((rows, columns, 3), 90, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def test_a_folder_with_poses_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text("rows: 48\ncolumns: 64\nfield_of_view: 60\nground: 5\n")
    poses = "file,x,y,z,yaw,pitch,roll\r\na.jpg,10,20,50,90,45,0\r\nb.jpg,11,20,50,90,45,0\r\n"
    (tmp_path / "poses.csv").write_text(poses, "utf-8-sig")  # as spreadsheets save it
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    source = FolderSourceConfig(str(tmp_path), interval=0.05, crs="EPSG:32632").build(SourceContext("UAV_1"))
    frames = first(source, 3)
    capture = next(iter(frames[0].captures.values()))
    assert capture.geometry.position[1:].tolist() == [20, 50] and capture.geometry.crs == "EPSG:32632"
    assert capture.load().pixels.shape == (3, 48, 64) and capture.load() is capture.load()
    assert source.world_frame.crs == "EPSG:32632"
    forward = capture.geometry.world_from_camera[:3, 2]
    assert forward == pytest.approx([0, np.sqrt(0.5), -np.sqrt(0.5)], abs=1e-9)
    (tmp_path / "poses.csv").write_text("file,x,y,z,yaw,pitch,roll\na.jpg,10,20,fifty,90,45,0\n")
    with pytest.raises(ValueError, match=r"poses\.csv line 2"):
        FolderSourceConfig(str(tmp_path)).build(SourceContext("UAV_1"))
    (tmp_path / "poses.csv").write_text("file,x\na.jpg,10\n")
    with pytest.raises(ValueError, match="no column 'y'"):
        FolderSourceConfig(str(tmp_path)).build(SourceContext("UAV_1"))


def test_a_topic_is_a_source_and_nonsense_on_it_is_passed_over() -> None:
    hub = LoopbackNetwork()
    here, there = hub.join(), hub.join()
    source = TopicSourceConfig("drone/front").build(SourceContext("UAV_1", here.subscribe))
    pose = np.diag([1.0, -1, -1, 1])
    pose[:3, 3] = 1, 2, 30
    message = ImageMessage(
        wall_clock(), [50.0, 0, 32, 0, 50, 24, 0, 0, 1], pose.ravel().tolist(), jpeg(), channel="FRONT"
    )
    good = msgspec.msgpack.encode(message)

    def changed(**values: object) -> bytes:
        return msgspec.msgpack.encode(msgspec.structs.replace(message, **values))

    frames = source.frames(wall_clock, threading.Event())
    for bad in (b"", b"nonsense", good[:-20], changed(image=b"GIF"), changed(sensor="eyes")):
        there.publish("drone/front", bad)
        there.publish("drone/front", good)
        frame = next(frames)
        assert frame.captures["FRONT"].geometry.position.tolist() == [1, 2, 30]
    assert source.rejected >= 3


def test_boxes_masks_and_keypoints_come_under_a_topic_with_or_without_their_image() -> None:
    hub = LoopbackNetwork()
    here, there = hub.join(), hub.join()
    config = TopicSourceConfig("drone/boxes", crs="EPSG:32632", ground=515.0)
    source = config.build(SourceContext("UAV_1", here.subscribe))
    assert float(source.world_frame.ground.height(np.zeros((1, 2)))[0]) == 515
    content = {"time": wall_clock(), "intrinsics": [50.0, 0, 32, 0, 50, 24, 0, 0, 1], "size": [48, 64]}
    content["world_from_camera"] = np.diag([1.0, -1, -1, 1]).ravel().tolist()
    frames = source.frames(wall_clock, threading.Event())

    def sent(**values: object) -> DetectedCapture:
        there.publish("drone/boxes", msgspec.msgpack.encode(content | values))
        capture = next(frames).captures["CAMERA"]
        assert isinstance(capture, DetectedCapture)
        return capture

    plain = sent(boxes=[[1, 2, 30, 40]], scores=[0.5], categories=["car"])
    assert plain.boxes.tolist() == [[1, 2, 30, 40]] and plain.categories == ("car",) and not plain.has_image
    mask = sent(outlines=[[[3, 4], [10, 2], [5, 20]]])
    assert mask.boxes.tolist() == [[3, 2, 10, 20]] and mask.scores.tolist() == [1] and mask.categories == ("object",)
    assert sent(outlines=[[[3, 4, 0.9], [500, 2, 0], [5, 20, 0.2]]]).boxes.tolist() == [[3, 4, 5, 20]]
    seen = sent(image=jpeg(), boxes=[])
    assert seen.has_image and len(seen.boxes) == 0 and seen.load().pixels.shape == (3, 48, 64)
    wrong: list[dict[str, object]] = [
        {}, {"boxes": [[1, 2, 3, 4]], "scores": [0.5, 0.5]}, {"boxes": [[5, 2, 3, 4]]}, {"outlines": [[[1, 2, 0.0]]]},
        {"boxes": [[1, 2, 3, float("nan")]]}, {"boxes": [[1, 2, 3, 4]], "size": None},
    ]  # fmt: skip
    for values in wrong:
        before = source.rejected
        there.publish("drone/boxes", msgspec.msgpack.encode(content | values))
        sent(boxes=[])
        assert source.rejected == before + 1, values


def test_tracks_keep_their_names_while_objects_move_and_are_missed() -> None:
    tracker = Tracker(TrackerConfig(min_start_score=0.3, max_age=3.0))
    boxes = toy.frame(0).annotations
    assert boxes is not None

    def found(number: int, which: np.ndarray) -> Detections:
        now = toy.frame(number).annotations
        assert now is not None
        return Detections(
            now.boxes.select(which),
            now.velocities[which],
            tuple(np.array(now.categories)[which].tolist()),
            np.full(len(which), 0.8),
            time=fleet.START + number * 500_000_000,
        )

    everything = np.arange(7)
    one = tracker.associate(found(0, everything)).instances
    tracker.associate(found(1, everything[::-1]))
    missed = tracker.associate(found(2, np.array([0, 2, 4]))).instances
    again = tracker.associate(found(3, everything)).instances
    assert one is not None and missed is not None
    assert len(set(one)) == 7 and again == one and missed == (one[0], one[2], one[4])
    late = replace(found(3, everything), time=fleet.START + 20_000_000_000)
    assert not set(tracker.associate(late).instances or ()) & set(one)


def test_pictures_of_peers_go_into_the_statistics() -> None:
    hub, clock = LoopbackNetwork(), fleet.HandClock()
    here, there = (fleet.node(name, hub.join(), clock) for name in NAMES)
    there.observe_and_send(fleet.frame(0, "UAV_4"))
    assert peer_names(here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1"))).peer_frames) == ["UAV_4"]
    assert here.statistics.peer_counts == {1: 1} and here.statistics.frames == 1
    assert here.statistics.stages["observe"].count == 1


def test_a_model_from_disk_runs_as_a_node_says(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    from skyweave.core.config import config_from_dict
    from skyweave.fleet.config import NodeConfig
    from skyweave.perception.weights import save_perception

    perceiver = fleet.model_perceiver()
    save_perception(tmp_path / "model.safetensors", perceiver.model, "toy")
    content = {
        "name": "UAV_1",
        "source": {"path": "unused", "interval": 0.5},
        "perceiver": {"kind": "late_fusion", "weights": str(tmp_path / "model.safetensors")},
    }
    config = config_from_dict(content, NodeConfig)
    read = config.perceiver.build(config.source.interval)
    assert torch.get_num_threads() == threads, "only a process of its own may settle what all of it shares"
    assert read.categories == ("car", "truck") and read.interval == 0.5 and read.resolution == 1.0
    hub, clock = LoopbackNetwork(), fleet.HandClock()
    here = fleet.node("UAV_1", hub.join(), clock, perceiver=read)
    there = fleet.node("UAV_4", hub.join(), clock, perceiver=fleet.truth_perceiver(4, resolution=1.0))
    other = fleet.node("UAV_3", hub.join(), clock)  # its cells are half as large
    for number in range(3):  # the map follows the camera; the past is moved with it
        clock.now = fleet.START + number * 500_000_000
        there.send_heartbeat()
        other.send_heartbeat()
        other.observe_and_send(fleet.frame(number, "UAV_3"))
        there.observe_and_send(fleet.frame(number, "UAV_4"))
        fused = here.fuse(here.observe_and_send(fleet.frame(number, "UAV_1")))
    assert peer_names(fused.peer_frames) == ["UAV_4"]
    assert here.peers.rejection_counts()["UAV_3"] == {"grid": 6}
    found, alone = fused.prediction.detections, fused.peer_frames[0].content.boxes
    assert found is not None and alone is not None and len(found) >= len(alone) > 0
    assert fused.prediction.trajectories is not None and len(fused.prediction.trajectories) == len(found)
    assert fused.prediction.instances is not None


def test_maps_of_the_past_move_by_whole_cells() -> None:
    import torch

    from skyweave.collaboration.map_memory import translate_map
    from skyweave.core.geometry.grid import MapGrid

    before, after = MapGrid(0, 8, 1.0, 8, 8), MapGrid(3, 6, 1.0, 8, 8)
    values = torch.arange(64.0).reshape(1, 1, 8, 8)
    moved = translate_map(values, *before.offset_to(after), after.shape)
    for x, y in ((3.5, 5.5), (7.5, 0.5), (5.5, 3.5)):
        old, new = before.index(np.array([x, y])), after.index(np.array([x, y]))
        assert moved.flatten()[int(new)] == values.flatten()[int(old)]
    assert int((moved != 0).sum()) == 5 * 6
    assert not translate_map(values, *before.offset_to(MapGrid(30, 6, 1.0, 8, 8)), (8, 8)).any()

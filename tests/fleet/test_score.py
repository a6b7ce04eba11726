"""The score of a fleet's contents is what the evaluation says of the same boxes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fabricated_fleet as fleet
import fabricated_scene as toy
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.scene_file import read_saved_scenes
from skyweave.fleet.sinks.score import detections_from_content, score_fleet
from skyweave.recordings.recording import RecordedScene

NAMES = ("UAV_1", "UAV_4")
INTERVAL = 0.5
FIRST = 2 * round(fleet.START / 1e9 / INTERVAL) // 2  # a tick; the scene has four frames


def scene() -> RecordedScene:
    """Two platforms, each of which sees its half."""
    frames = []
    for number in range(4):
        whole = toy.frame(number)
        halves = [fleet.frame(number, name).annotations for name in NAMES]
        shares = {name: half.visibility[name] for name, half in zip(NAMES, halves, strict=True) if half is not None}
        assert whole.annotations is not None
        captures = {name: replace(whole.captures[name], channel=name, platform=name) for name in NAMES}
        frames.append(replace(whole, captures=captures, annotations=replace(whole.annotations, visibility=shares)))
    return RecordedScene("toy", frames)


def contents(count: int = 6) -> list[dict[str, object]]:
    """What two nodes make of it over a perfect network."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    nodes = {name: fleet.node(name, hub.join(), clock, NodeOptions(max_time_offset=0.1)) for name in NAMES}
    publishers = {name: ScenePublisher(node, []) for name, node in nodes.items()}
    made = []
    for tick in range(FIRST, FIRST + count):
        clock.now = round(tick * INTERVAL * 1e9)
        sent = {}
        for name, node in nodes.items():
            node.send_heartbeat()
            sent[name] = node.observe_and_send(fleet.frame(tick % 4, name, time=clock.now))
        clock.now += 50_000_000
        made += [publishers[name].publish(nodes[name].fuse(one)).json_content for name, one in sent.items()]
    return json.loads(json.dumps(made))


def perceivers() -> dict[str, object]:
    return {name: fleet.truth_perceiver(seed=int(name[-1])) for name in NAMES}


def test_a_perfect_network_is_as_good_as_none_and_better_than_alone() -> None:
    found = score_fleet(scene(), contents(), perceivers(), INTERVAL, 20_000)  # type: ignore[arg-type]
    assert found.scenes == found.expected == 12 and found.complete_peers == 1.0
    assert found.live == pytest.approx(found.offline, abs=1e-3) and found.live > 0.9
    assert found.ego_only < 0.7 * found.live
    assert found.latency(0.5) == pytest.approx(0.05) and found.longest_gap == INTERVAL


def test_pictures_that_are_missing_are_counted_and_worse_ones_score_less() -> None:
    made = contents()
    fewer = [one for number, one in enumerate(made) if number not in (4, 5, 10)]
    found = score_fleet(scene(), fewer, perceivers(), INTERVAL, 20_000)  # type: ignore[arg-type]
    assert (found.scenes, found.expected) == (9, 12) and found.longest_gap == pytest.approx(2 * INTERVAL)
    empty = [{**one, "boxes": [], "peer_frames": {}} for one in made]
    found = score_fleet(scene(), empty, perceivers(), INTERVAL, 20_000)  # type: ignore[arg-type]
    assert found.live == 0 and found.offline > 0.9 and found.complete_peers == 0


def test_saved_pictures_are_read_back_and_a_line_cut_off_is_left_out(tmp_path: Path) -> None:
    made = contents(2)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, made)) + '\n{"time": 17')
    assert read_saved_scenes(path) == made
    later = made[-1]["time"]
    assert [one["time"] for one in read_saved_scenes(path, begin=later)] == [later, later]  # type: ignore[arg-type]
    assert read_saved_scenes(tmp_path / "none") == []
    boxes = detections_from_content(made[0])
    assert len(boxes) == len(made[0]["boxes"]) and np.isfinite(boxes.velocities).all()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="saved no scenes"):
        score_fleet(scene(), [], perceivers(), INTERVAL, 20_000)  # type: ignore[arg-type]
    blind = RecordedScene("blind", [replace(frame, annotations=None) for frame in scene().frames])
    with pytest.raises(ValueError, match="no ground truth"):
        score_fleet(blind, made, perceivers(), INTERVAL, 20_000)  # type: ignore[arg-type]

"""A fleet of processes with a collaborative model from disk, over Zenoh: what it publishes is what a batch gives."""

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("zenoh", reason="needs skyweave[link]")

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.cache import build_feature_cache
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.weights import load_collaborative_model, save_collaboration
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.intermediate_fusion import IntermediateFusionPerceiver
from skyweave.fleet.perceivers.offline import perceive_together
from skyweave.fleet.sinks.publisher import MAX_PUBLISHED_BOXES, MIN_PUBLISHED_SCORE
from skyweave.fleet.sinks.scene_file import read_saved_scenes
from skyweave.fleet.sinks.score import detections_from_content
from skyweave.fleet.sources.base import platform_captures
from skyweave.fleet.supervisor.supervisor import Supervisor
from skyweave.perception.model import PerceptionModel
from skyweave.recordings.nuscenes import finish_recording, load_recording, write_scene

NAMES = ("UAV_1", "UAV_2")
INTERVAL, BUDGET, MTU = 3.0, 900, 1200  # seconds: a busy machine should keep up
ENVELOPE = 12  # bytes of a chunk
WARM, COMPARED = 2, 1  # moments until what each remembers is of moments that all have heard whole; and then
SECONDS = 90.0  # a loaded machine may take its time


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, and the weights of a model that finds much, if nothing that is there."""
    folder = tmp_path_factory.mktemp("features")
    scene = toy.scene(4, len(NAMES), "toy")
    write_scene(folder / "recording", scene, ("car", "truck"))
    finish_recording(folder / "recording", "toy", {"val": ["toy"]})
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    perception = PerceptionModel(toy.config(interval=INTERVAL), build_backbone(small, [toy.RGB], seed=0)).eval()
    with torch.no_grad():
        heatmap = perception.heads["detection"].heatmap
        heatmap.weight *= 300  # type: ignore[operator]
        heatmap.bias += 3.5  # type: ignore[operator]
    model = CollaborativeModel(
        perception, CollaborationConfig("dual_branch", CodecConfig(low=4, high=6, contexts=3))
    ).eval()
    cache = build_feature_cache(folder / "cache", perception, "toy", [scene])
    maps = torch.from_numpy(np.stack([cache[key].features for key in cache.entries]))
    model.codec.start_from(maps.permute(0, 2, 3, 1).flatten(0, 2)[::7])
    freeze_tables(model, cache)
    save_collaboration(folder / "model.safetensors", model, "toy")
    return folder


def fleet_of(folder: Path) -> FleetConfig:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    node = {
        "source": {"kind": "recording", "path": str(folder / "recording"), "interval": INTERVAL},
        "perceiver": {"kind": "intermediate_fusion", "weights": str(folder / "model.safetensors")},
        "options": {
            "max_wait": 0.9 * INTERVAL,
            "grace": 1.0,
            "max_time_offset": 0.1,
            "budget": {"min_bytes": BUDGET, "max_bytes": BUDGET},
            "limits": {"max_age": 2 * INTERVAL},
        },
        "metrics": None,
    }
    saved = {name: {"sinks": ["scene", {"kind": "file", "path": str(folder / f"{name}.jsonl")}]} for name in NAMES}
    return FleetConfig("features", list(NAMES), node, saved, min(port, 60_000), str(folder / "state"))


def whole_moments(folder: Path) -> dict[int, dict[str, dict[str, Any]]]:
    """A row of moments of which each platform made a picture with everything of all others in it; {} if none yet."""
    pictures = [one for name in NAMES for one in read_saved_scenes(folder / f"{name}.jsonl")]
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for content in pictures:
        frames = content["peer_frames"].values()
        complete = all(frame["complete"] and abs(frame["time_offset"]) < 0.01 for frame in frames)
        if len(frames) == len(NAMES) - 1 and complete:
            found.setdefault(round(content["time"] / INTERVAL), {})[content["platform"]] = content
    row: dict[int, dict[str, dict[str, Any]]] = {}
    for tick in sorted(found):
        row = {**row, tick: found[tick]} if tick - 1 in row else {tick: found[tick]}
        if len(found[tick]) < len(NAMES):
            row = {}
        if len(row) == WARM + COMPARED:
            return row
    return {}


@pytest.mark.slow
def test_processes_that_exchange_features_give_what_a_batch_gives(folder: Path) -> None:
    supervisor, stop = Supervisor(fleet_of(folder)), threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        end, moments = time.monotonic() + SECONDS, {}
        while not moments:
            assert time.monotonic() < end, [(folder / "state" / f"{name}.log").read_text()[-500:] for name in NAMES]
            time.sleep(0.5)
            moments = whole_moments(folder)
        status = json.loads((folder / "state" / "UAV_1.status.json").read_text())
    finally:
        stop.set()
        thread.join()
    sent, told = status["bytes_sent"]["frame"], status["frames_sent"]
    assert 0.5 * BUDGET * told < sent <= BUDGET * (told + 1)  # one may be on its way
    assert not any(sum(peer["rejected"].values()) for peer in status["peers"].values()), status["peers"]

    scene = load_recording(folder / "recording").scenes[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the nodes: sums in another order round differently
    try:
        perceivers = {
            name: IntermediateFusionPerceiver(load_collaborative_model(folder / "model.safetensors", None))
            for name in NAMES
        }
        for number, (tick, pictures) in enumerate(moments.items()):
            frame = scene.frames[tick % len(scene.frames)]
            sequences = {name: content["sequence"] for name, content in pictures.items()}
            shift = tick * round(INTERVAL * 1e9) - frame.time
            captured = {name: moment for name in NAMES if (moment := platform_captures(frame, name, shift)) is not None}
            budget = BUDGET - -(-BUDGET // MTU) * ENVELOPE
            place, headers = (
                WorldFrame(scene.crs, scene.ground),
                {name: (i + 1, sequences[name]) for i, name in enumerate(NAMES)},
            )
            wanted = perceive_together(perceivers, captured, place, budget, MTU - ENVELOPE, headers)
            if number < WARM:
                continue
            for name in NAMES:
                offline = wanted[name].detections
                assert offline is not None
                offline = offline.select(np.flatnonzero(offline.scores >= MIN_PUBLISHED_SCORE)[:MAX_PUBLISHED_BOXES])
                live = detections_from_content(pictures[name])
                assert len(live) == len(offline) > 5
                assert live.categories == offline.categories
                np.testing.assert_allclose(live.boxes.centres, offline.boxes.centres, atol=6e-4)
                np.testing.assert_allclose(live.scores, offline.scores, atol=6e-4)
    finally:
        torch.set_num_threads(threads)

"""Platforms that share features as a node runs them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.collaboration.messages import encode
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.perceiver import FeaturePerceiver, Observed
from skyweave.geometry.grid import MapGrid
from skyweave.geometry.ground import Ground, GroundPlane
from skyweave.recording import Frame
from skyweave.wire import FrameContent, decode

Make = Callable[[str], CollaborativeModel]


@dataclass
class Here:
    crs: str | None = None
    ground: Ground = field(default_factory=GroundPlane)


def own_frame(number: int, platform: str) -> Frame:
    whole = toy.frame(number)
    return replace(whole, captures={platform: whole.captures[platform]}, annotations=None)


def exchange(
    model: CollaborativeModel, perceivers: dict[str, FeaturePerceiver], number: int, budget: int
) -> tuple[dict[str, Observed], dict[str, FrameContent]]:
    own = {name: one.observe(own_frame(number, name), Here()) for name, one in perceivers.items()}
    told = {}
    for name, one in perceivers.items():
        chunks = encode(model, one.content(own[name], budget), budget)
        assert sum(map(len, chunks)) <= budget
        told[name] = decode(chunks, one.tables)
    return own, told


@pytest.mark.parametrize("budget", [200, 1500])
def test_platforms_hear_each_other(make: Make, budget: int) -> None:
    model = make("ours")
    perceivers = {name: FeaturePerceiver(model) for name in ("UAV_1", "UAV_2", "UAV_3")}
    for number in range(3):
        own, told = exchange(model, perceivers, number, budget)
        for name, one in perceivers.items():
            scene = one.fuse(own[name], [frame for other, frame in told.items() if other != name])
            assert scene.detections is not None and scene.detections.time == own[name].time
            assert scene.instances is not None and len(scene.instances) == 3
            assert np.isfinite(scene.detections.boxes.centres).all()


@torch.inference_mode()
def test_alone_it_reads_what_its_own_model_reads(make: Make) -> None:
    model = make("ours")
    model.strategy.start_from(model.perception.fusion)
    one = FeaturePerceiver(model)
    for number in range(2):
        own = one.observe(own_frame(number, "UAV_1"), Here())
        scene = one.fuse(own, [])
    assert own.scene.detections is not None and scene.detections is not None
    assert scene.detections.scores == pytest.approx(own.scene.detections.scores, abs=2e-2)


def test_a_map_that_is_agreed_on_is_kept(make: Make) -> None:
    grid = MapGrid(-24, 16, 1.0, 40, 48)
    one = FeaturePerceiver(make("ours"), grid)
    own = one.observe(own_frame(1, "UAV_2"), Here())
    assert own.grid == grid and own.features.shape[1:] == grid.shape
    frame = one.content(own, 800)
    assert frame.grid.to_map() == grid
    assert frame.time == own.time and frame.fingerprint == one.fingerprint != 0


def test_the_past_moves_boxes_and_leaves_cells(make: Make) -> None:
    one = FeaturePerceiver(make("ours"))
    frame = one.content(one.observe(own_frame(1, "UAV_2"), Here()), 800)
    later = one.compensate(frame, frame.time + 500_000_000)
    assert later.high is frame.high and later.time == frame.time

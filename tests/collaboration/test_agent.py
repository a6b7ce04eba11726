"""An agent does in one step what the parts do: it observes, composes, receives, fuses and reads out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from skyweave.collaboration.agent import Agent, compensate
from skyweave.collaboration.cache import FeatureCache, platform_names
from skyweave.collaboration.map_memory import MapMemory
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import EgoMaps
from skyweave.core.errors import WeightsError
from skyweave.core.geometry.grid import MapGrid
from skyweave.recordings.recording import RecordedScene
from skyweave.wire import RejectedError

Make = Callable[[str], CollaborativeModel]


def observed(agent: Agent, scene: RecordedScene, frame: int, platform: str) -> EgoMaps:
    captures = [c for c in scene.frames[frame].captures.values() if c.platform == platform]
    images, geometries = [c.load() for c in captures], [c.geometry for c in captures]
    return agent.observe(images, geometries, scene.frames[frame].time, scene.ground, scene.crs)


def test_an_agent_sees_what_the_cache_holds(make: Make, scenes: list[RecordedScene], cache: FeatureCache) -> None:
    """One function observes and detects, so that a model is trained and scored on what it sees aboard."""
    scene = scenes[0]
    for platform in platform_names(scene.frames[0])[:2]:
        agent = Agent(make("dual_branch"))
        for frame in range(3):
            ego, stored = observed(agent, scene, frame, platform), cache[scene.name, frame, platform]
            assert ego.grid == stored.grid and ego.time == stored.time
            assert torch.equal(ego.features.half(), stored.features.half()) and torch.equal(ego.visible, stored.visible)
            np.testing.assert_allclose(ego.boxes.centres, stored.boxes.centres, atol=1e-4)
            np.testing.assert_allclose(ego.pose.position, stored.pose.position)


def test_two_agents_exchange_bytes(make: Make, scenes: list[RecordedScene]) -> None:
    scene, model = scenes[0], make("dual_branch")
    here, there = Agent(model), Agent(model)
    for frame in range(2):
        ego, peer = observed(here, scene, frame, "UAV_1"), observed(there, scene, frame, "UAV_2")
        chunks = there.encode(there.compose(peer, 1500, platform=2, sequence=frame), 1500)
        assert sum(map(len, chunks)) <= 1500
        received = here.receive(chunks)
        assert received is not None and received.high is not None and received.request is not None
        fused = here.step(ego, [compensate(received, ego.time)], scene.ground)
        assert fused.detections is not None and fused.instances is not None
        assert 2 in here.aligners.known
        assert here.requests == [received], "the next message serves what was asked for"
    assert here.receive([]) is None
    with pytest.raises(RejectedError):
        here.receive([b"no chunk"])


def test_without_messages_an_agent_perceives_as_one_platform(make: Make, scenes: list[RecordedScene]) -> None:
    scene = scenes[0]
    scores = []
    for strategy in ("dual_branch", "late_fusion"):
        agent = Agent(make(strategy))
        detections = agent.step(observed(agent, scene, 0, "UAV_1"), [], scene.ground).detections
        assert detections is not None
        scores.append(detections.scores)
    np.testing.assert_allclose(scores[0], scores[1])


def test_a_late_frame_is_moved_on_by_its_velocities(make: Make, scenes: list[RecordedScene]) -> None:
    agent = Agent(make("late_fusion"))
    ego = observed(agent, scenes[0], 0, "UAV_1")
    boxes = replace(ego.boxes, velocities=np.ones((len(ego.boxes), 2)))
    message = agent.compose(replace(ego, boxes=boxes))
    assert message.boxes is not None
    moved = compensate(message, message.time + 10**9).boxes
    assert moved is not None
    np.testing.assert_allclose(moved.centres[:, :2] - message.boxes.centres[:, :2], 1.0)
    assert compensate(replace(message, boxes=None), 0).boxes is None


def test_a_model_that_is_not_finished_cannot_compose(
    make: Make, scenes: list[RecordedScene], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("dual_branch")
    monkeypatch.setattr(model, "tables", None)
    agent = Agent(model)
    with pytest.raises(WeightsError, match="not frozen"):
        agent.compose(observed(agent, scenes[0], 0, "UAV_1"))


def test_memory_takes_frames_by_their_time() -> None:
    memory, grid = MapMemory(history=3, interval=0.5), MapGrid(0, 8, 1.0, 8, 8)
    for number in (0, 2):  # the frame between is missing
        memory.push(number * 500_000_000, grid, torch.full((1, 1, 8, 8), number + 1.0))
    maps, present = memory.recall(1_020_000_000, replace(grid, west=2))
    assert present.tolist() == [[True, False, True]]
    assert [float(one.max()) for one in maps] == [1.0, 0.0, 3.0]
    assert not maps[2][..., 6:].any() and (maps[2][..., :6] == 3).all(), "moved onto the grid of today"

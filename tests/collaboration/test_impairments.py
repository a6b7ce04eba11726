"""Impairments are drawn from a generator and applied alike in training and in evaluation."""

from dataclasses import replace

import numpy as np
import pytest

from skyweave.collaboration.config import ImpairmentConfig
from skyweave.collaboration.impairments import (
    BoxesOnly,
    Delay,
    IrrelevantPeer,
    PacketLoss,
    PoseNoise,
    RigidPoseError,
    sample_impairments,
)
from skyweave.wire import BoxList, Cells, FrameContent, WireGrid

GRID = WireGrid(0, 0, 500_000, 8, 8)
CELLS = Cells(np.arange(3), np.zeros((3, 2), int))
BOXES = BoxList(np.zeros((1, 3)), np.ones((1, 3)), np.zeros(1), np.zeros(1, int), np.ones(1))


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_packets_are_lost_at_the_rate(rate: float) -> None:
    chunks = list(range(2000))
    arrived = PacketLoss(rate).apply(chunks, np.random.default_rng(0))
    assert len(arrived) == pytest.approx((1 - rate) * 2000, abs=80)
    assert arrived == sorted(arrived), "in order"
    assert arrived == PacketLoss(rate).apply(chunks, np.random.default_rng(0))


def test_pose_noise_has_its_standard_deviations() -> None:
    generator, noise = np.random.default_rng(0), PoseNoise(0.5, 2.0)
    errors = [noise.sample(generator) for _ in range(2000)]
    assert np.std([error.offset for error in errors]) == pytest.approx(0.5, rel=0.1)
    assert np.rad2deg(np.std([error.turn for error in errors])) == pytest.approx(2.0, rel=0.1)
    assert not noise.sample(generator, factor=0.0) and errors[0] and not RigidPoseError()


def test_what_has_arrived_by_a_frame() -> None:
    times = [0, 500_000_000, 1_000_000_000]
    assert [Delay(seconds).newest_arrived(times, 2) for seconds in (0.0, 0.1, 0.5, 1.0, 1.1)] == [2, 1, 1, 0, None]


def test_frames_lose_their_cells_or_get_those_of_another_scene() -> None:
    frame = FrameContent(3, 1, 0, GRID, high=CELLS, boxes=BOXES)
    bare = BoxesOnly().apply(frame)
    assert bare.high is None and bare.boxes is BOXES
    other = replace(frame, grid=replace(GRID, west=80), platform=9, high=replace(CELLS, indices=np.arange(3) + 8))
    strange = IrrelevantPeer().apply(frame, other)
    assert strange.grid == GRID and strange.platform == 3 and strange.high is other.high and strange.boxes is None
    assert IrrelevantPeer().apply(frame, None) == replace(frame, high=None, boxes=None)


def test_a_sample_is_a_function_of_its_generator() -> None:
    config = ImpairmentConfig(irrelevant=0.5)
    drawn = [sample_impairments(config, 3, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({one.budget_bytes for one in drawn[0]}) == 1, "one budget a sample"


def test_nothing_comes_of_any_peer_where_the_ego_is_alone() -> None:
    peers = sample_impairments(ImpairmentConfig(ego_only=1.0, dropped=0.0), 4, np.random.default_rng(0))
    assert len(peers) == 4 and all(peer.dropped for peer in peers)

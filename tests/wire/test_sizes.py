"""Sizes that are planned with are those that encoding gives, nearly."""

from dataclasses import replace

import numpy as np
import pytest

from skyweave.wire import BoxList, FrameContent, Pose, WireGrid, encode_frame
from skyweave.wire.sizes import BOX_BYTES, CHUNK_PAYLOAD_BYTES, HEADER_BYTES, POSE_BYTES

GRID = WireGrid(1_000_000, 8_000_000, 500_000, 160, 160, 32632)
FRAME = FrameContent(70_000, 5_000_000, 1_700_000_000_123_456_789, GRID, 0xDEADBEEF, 1)
POSE = Pose(np.array([500_010.0, 4_000_020.0, 60.0]), np.array([0.5, 0.5, -0.5, 0.5]))


def boxes(count: int) -> BoxList:
    generator = np.random.default_rng(0)
    centres = generator.uniform(-30, 30, (count, 3)) * (1, 1, 0) + (500_040.0, 3_999_960.0, 0.8)
    return BoxList(
        centres, np.tile([[4.5, 1.9, 1.6]], (count, 1)), generator.uniform(0, 6, count),
        generator.integers(0, 5, count), generator.uniform(0.1, 1, count), generator.normal(0, 8, (count, 2)),
    )  # fmt: skip


def size(frame: FrameContent) -> int:
    return sum(map(len, encode_frame(frame)))


def test_planned_sizes_are_near_the_encoded_ones() -> None:
    header = size(FRAME)
    assert header == pytest.approx(HEADER_BYTES, abs=8)
    with_pose = size(replace(FRAME, pose=POSE))
    assert with_pose - header == pytest.approx(POSE_BYTES, abs=8)
    with_boxes = size(replace(FRAME, pose=POSE, boxes=boxes(60)))
    assert (with_boxes - with_pose) / 60 == pytest.approx(BOX_BYTES, abs=2)
    assert HEADER_BYTES + CHUNK_PAYLOAD_BYTES <= 1200

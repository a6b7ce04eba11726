import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyweave.collaboration.boxes import extrapolate_boxes, rasterize_boxes
from skyweave.collaboration.cache import EgoMaps, FeatureCache
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.messages import (
    build_message,
    decode_features,
    decode_received,
    encode_message,
    make_request,
    request_map,
)
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.strategies.dual_branch import DualBranch
from skyweave.collaboration.weights import load_collaboration, round_weights, save_collaboration
from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList, FrameContent, Pose, Receiver, RejectedError, WireGrid, decode_frame

Make = Callable[[str], CollaborativeModel]
POSE = Pose(np.array([3.0, -4.0, 30.0]), np.array([1.0, 0, 0, 0]))


def sent(
    model: CollaborativeModel,
    own: EgoMaps,
    budget: int | None,
    mtu: int = 1200,
    wanted: np.ndarray | None = None,
    sequence: int = 0,
) -> list[bytes]:
    frame = build_message(
        model, torch.from_numpy(own.features), torch.from_numpy(own.visible), own.grid, own.time, own.boxes, budget,
        wanted, POSE, 7, sequence,
    )  # fmt: skip
    return encode_message(model, frame, budget, mtu)


@pytest.fixture
def own(cache: FeatureCache) -> EgoMaps:
    """A map, and forty boxes on it."""
    known, generator = cache["one", 2, "UAV_2"], np.random.default_rng(0)
    middle = [known.grid.west + known.grid.columns / 2, known.grid.north - known.grid.rows / 2, 0.8]
    boxes = BoxList(
        generator.uniform(-20, 20, (40, 3)) * [1, 1, 0] + middle, np.tile([[4.5, 2.0, 1.6]], (40, 1)),
        generator.uniform(0, 6, 40), generator.integers(0, 2, 40), np.linspace(0.9, 0.1, 40),
        generator.normal(0, 5, (40, 2)),
    )  # fmt: skip
    return replace(known, boxes=boxes)


@pytest.fixture
def ours(make: Make) -> CollaborativeModel:
    return make("dual_branch")


@torch.inference_mode()
def test_what_the_receiver_decodes_is_what_training_decodes(ours: CollaborativeModel, own: EgoMaps) -> None:
    chunks = sent(ours, own, None)
    frame = decode_frame(chunks, ours.tables or ())
    found = decode_features(ours, frame)
    assert found is not None
    maps, seen = torch.from_numpy(own.features)[None], torch.from_numpy(own.visible)[None]
    levels = ours.codec.quantised(ours.codec.encode(maps, seen), noisy=False)
    wanted = ours.codec.decode(levels, levels.low_valid.float(), levels.high_valid.float())
    assert torch.equal(found.exact[0] > 0, seen[0])
    assert torch.allclose(found.features, wanted.features, atol=1e-5)
    assert torch.allclose(found.visible, wanted.visible, atol=1e-5)


@pytest.mark.parametrize("budget", [120, 200, 500, 1000, 3000, 10_000, 200_000])
def test_the_budget_is_kept_and_used(ours: CollaborativeModel, own: EgoMaps, budget: int) -> None:
    chunks = sent(ours, own, budget)
    size, whole = sum(map(len, chunks)), sum(map(len, sent(ours, own, None)))
    assert size <= budget
    assert size >= min(0.9 * budget - 25, 0.97 * whole - 100)


def test_boxes_whose_place_came_in_full_are_not_handed_on(ours: CollaborativeModel, own: EgoMaps) -> None:
    """What one platform saw alone adds nothing to a map that was fused from its cells."""
    empty, nowhere = torch.zeros_like(torch.from_numpy(own.features)), torch.zeros(own.grid.shape, dtype=torch.bool)

    def handed_on(budget: int | None) -> tuple[BoxList, BoxList]:
        frame = decode_frame(sent(ours, own, budget), ours.tables or ())
        came = decode_received(ours, empty, nowhere, own.grid, [frame], own.time)
        assert frame.boxes is not None and came.told.boxes.any(), "all are drawn, whatever else came"
        return frame.boxes, came.boxes[0]

    told, kept = handed_on(300)
    assert len(kept) == len(told) > 10, "no cells, so all of them"
    assert kept.scores.tolist() == told.scores.tolist()
    told, kept = handed_on(None)
    before = told.scores[[np.flatnonzero((told.centres == centre).all(1))[0] for centre in kept.centres]]
    assert kept.scores == pytest.approx(before * len(kept) / len(told)), "the fewer are left, the less they count"
    shares = []
    for centre, size, yaw in zip(kept.centres, kept.sizes, kept.yaws, strict=True):
        owner = rasterise(Boxes(centre[None], size[None], yaw[None]).footprints(), np.array([1]), own.grid)
        shares.append(own.visible[owner > 0].mean() if owner.any() else 0.0)
    assert 0 < len(kept) < len(told)
    assert max(shares) < 0.85, "each of those kept lies where the sender does not see"


def test_the_most_useful_cells_are_those_with_most_energy(ours: CollaborativeModel, own: EgoMaps) -> None:
    maps, seen = torch.from_numpy(own.features)[None], torch.from_numpy(own.visible)[None]
    strategy = DualBranch(maps.shape[1], ours.strategy.box_channels)
    nowhere = torch.zeros(1, *own.grid.shape)
    useful = strategy.usefulness(maps, seen, nowhere, nowhere)
    assert (maps.square().mean(1).flatten()[useful.flatten().argsort()].diff() >= 0).all()
    certain = strategy.usefulness(maps, seen, nowhere, nowhere + 0.5)
    assert torch.allclose(certain - useful, torch.ones(()))


def test_cells_of_own_boxes_travel_first(ours: CollaborativeModel, own: EgoMaps) -> None:
    def covered(boxes: BoxList) -> float:
        frame = build_message(
            ours, torch.from_numpy(own.features), torch.from_numpy(own.visible), own.grid, own.time, boxes, 1000
        )
        cells = decode_frame(encode_message(ours, frame, 1000), ours.tables or ()).high
        assert cells is not None
        footprint = rasterize_boxes(own.boxes, own.grid, 2)[0].numpy().ravel() > 0.5
        return float(footprint[cells.indices].mean())

    assert covered(own.boxes) > 1.2 * covered(replace(own.boxes, scores=0 * own.boxes.scores))


def test_a_model_stored_in_int8_says_the_same(
    ours: CollaborativeModel, cache: FeatureCache, own: EgoMaps, tmp_path: Path
) -> None:
    model = copy.deepcopy(ours)
    round_weights(model, torch.int8)
    assert model.tables is None, "other cells need other tables"
    freeze_tables(model, cache)
    save_collaboration(tmp_path / "small.safetensors", model, "small", torch.int8)
    save_collaboration(tmp_path / "large.safetensors", model, "large")
    for name in ("small", "large"):
        found = load_collaboration(tmp_path / f"{name}.safetensors")
        assert sent(found, own, 3000) == sent(model, own, 3000)
        assert found.tables is not None and found.tables.model == model.tables.model
    small, large = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "large"))
    assert small < 0.5 * large


def test_boxes_come_first_and_features_get_their_part(ours: CollaborativeModel, make: Make, own: EgoMaps) -> None:
    tiny = decode_frame(sent(ours, own, 200), ours.tables or ())
    assert tiny.boxes is not None and len(tiny.boxes) >= 10
    assert tiny.boxes.scores == pytest.approx(own.boxes.scores[: len(tiny.boxes)], abs=0.01)
    larger = decode_frame(sent(ours, own, 600), ours.tables or ())
    assert larger.low is not None and larger.boxes is not None and len(larger.boxes) < 40
    boxes_only = decode_frame(sent(make("late_fusion"), own, 300))
    assert boxes_only.low is None and boxes_only.high is None


@torch.inference_mode()
def test_without_messages_the_map_is_ones_own_to_the_last_bit(ours: CollaborativeModel, own: EgoMaps) -> None:
    features, visible = torch.from_numpy(own.features), torch.from_numpy(own.visible)
    alone = ours.strategy.fuse(decode_received(ours, features, visible, own.grid, [], own.time).told)
    silent = FrameContent(3, 1, own.time, WireGrid.from_map(own.grid))
    assert torch.equal(
        ours.strategy.fuse(decode_received(ours, features, visible, own.grid, [silent, silent], own.time).told), alone
    )
    perceived = ours.perception.fusion(features[None, None], visible[None, None])
    assert torch.equal(alone, perceived), "whatever training for messages did"


@torch.inference_mode()
def test_a_lost_chunk_loses_its_cells_and_no_others(ours: CollaborativeModel, own: EgoMaps) -> None:
    chunks = sent(ours, own, 6000, mtu=300)
    assert len(chunks) >= 4
    whole = decode_frame(chunks, ours.tables or ())
    assert whole.high is not None
    for lost in range(len(chunks)):
        part = decode_frame([chunk for i, chunk in enumerate(chunks) if i != lost], ours.tables or ())
        known = dict(zip(whole.high.indices.tolist(), whole.high.symbols.tolist(), strict=True))
        if part.high is not None:
            for index, symbols in zip(part.high.indices.tolist(), part.high.symbols.tolist(), strict=True):
                assert known[index] == symbols
        found = decode_features(ours, part)
        assert found is not None and torch.isfinite(found.features).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_safe(ours: CollaborativeModel, own: EgoMaps, data: st.DataObject) -> None:
    chunk = bytearray(data.draw(st.sampled_from(sent(ours, own, 2500, mtu=300))))
    for _ in range(data.draw(st.integers(0, 4))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    receiver = Receiver([ours.tables] if ours.tables is not None else [])
    for message in (bytes(chunk), bytes(chunk[: data.draw(st.integers(0, len(chunk)))])):
        receiver.receive(message, own.time)
    features, visible = torch.from_numpy(own.features), torch.from_numpy(own.visible)
    frames = [received.frame for received in receiver.frames(own.time)]
    with torch.inference_mode():
        assert torch.isfinite(
            ours.strategy.fuse(decode_received(ours, features, visible, own.grid, frames, own.time).told)
        ).all()


def test_another_model_is_heard_by_its_boxes_only(ours: CollaborativeModel, own: EgoMaps) -> None:
    frame = decode_frame(sent(ours, own, 3000), ours.tables or ())
    strange = replace(frame, fingerprint=frame.fingerprint ^ 1)
    assert decode_features(ours, strange) is None
    told = decode_received(
        ours, torch.from_numpy(own.features), torch.from_numpy(own.visible), own.grid, [strange], own.time
    ).told
    assert not told.visible.any() and bool(told.boxes.any()) == bool(frame.boxes is not None and len(frame.boxes))


def test_a_request_draws_cells_to_what_is_asked_for(ours: CollaborativeModel, own: EgoMaps) -> None:
    strategy = ours.strategy
    assert isinstance(strategy, DualBranch)
    strategy.asked.data.fill_(50.0)
    west = np.zeros(own.grid.shape, np.float32)
    west[:, : own.grid.columns // 2] = 1
    frame = decode_frame(
        sent(ours, replace(own, boxes=own.boxes.select(slice(0, 0))), 350, wanted=west), ours.tables or ()
    )
    assert frame.high is not None
    column = frame.high.indices % own.grid.columns
    assert (column < own.grid.columns // 2).all()
    strategy.asked.data.fill_(0.5)


def test_requests_say_what_is_not_seen(own: EgoMaps) -> None:
    visible = np.zeros(own.grid.shape, bool)
    visible[:, :32] = True
    asking = FrameContent(1, 0, 0, WireGrid.from_map(own.grid), request=make_request(visible, own.grid))
    wanted = request_map([asking], own.grid)
    assert not wanted[:, :32].any() and (wanted[:, 32:] == 1).all()
    assert not request_map([replace(asking, request=None)], own.grid).any()


def test_features_without_tables_are_refused_by_name(ours: CollaborativeModel, own: EgoMaps) -> None:
    tables, ours.tables = ours.tables, None
    try:
        with pytest.raises(ValueError, match="tables are not frozen"):
            sent(ours, own, 1000)
    finally:
        ours.tables = tables


def test_a_grid_that_is_not_snapped_is_refused(ours: CollaborativeModel, own: EgoMaps) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        sent(ours, replace(own, grid=replace(own.grid, west=own.grid.west + 3)), 1000)


def test_chunks_of_two_frames_are_refused(ours: CollaborativeModel, own: EgoMaps) -> None:
    with pytest.raises(RejectedError):
        decode_frame([*sent(ours, own, 500), *sent(ours, own, 500, sequence=3)], ours.tables or ())


def test_boxes_move_with_their_velocities(own: EgoMaps) -> None:
    later = extrapolate_boxes(own.boxes, 0.5)
    assert own.boxes.velocities is not None
    assert later.centres[:, :2] == pytest.approx(own.boxes.centres[:, :2] + own.boxes.velocities / 2)

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
from skyweave.collaboration.cache import FeatureCache
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.messages import build_message, encode_message
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import EgoMaps
from skyweave.collaboration.reception import decode_features, decode_received
from skyweave.collaboration.requests import make_request, request_map
from skyweave.collaboration.strategies.dual_branch import DualBranch
from skyweave.collaboration.weights import load_collaboration, round_weights, save_collaboration
from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList, EntropyTables, FrameContent, Pose, Receiver, RejectedError, WireGrid, decode_frame

Make = Callable[[str], CollaborativeModel]
POSE = Pose(np.array([3.0, -4.0, 30.0]), np.array([1.0, 0, 0, 0]))


def sent(
    model: CollaborativeModel,
    ego: EgoMaps,
    budget: int | None,
    mtu: int = 1200,
    request: np.ndarray | None = None,
    sequence: int = 0,
) -> list[bytes]:
    frame = build_message(model, ego, budget, request, POSE, 7, sequence)
    return encode_message(frame, tables_of(model), budget, mtu)


def tables_of(model: CollaborativeModel) -> list[EntropyTables]:
    return [] if model.tables is None else [model.tables]


@pytest.fixture
def ego(cache: FeatureCache) -> EgoMaps:
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
def dual_branch(make: Make) -> CollaborativeModel:
    return make("dual_branch")


@torch.inference_mode()
def test_what_the_receiver_decodes_is_what_training_decodes(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    chunks = sent(dual_branch, ego, None)
    frame = decode_frame(chunks, dual_branch.tables or ())
    found = decode_features(dual_branch, frame)
    assert found is not None
    maps, seen = ego.features[None], ego.visible[None]
    levels = dual_branch.codec.quantise(dual_branch.codec.encode(maps, seen), noisy=False)
    wanted = dual_branch.codec.decode(levels, levels.low_valid.float(), levels.high_valid.float())
    assert torch.equal(found.exact[0] > 0, seen[0])
    assert torch.allclose(found.features, wanted.features, atol=1e-5)
    assert torch.allclose(found.visible, wanted.visible, atol=1e-5)


@pytest.mark.parametrize("budget", [120, 200, 500, 1000, 3000, 10_000, 200_000])
def test_the_budget_is_kept_and_used(dual_branch: CollaborativeModel, ego: EgoMaps, budget: int) -> None:
    chunks = sent(dual_branch, ego, budget)
    size, whole = sum(map(len, chunks)), sum(map(len, sent(dual_branch, ego, None)))
    assert size <= budget
    assert size >= min(0.9 * budget - 25, 0.97 * whole - 100)


def test_boxes_whose_place_came_in_full_are_not_handed_on(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    """What one platform saw alone adds nothing to a map that was fused from its cells."""
    empty, nowhere = torch.zeros_like(ego.features), torch.zeros(ego.grid.shape, dtype=torch.bool)

    def handed_on(budget: int | None) -> tuple[BoxList, BoxList]:
        frame = decode_frame(sent(dual_branch, ego, budget), dual_branch.tables or ())
        came = decode_received(dual_branch, empty, nowhere, ego.grid, [frame], ego.time)
        assert frame.boxes is not None and came.inputs.boxes.any(), "all are drawn, whatever else came"
        return frame.boxes, came.boxes[0]

    told, kept = handed_on(300)
    assert len(kept) == len(told) > 10, "no cells, so all of them"
    assert kept.scores.tolist() == told.scores.tolist()
    told, kept = handed_on(None)
    before = told.scores[[np.flatnonzero((told.centres == centre).all(1))[0] for centre in kept.centres]]
    assert kept.scores == pytest.approx(before * len(kept) / len(told)), "the fewer are left, the less they count"
    shares = []
    for centre, size, yaw in zip(kept.centres, kept.sizes, kept.yaws, strict=True):
        owner = rasterise(Boxes(centre[None], size[None], yaw[None]).footprints(), np.array([1]), ego.grid)
        shares.append(ego.visible.numpy()[owner > 0].mean() if owner.any() else 0.0)
    assert 0 < len(kept) < len(told)
    assert max(shares) < 0.85, "each of those kept lies where the sender does not see"


def test_the_most_salient_cells_are_those_with_most_energy(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    maps, seen = ego.features[None], ego.visible[None]
    strategy = DualBranch(maps.shape[1], dual_branch.strategy.box_channels)
    nowhere = torch.zeros(1, *ego.grid.shape)
    useful = strategy.saliency_map(maps, seen, nowhere, nowhere)
    assert (maps.square().mean(1).flatten()[useful.flatten().argsort()].diff() >= 0).all()
    certain = strategy.saliency_map(maps, seen, nowhere, nowhere + 0.5)
    assert torch.allclose(certain - useful, torch.ones(()))


def test_cells_of_ego_boxes_travel_first(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    def covered(boxes: BoxList) -> float:
        frame = build_message(dual_branch, replace(ego, boxes=boxes), 1000)
        cells = decode_frame(encode_message(frame, tables_of(dual_branch), 1000), dual_branch.tables or ()).high
        assert cells is not None
        footprint = rasterize_boxes(ego.boxes, ego.grid, 2)[0].numpy().ravel() > 0.5
        return float(footprint[cells.indices].mean())

    assert covered(ego.boxes) > 1.2 * covered(replace(ego.boxes, scores=0 * ego.boxes.scores))


def test_a_model_stored_in_int8_says_the_same(
    dual_branch: CollaborativeModel, cache: FeatureCache, ego: EgoMaps, tmp_path: Path
) -> None:
    model = copy.deepcopy(dual_branch)
    round_weights(model, torch.int8)
    assert model.tables is None, "other cells need other tables"
    freeze_tables(model, cache)
    save_collaboration(tmp_path / "small.safetensors", model, "small", torch.int8)
    save_collaboration(tmp_path / "large.safetensors", model, "large")
    for name in ("small", "large"):
        found = load_collaboration(tmp_path / f"{name}.safetensors")
        assert sent(found, ego, 3000) == sent(model, ego, 3000)
        assert found.tables is not None and found.tables.model == model.tables.model
    small, large = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "large"))
    assert small < 0.5 * large


def test_boxes_come_first_and_features_get_their_part(
    dual_branch: CollaborativeModel, make: Make, ego: EgoMaps
) -> None:
    tiny = decode_frame(sent(dual_branch, ego, 200), dual_branch.tables or ())
    assert tiny.boxes is not None and len(tiny.boxes) >= 10
    assert tiny.boxes.scores == pytest.approx(ego.boxes.scores[: len(tiny.boxes)], abs=0.01)
    larger = decode_frame(sent(dual_branch, ego, 600), dual_branch.tables or ())
    assert larger.low is not None and larger.boxes is not None and len(larger.boxes) < 40
    boxes_only = decode_frame(sent(make("late_fusion"), ego, 300))
    assert boxes_only.low is None and boxes_only.high is None


@torch.inference_mode()
def test_without_messages_the_map_is_the_egos_to_the_last_bit(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    features, visible = ego.features, ego.visible
    alone = dual_branch.strategy.fuse(decode_received(dual_branch, features, visible, ego.grid, [], ego.time).inputs)
    silent = FrameContent(3, 1, ego.time, WireGrid.from_map(ego.grid))
    assert torch.equal(
        dual_branch.strategy.fuse(
            decode_received(dual_branch, features, visible, ego.grid, [silent, silent], ego.time).inputs
        ),
        alone,
    )
    perceived = dual_branch.perception.fusion(features[None, None], visible[None, None])
    assert torch.equal(alone, perceived), "whatever training for messages did"


@torch.inference_mode()
def test_a_lost_chunk_loses_its_cells_and_no_others(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    chunks = sent(dual_branch, ego, 6000, mtu=300)
    assert len(chunks) >= 4
    whole = decode_frame(chunks, dual_branch.tables or ())
    assert whole.high is not None
    for lost in range(len(chunks)):
        part = decode_frame([chunk for i, chunk in enumerate(chunks) if i != lost], dual_branch.tables or ())
        known = dict(zip(whole.high.indices.tolist(), whole.high.symbols.tolist(), strict=True))
        if part.high is not None:
            for index, symbols in zip(part.high.indices.tolist(), part.high.symbols.tolist(), strict=True):
                assert known[index] == symbols
        found = decode_features(dual_branch, part)
        assert found is not None and torch.isfinite(found.features).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_safe(dual_branch: CollaborativeModel, ego: EgoMaps, data: st.DataObject) -> None:
    chunk = bytearray(data.draw(st.sampled_from(sent(dual_branch, ego, 2500, mtu=300))))
    for _ in range(data.draw(st.integers(0, 4))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    receiver = Receiver([dual_branch.tables] if dual_branch.tables is not None else [])
    for message in (bytes(chunk), bytes(chunk[: data.draw(st.integers(0, len(chunk)))])):
        receiver.receive(message, ego.time)
    features, visible = ego.features, ego.visible
    frames = [received.frame for received in receiver.frames(ego.time)]
    with torch.inference_mode():
        assert torch.isfinite(
            dual_branch.strategy.fuse(
                decode_received(dual_branch, features, visible, ego.grid, frames, ego.time).inputs
            )
        ).all()


def test_another_model_is_heard_by_its_boxes_only(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    frame = decode_frame(sent(dual_branch, ego, 3000), dual_branch.tables or ())
    strange = replace(frame, fingerprint=frame.fingerprint ^ 1)
    assert decode_features(dual_branch, strange) is None
    told = decode_received(dual_branch, ego.features, ego.visible, ego.grid, [strange], ego.time).inputs
    assert not told.visible.any() and bool(told.boxes.any()) == bool(frame.boxes is not None and len(frame.boxes))


def test_a_request_draws_cells_to_what_is_asked_for(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    strategy = dual_branch.strategy
    assert isinstance(strategy, DualBranch)
    strategy.asked.data.fill_(50.0)
    west = np.zeros(ego.grid.shape, np.float32)
    west[:, : ego.grid.columns // 2] = 1
    frame = decode_frame(
        sent(dual_branch, replace(ego, boxes=ego.boxes.select(slice(0, 0))), 350, request=west),
        dual_branch.tables or (),
    )
    assert frame.high is not None
    column = frame.high.indices % ego.grid.columns
    assert (column < ego.grid.columns // 2).all()
    strategy.asked.data.fill_(0.5)


def test_requests_say_what_is_not_seen(ego: EgoMaps) -> None:
    visible = np.zeros(ego.grid.shape, bool)
    visible[:, :32] = True
    asking = FrameContent(1, 0, 0, WireGrid.from_map(ego.grid), request=make_request(visible, ego.grid))
    wanted = request_map([asking], ego.grid)
    assert not wanted[:, :32].any() and (wanted[:, 32:] == 1).all()
    assert not request_map([replace(asking, request=None)], ego.grid).any()


def test_features_without_tables_are_refused_by_name(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    tables, dual_branch.tables = dual_branch.tables, None
    try:
        with pytest.raises(ValueError, match="tables are not frozen"):
            sent(dual_branch, ego, 1000)
    finally:
        dual_branch.tables = tables


def test_a_grid_that_is_not_snapped_is_refused(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        sent(dual_branch, replace(ego, grid=replace(ego.grid, west=ego.grid.west + 3)), 1000)


def test_chunks_of_two_frames_are_refused(dual_branch: CollaborativeModel, ego: EgoMaps) -> None:
    with pytest.raises(RejectedError):
        decode_frame([*sent(dual_branch, ego, 500), *sent(dual_branch, ego, 500, sequence=3)], dual_branch.tables or ())


def test_boxes_move_with_their_velocities(ego: EgoMaps) -> None:
    later = extrapolate_boxes(ego.boxes, 0.5)
    assert ego.boxes.velocities is not None
    assert later.centres[:, :2] == pytest.approx(ego.boxes.centres[:, :2] + ego.boxes.velocities / 2)

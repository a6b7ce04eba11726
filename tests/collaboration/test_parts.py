"""The codec, what a budget holds, boxes, and what training is fed."""

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.collaboration.batches import CollaborationDataset, collate_batches
from skyweave.collaboration.box_fusion import add_instances, merge_received_boxes
from skyweave.collaboration.box_merging import merge_boxes
from skyweave.collaboration.boxes import RASTER_CHANNELS, extrapolate_boxes, rasterize_boxes
from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.collaboration.cell_selection import select_boxes, select_cells
from skyweave.collaboration.codec import DualBranchCodec
from skyweave.collaboration.config import CodecConfig, CollaborationLossConfig, ImpairmentConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.entropy import EntropyModel, build_entropy_tables, select_contexts
from skyweave.collaboration.impairments import RigidPoseError
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.module import CollaborationModule
from skyweave.collaboration.requests import coarse_request
from skyweave.core import atomic_write
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionOptimiserConfig
from skyweave.perception.prediction import ScenePrediction, forecast_trajectories
from skyweave.perception.results import Detections
from skyweave.recordings.recording import RecordedScene
from skyweave.wire import BoxList
from small_disk import failing_disk, fill, mounted_disk

Make = Callable[[str], CollaborativeModel]
GRID = MapGrid(-32, 32, 1.0, 64, 64)


def boxes(*places: tuple[float, float, float]) -> BoxList:
    """Cars at (east, north), with a certainty."""
    count = len(places)
    return BoxList(
        np.array([[x, y, 0.8] for x, y, _ in places]).reshape(count, 3), np.tile([[4.0, 2.0, 1.6]], (count, 1)),
        np.zeros(count), np.zeros(count, int), np.array([score for *_, score in places]), np.ones((count, 2)),
    )  # fmt: skip


def test_any_snapped_part_of_a_map_gives_the_same_numbers() -> None:
    codec = DualBranchCodec(8, CodecConfig(low=4, high=6)).eval()
    maps, seen = torch.randn(1, 8, 64, 64), torch.rand(1, 64, 64) > 0.3
    whole, part = codec.encode(maps, seen), codec.encode(maps[..., 16:48, 8:40], seen[:, 16:48, 8:40])
    assert whole.low is not None and part.low is not None
    assert torch.allclose(whole.high[..., 16:48, 8:40], part.high, atol=1e-5)
    assert torch.allclose(whole.low[..., 2:6, 1:5], part.low, atol=1e-5)


def test_rounding_is_that_of_the_wire() -> None:
    codec = DualBranchCodec(8, CodecConfig(low=0, high=6)).eval()
    levels = codec.encode(3 * torch.randn(1, 8, 16, 16), torch.ones(1, 16, 16, dtype=torch.bool))
    whole = codec.quantise(levels, noisy=False).high.detach()
    assert torch.equal(whole, whole.round())
    wire = codec.quantiser("high").quantise(levels.high.detach().permute(0, 2, 3, 1).numpy())
    assert (whole.permute(0, 2, 3, 1).numpy() == wire).all()


def test_noise_lets_gradients_through_to_the_features() -> None:
    codec = DualBranchCodec(8, CodecConfig(low=4, high=6))
    torch.nn.init.normal_(codec.from_low.weight)
    maps = torch.randn(1, 8, 16, 16, requires_grad=True)
    levels = codec.quantise(codec.encode(maps, torch.ones(1, 16, 16, dtype=torch.bool)), noisy=True)
    codec.decode(levels, torch.ones(1, 2, 2), torch.zeros(1, 16, 16)).features.square().sum().backward()
    assert maps.grad is not None and maps.grad.abs().sum() > 0
    assert codec.low_step.grad is not None and codec.low_step.grad.abs().sum() > 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), contexts=st.integers(1, 5), spread=st.floats(0.2, 12))
def test_frozen_tables_cost_what_the_numbers_hold(seed: int, contexts: int, spread: float) -> None:
    generator = np.random.default_rng(seed)
    strength = generator.choice([0.2, 1.0], (3000, 1)) * spread
    numbers = np.rint(generator.laplace(0, 1, (3000, 5)) * strength).astype(np.int64)
    model = EntropyModel(5, contexts)
    tables = build_entropy_tables([None, model], [np.zeros((0, 1)), numbers], (8, 1), 15, (1, 1, 0))
    of = select_contexts(tables, "high", numbers)
    chosen = np.zeros(3000, int) if of is None else of
    table_of = tables.high.tables[chosen]
    symbols, escaped = tables.symbols_of(numbers, table_of)
    bits = tables.costs[table_of, symbols].sum() / 64
    flat = [np.unique(column, return_counts=True)[1] / 3000 for column in numbers.T]
    entropy = sum(3000 * -(p * np.log2(p)).sum() for p in flat)
    assert bits <= 1.05 * entropy + 17 * escaped.sum() + 300
    lowest, highest = tables.limits("high")
    assert (lowest <= -2000).all() and (highest >= 2000).all()


def test_a_larger_budget_holds_all_that_a_smaller_one_does() -> None:
    generator = torch.Generator().manual_seed(0)
    useful, seen = torch.rand(1, 32, 32, generator=generator), torch.rand(1, 32, 32, generator=generator) > 0.3
    low_seen = torch.nn.functional.max_pool2d(seen.float()[:, None], 8)[:, 0] > 0
    before = None
    for room in (0.0, 20.0, 100.0, 400.0, 5000.0):
        sent = select_cells(useful, torch.full((1, 4, 4), 9.0), torch.full((1, 32, 32), 20.0), low_seen, seen,
                      torch.tensor([room]))  # fmt: skip
        assert float(sent.bytes) <= room
        assert not (sent.high > 0)[~seen].any()
        if before is not None:
            assert (sent.high >= before.high).all() and (sent.low >= before.low).all()
        before = sent
    assert before is not None and torch.equal(before.high > 0, seen)


def test_the_threshold_teaches_saliency() -> None:
    useful = torch.rand(1, 16, 16, requires_grad=True)
    seen = torch.ones(1, 16, 16, dtype=torch.bool)
    sent = select_cells(useful, None, torch.full((1, 16, 16), 20.0), torch.ones(1, 2, 2, dtype=torch.bool), seen,
                  torch.tensor([200.0]))  # fmt: skip
    (sent.high * torch.rand(1, 16, 16)).sum().backward()
    assert useful.grad is not None and useful.grad.abs().sum() > 0


def test_drawn_boxes_say_what_and_where() -> None:
    maps = rasterize_boxes(boxes((10.5, -4.5, 0.9), (-50, 0, 0.9)), GRID, 3)
    assert maps.shape == (RASTER_CHANNELS + 3, 64, 64)
    row, column = 36, 42
    assert maps[0, row, column] == pytest.approx(0.9) and maps[RASTER_CHANNELS, row, column] == pytest.approx(0.9)
    assert maps[3, row, column] == pytest.approx(0.1) and maps[5, row, column] == pytest.approx(np.log(4))
    assert 8 <= int((maps[0] > 0).sum()) <= 15
    assert not rasterize_boxes(None, GRID, 3).any() and not rasterize_boxes(boxes(), GRID, 3).any()


def test_uncertain_boxes_merge_as_far_apart_as_they_are_uncertain() -> None:
    def uncertain(places: BoxList, std: float) -> BoxList:
        return replace(places, covariances=np.tile(np.eye(2) * std**2, (len(places), 1, 1)))

    near, far = boxes((0, 0, 0.6)), boxes((6, 0, 0.6))
    assert len(merge_boxes(near, [far])) == 2
    merged = merge_boxes(uncertain(near, 1.0), [uncertain(far, 2.0)])
    assert len(merged) == 1 and merged.covariances is not None
    assert merged.centres[0, 0] == pytest.approx(6 / 5) and merged.covariances[0, 0, 0] == pytest.approx(4 / 5)
    assert len(merge_boxes(uncertain(near, 0.5), [uncertain(far, 0.5)])) == 2
    mixed = merge_boxes(uncertain(near, 2.0), [boxes((5, 0, 0.5))])  # one does not say how sure it is
    assert len(mixed) == 1 and mixed.centres[0, 0] > 4
    plain = merge_boxes(near, [boxes((0.8, 0, 0.6))])
    assert plain.covariances is None


def test_merging_joins_what_is_one_and_keeps_what_is_two() -> None:
    both = merge_boxes(boxes((0, 0, 0.6), (10, 0, 0.5)), [boxes((0.8, 0, 0.6), (20, 0, 0.4))])
    assert len(both) == 3
    first = both.centres[both.scores.argmax()]
    assert first[0] == pytest.approx(0.4) and both.scores.max() == pytest.approx(1 - 0.4 * 0.4)
    assert len(merge_boxes(boxes(), [])) == 0 and len(merge_boxes(boxes((1, 1, 0.5)), [boxes()])) == 1
    timid = merge_boxes(boxes((0, 0, 0.6)), [boxes((0.5, 0, 0.5))], raise_scores=False)
    assert len(timid) == 1 and timid.scores[0] == pytest.approx(0.6)


def test_boxes_beyond_the_map_are_kept_as_sure_as_they_were_told_where_that_is_asked_for(make: Make) -> None:
    alone = ScenePrediction({"detection": Detections.empty(None, 0)})
    told = boxes((10, 0, 0.5), (40, 0, 0.5))
    inside = merge_received_boxes(alone, [told], make("dual_branch"), {}, GRID, 0).detections
    assert inside is not None and inside.boxes.centres[:, 0].tolist() == [10] and inside.scores[0] < 0.5
    everywhere = merge_received_boxes(
        alone, [told, boxes((40.5, 0, 0.4))], make("dual_branch"), {}, GRID, 0, beyond_map=True
    ).detections
    assert everywhere is not None and len(everywhere.boxes) == 2
    far = int(everywhere.boxes.centres[:, 0].argmax())
    assert 40 < everywhere.boxes.centres[far, 0] < 40.5 and everywhere.scores[far] == pytest.approx(0.5)


@pytest.mark.parametrize("strategy", ["dual_branch", "late_fusion"])
def test_futures_of_told_boxes_are_read_where_the_map_shows_them(make: Make, strategy: str) -> None:
    model = make(strategy)
    config = model.perception.config
    maps = torch.randn(1, config.lift.channels, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = model.perception.perceive([maps] * config.history, torch.ones(1, config.history, dtype=torch.bool))
    scene = ScenePrediction({"detection": Detections.empty(None, 0)})
    told = boxes((10.2, -4.7, 0.5), (40, 0, 0.5))  # on the map, and beyond
    found = merge_received_boxes(scene, [told], model, outputs, GRID, 0, beyond_map=True)
    assert found.detections is not None and found.trajectories is not None and len(found.trajectories) == 2
    place = found.detections.boxes.centres[:, None, None, :2]
    straight = place + found.detections.velocities[:, None, None] * found.trajectories.times[:, None]
    read = forecast_trajectories(model.perception, outputs, 0, found.detections, GRID)
    assert np.abs(read.modes - straight).max() > 1e-3
    beyond = place[:, 0, 0, 0] > 32
    expected = np.where(beyond[:, None, None, None] | (strategy == "late_fusion"), straight, read.modes)
    assert found.trajectories.modes == pytest.approx(expected)
    unlikely = merge_received_boxes(scene, [boxes((10.2, -4.7, 0.12))], model, outputs, GRID, 0).trajectories
    assert unlikely is not None and len(unlikely) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 1), max_size=60), st.one_of(st.just(np.inf), st.floats(60, 20_000)), st.booleans())
def test_boxes_that_travel_are_the_most_certain_within_their_part(
    scores: list[float], budget: float, features: bool
) -> None:
    known = boxes(*((0, 0, score) for score in sorted(scores, reverse=True)))
    told = select_boxes(known, budget, features)
    assert told.scores.tolist() == known.scores[: len(told)].tolist()
    part = 0.6 * budget if features and budget >= 500 else budget
    assert len(told) == 0 or 54 + 11.5 * len(told) <= part
    assert not features or (told.scores >= 0.15).all()
    left = known.scores[len(told) :]
    full = 54 + 11.5 * (len(told) + 1) > part
    assert full or not len(left) or (features and left[0] < 0.15), "there was room for another"


def test_errors_of_pose_move_maps_and_boxes_alike() -> None:
    maps, seen = torch.zeros(1, 64, 64), torch.ones(64, 64, dtype=torch.bool)
    one = boxes((12.5, 8.5, 0.9))
    maps[0, 23, 44] = 1
    error = RigidPoseError((3.0, -2.0), np.pi / 2)
    moved_map, _ = error.apply_to_map(maps, seen, 1.0)
    there = error.apply_to_boxes(one, GRID).centres[0]
    row, column = np.argwhere(moved_map[0].numpy() > 0)[0]
    assert (column - 31.5, 31.5 - row) == pytest.approx((there[0], there[1]), abs=1.01)
    assert extrapolate_boxes(one, 2.0).centres[0, :2] == pytest.approx([14.5, 10.5])


def test_what_others_lack_is_asked_for() -> None:
    seen = np.ones((64, 64), bool)
    other = seen.copy()
    other[:32] = False
    wanted = coarse_request([seen, other])
    assert (wanted[:32] == 1).all() and not wanted[32:].any()


def test_moments_are_a_function_of_seed_and_number(samples: CachedDataset) -> None:
    one, other = (CollaborationDataset(samples, ImpairmentConfig(), True, seed=3, cells=24) for _ in range(2))
    for number in (0, 5, 11):
        a, b = one[number], other[number]
        assert a.ego.shape == (1, 2, 16, 24, 24) and a.peers.shape == (1, 2, 3, 16, 24, 24)
        for name, value in vars(a).items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, getattr(b, name)), name
    assert not torch.equal(one[0].budget, CollaborationDataset(samples, ImpairmentConfig(), True, seed=4)[0].budget)


def test_the_perfect_world_is_perfect(samples: CachedDataset) -> None:
    world = ImpairmentConfig((1e6, 1e6), 0, 0, 0, 0, 0, 0, 0, 0)
    moment = CollaborationDataset(samples, world, True)[2]
    assert torch.equal(moment.peers, moment.clean) and torch.equal(moment.peer_visible, moment.clean_visible)
    assert not moment.age.any() and not moment.packet_loss.any()


@pytest.mark.parametrize("strategy", ["dual_branch", "where2comm", "cerf"])
def test_a_step_teaches_codec_and_strategy_and_leaves_perception(
    make: Make, samples: CachedDataset, strategy: str
) -> None:
    model = make(strategy)
    before = {name: value.clone() for name, value in model.perception.state_dict().items()}
    module = CollaborationModule(model, PerceptionOptimiserConfig(steps=2), CollaborationLossConfig())
    moments = CollaborationDataset(samples, replace(ImpairmentConfig(), ego_only=0, dropped=0), model.sends_features)
    module.train()
    total, parts = module.loss(collate_batches([moments[1], moments[4]]))
    total.backward()
    model.eval()
    assert torch.isfinite(total) and parts
    learned = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert learned == ({"strategy", "codec"} if model.sends_features else {"strategy"})
    assert all(torch.equal(value, before[name]) for name, value in model.perception.state_dict().items())


def test_the_reader_learns_along_and_what_makes_cells_stays(make: Make, samples: CachedDataset) -> None:
    model = copy.deepcopy(make("dual_branch"))
    before = {name: value.clone() for name, value in model.perception.state_dict().items()}
    module = CollaborationModule(
        model, PerceptionOptimiserConfig(steps=2), CollaborationLossConfig(), reader_rate=0.1
    ).train()
    optimiser = module.configure_optimizers()["optimizer"]
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    trunk, codec = next(model.perception.trunk.parameters()), next(model.codec.parameters())
    assert rates[id(trunk)] == pytest.approx(0.1 * rates[id(codec)])
    moments = CollaborationDataset(samples, replace(ImpairmentConfig(), ego_only=0, dropped=0), model.sends_features)
    module.loss(collate_batches([moments[1], moments[4]]))[0].backward()
    optimiser.step()
    changed = {name for name, value in model.perception.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"memory", "trunk", "heads"}
    assert not any("running" in name for name in changed), "statistics stay those of perception's training"


def test_tasks_that_the_model_does_not_have_are_named(make: Make) -> None:
    with pytest.raises(ValueError, match="names 'weather'"):
        CollaborationModule(
            make("dual_branch"), PerceptionOptimiserConfig(), CollaborationLossConfig(active_tasks=("weather",))
        )


def test_no_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no cache of features"):
        FeatureCache(tmp_path)


def test_a_full_disk_leaves_the_cache_before_as_it_was(
    perception: PerceptionModel, scenes: list[RecordedScene], tmp_path: Path
) -> None:
    with mounted_disk(tmp_path / "disk", 4_000_000) as disk:
        folder = disk / "cache"
        frames = [("one", 0)]
        build_feature_cache(folder, perception, "before", scenes[:1], frames=frames)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        filler = fill(disk, leave=sum(map(len, before.values())) // 2)
        with pytest.raises(OSError, match=r"No space left on device: '.*features\.\w+\.npy'"):
            build_feature_cache(folder, perception, "after", scenes[:1], frames=frames)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        filler.unlink()
        assert build_feature_cache(folder, perception, "after", scenes[:1], frames=frames).model == "after"
        after = {path.name.split(".")[0] for path in folder.iterdir()}
        assert after == {"index", "features", "visible"} and len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("renamed", [0, 1, 2, 3])
def test_a_disk_that_goes_away_at_any_instant_leaves_a_whole_cache(
    perception: PerceptionModel, scenes: list[RecordedScene], tmp_path: Path, renamed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Between two renames there was none: 2 of 20 caches were lost so. A reader of the cache before got wrong maps."""
    move, moved = atomic_write._move, list[Path]()
    with failing_disk(tmp_path / "failing") as disk:
        folder, frames = disk.path / "cache", [("one", 0)]
        cache = build_feature_cache(folder, perception, "before", scenes[:1], frames=frames)
        key = next(iter(cache.entries))
        expected = cache[key].features
        os.sync()

        def move_or_lose(aside: Path, target: Path, durable: bool = True) -> None:
            if len(moved) == renamed:
                disk.detach()
            move(aside, target, durable)
            moved.append(target)

        monkeypatch.setattr(atomic_write, "_move", move_or_lose)
        if renamed < 3:
            with pytest.raises(OSError, match=str(disk.path)):
                build_feature_cache(folder, perception, "after", scenes[:1], frames=frames)
            disk.attach()
            assert FeatureCache(folder).model == "before"
            assert torch.equal(FeatureCache(folder)[key].features, expected)
        monkeypatch.setattr(atomic_write, "_move", move)
        assert build_feature_cache(folder, perception, "after", scenes[:1], frames=frames).model == "after"
        assert len([path for path in folder.iterdir() if path.name[0] != "."]) == 3, "nothing is left of others"
        with pytest.raises(FileNotFoundError):
            cache[key]


def test_a_disk_that_fails_under_the_cache_is_an_error(
    perception: PerceptionModel, scenes: list[RecordedScene], tmp_path: Path
) -> None:
    """Mapped into memory, it ended the process by a signal, with no word."""
    with failing_disk(tmp_path / "failing") as disk:
        folder, frames = disk.path / "cache", [("one", 0)]
        cache = build_feature_cache(folder, perception, "before", scenes[:1], frames=frames)
        before, key = {path.name: path.read_bytes() for path in folder.iterdir()}, next(iter(cache.entries))
        expected = cache[key].features
        os.sync()
        with pytest.raises(OSError, match=r"Input/output error: '.*features\.\w+\.npy"):
            build_feature_cache(
                folder, perception, "after", scenes[:1], frames=frames, progress=lambda done, total: disk.fail()
            )
        with pytest.raises(OSError, match="Input/output error"):
            cache[key]
        disk.repair()
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."} == before
        assert torch.equal(FeatureCache(folder)[key].features, expected)


def test_a_received_box_extends_the_instance_it_lies_on_or_is_a_new_one() -> None:
    from skyweave.perception.results import InstanceMap

    known = np.zeros((64, 64), int)
    known[31:33, 32:34] = 7  # the west half of a car at (2, 0)
    maps = add_instances([InstanceMap(GRID, known, {}, {})] * 2, boxes((2, 0, 0.9), (20, 0, 0.5), (-20, 0, 0.1)), 0.5)
    now, later = maps[0].identities, maps[1].identities
    assert set(np.unique(now)) == {0, 7, 9} and (now[31:33, 32:36] == 7).all()
    assert (now == 9).sum() >= 8 and (now[:, :20] == 0).all()
    assert (later == 9).any() and np.argwhere(later == 9)[:, 1].mean() > np.argwhere(now == 9)[:, 1].mean()

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.mapping.fusion import build_fusion
from skyweave.perception.batch import collate
from skyweave.perception.bev_encoder import TemporalFusion
from skyweave.perception.config import LiftConfig, PerceptionConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.evaluation import evaluate
from skyweave.perception.heads.base import HeadOutputs, MapContext, PerceptionHead
from skyweave.perception.heads.detection import DetectionHead
from skyweave.perception.heads.instances import InstanceHead
from skyweave.perception.heads.trajectories import TrajectoryHead
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionLossConfig, PerceptionModule, PerceptionOptimiserConfig, lift_loss
from skyweave.perception.prediction import decode_batch, predict
from skyweave.perception.results import Detections
from skyweave.perception.targets import gaussian_heatmap, rasterise
from skyweave.perception.weights import load_perception, save_perception

SMALL = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)


def decode_one(head: PerceptionHead, outputs: HeadOutputs, grid: MapGrid, ground: Ground) -> Detections:
    return head.decode({head.name: outputs}, MapContext([grid], [ground], [0], 0.9), {})[0]


def small_model(**changes: object) -> PerceptionModel:
    return PerceptionModel(toy.config(**changes), build_backbone(SMALL, [toy.RGB], seed=0))


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
def test_fusion_ignores_who_sees_nothing_and_the_order(kind: str) -> None:
    fusion = build_fusion(kind, 4)
    features, visible = torch.randn(2, 3, 4, 6, 6), torch.rand(2, 3, 6, 6) > 0.4
    fused = fusion(features, visible)
    order = [2, 0, 1]
    assert torch.allclose(fusion(features[:, order], visible[:, order]), fused, atol=1e-6)
    more = torch.cat([features, 9 * torch.randn(2, 1, 4, 6, 6)], 1)
    unseen = torch.cat([visible, torch.zeros(2, 1, 6, 6, dtype=torch.bool)], 1)
    assert torch.allclose(fusion(more, unseen), fused, atol=1e-6)
    assert torch.isfinite(fusion(features, torch.zeros_like(visible))).all()


def test_mean_fusion_is_the_mean_of_those_who_see() -> None:
    features = torch.tensor([1.0, 2, 6]).view(1, 3, 1, 1, 1)
    visible = torch.tensor([True, False, True]).view(1, 3, 1, 1)
    assert build_fusion("mean", 1)(features, visible).item() == 3.5
    assert build_fusion("max", 1)(features, visible).item() == 6
    assert build_fusion("ego_only", 1)(features, visible).item() == 1


def test_a_missing_frame_is_the_same_whatever_it_holds() -> None:
    memory = TemporalFusion(3, 2, 4).eval()
    now, past = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8)
    missing = torch.tensor([[False, True]])
    assert torch.equal(memory([past, now], missing), memory([0 * past, now], missing))
    assert not torch.equal(memory([past, now], missing), memory([past, now], ~missing | missing))


def test_rasterise_covers_cell_centres_and_keeps_small_things() -> None:
    grid = MapGrid.covering((0, 0, 10, 10), 1.0)
    square = np.array([[2, 2], [6, 2], [6, 5], [2, 5.0]])
    tiny = np.array([[8.1, 8.1], [8.2, 8.1], [8.2, 8.2], [8.1, 8.2]])
    gone = np.full((4, 2), np.nan)
    outside = square + 100
    found = rasterise(np.stack([square, tiny, gone, outside]), np.array([5, 7, 8, 9]), grid)
    assert (found == 5).sum() == 12 and (found[5:8, 2:6] == 5).all()
    assert np.argwhere(found == 7).tolist() == [[1, 8]]
    assert set(np.unique(found)) == {0, 5, 7}


def test_gaussians_peak_at_one_in_their_cell() -> None:
    heat = gaussian_heatmap((8, 9), np.array([[2.7, 3.2], [7.9, 8.9]]), np.array([1.0, 2.0]))
    assert heat[2, 3] == 1 and heat[7, 8] == 1
    assert heat[3, 3] == pytest.approx(np.exp(-0.5))


def test_detections_decode_to_the_boxes_they_were_made_from() -> None:
    head, samples = DetectionHead(toy.config()), PerceptionDataset([toy.scene()], toy.config())
    objects = samples[1].objects.trainable()
    targets = head.targets([objects], torch.device("cpu"))
    box = torch.zeros(1, 12, *objects.grid.shape)
    sample, row, column = targets["cell"].T
    box[sample, :, row, column] = targets["box"]
    outputs = {"heatmap": torch.logit(targets["heatmap"].clamp(1e-4, 1 - 1e-4)), "box": box}
    found = decode_one(head, outputs, objects.grid, objects.ground)
    assert len(found.scores) == len(objects.boxes) >= 6
    order = np.argsort(found.boxes.centres[:, 1])
    expected = np.argsort(objects.boxes.centres[:, 1])
    assert found.boxes.centres[order] == pytest.approx(objects.boxes.centres[expected], abs=1e-4)
    assert found.boxes.sizes[order] == pytest.approx(objects.boxes.sizes[expected], rel=1e-4)
    assert found.boxes.yaws[order] == pytest.approx(objects.boxes.yaws[expected], abs=1e-5)
    assert found.velocities[order] == pytest.approx(objects.velocities[expected], abs=1e-5)
    losses = head.loss({"detection": outputs}, targets)
    assert float(losses["box"]) < 1e-5


@pytest.mark.parametrize("relief", [0.0, 50.0])
def test_heights_are_above_the_ground(relief: float) -> None:
    head, objects = DetectionHead(toy.config()), PerceptionDataset([toy.scene()], toy.config())[1].objects.trainable()
    around = MapGrid(objects.grid.west - 20, objects.grid.north + 20, objects.grid.resolution, 300, 300)
    heights = 515 + np.linspace(0, relief, 300)[:, None] * np.ones(300)
    ground = ElevationModel(heights, around) if relief else GroundPlane(515.0)
    boxes = objects.boxes
    centres = np.column_stack([boxes.centres[:, :2], ground.height(boxes.centres) + 0.8])
    lifted = replace(objects, ground=ground, boxes=Boxes(centres, boxes.sizes, boxes.yaws))
    targets = head.targets([lifted], torch.device("cpu"))
    assert targets["box"][:, 2].numpy() == pytest.approx(0.8, abs=1e-4)
    box = torch.zeros(1, 12, *objects.grid.shape)
    sample, row, column = targets["cell"].T
    box[sample, :, row, column] = targets["box"]
    outputs = {"heatmap": torch.logit(targets["heatmap"].clamp(1e-4, 1 - 1e-4)), "box": box}
    found = decode_one(head, outputs, objects.grid, ground).boxes.centres
    assert len(found) >= 6 and found[:, 2] == pytest.approx(ground.height(found) + 0.8, abs=1e-3)


def test_instances_keep_their_identity_over_the_steps() -> None:
    config = toy.config()
    head, sample = InstanceHead(config), PerceptionDataset([toy.scene()], config)[1]
    targets = head.targets([sample.objects], torch.device("cpu"))
    outputs = {
        "segmentation": torch.where(targets["identity"] > 0, 5.0, -5.0),
        "centre": torch.logit(targets["centre"].clamp(1e-4, 1 - 1e-4)),
        "flow": targets["flow"].nan_to_num(),
    }
    found, expected = head.decode_identities(outputs)[0], targets["identity"][0].numpy()
    assert (found > 0).sum() == (expected > 0).sum()
    for identity in np.unique(expected[expected > 0]):
        where = [np.unique(found[step][expected[step] == identity]) for step in range(head.steps)]
        assert len(np.unique(np.concatenate(where))) == 1, f"object {identity} changed its identity: {where}"
    assert float(head.loss({"instances": outputs}, targets)["flow"]) < 1e-6


def test_one_vehicle_has_one_centre_and_less_sure_cells_count_later() -> None:
    head = InstanceHead(toy.config())
    shape = (head.steps, 16, 16)
    heat = torch.full(shape[1:], 0.01)
    heat[5, 5], heat[6, 6], heat[12, 12] = 0.9, 0.8, 0.15  # the second is part of the first, the third too weak
    cells = torch.full(shape, 0.01)
    cells[0, 4:8, 4:8], cells[0, 4, 4] = 0.41, 0.35
    cells[1:, 4:8, 4:8] = 0.37  # above what the next step asks, 0.4 - 0.1 / (steps - 1), not above the first's
    flow = torch.zeros(1, head.steps, 2, *shape[1:])
    found = head.decode_identities({"segmentation": cells.logit()[None], "centre": heat.logit()[None], "flow": flow})[0]
    assert set(np.unique(found)) == {0, 1}
    assert found[0, 4, 4] == 0 and found[0, 4:8, 4:8].sum() == 15
    assert head.steps > 2 and found[-1].sum() == 16


def test_trajectories_start_at_constant_velocity() -> None:
    config = toy.config()
    head, sample = TrajectoryHead(config).eval(), PerceptionDataset([toy.scene()], config)[1]
    torch.nn.init.zeros_(head.predict[-1].weight)
    torch.nn.init.zeros_(head.predict[-1].bias)
    outputs = head(torch.randn(1, 16, *sample.grid.shape))
    objects = sample.objects.trainable()
    targets = head.targets([sample.objects], torch.device("cpu"))
    box = torch.zeros(1, 12, *sample.grid.shape)
    cells = targets["cell"].long()
    box[cells[:, 0], -2:, cells[:, 1], cells[:, 2]] = torch.from_numpy(objects.velocities).float()
    losses = head.loss({"trajectories": outputs, "detection": {"box": box}}, targets)
    assert float(losses["path"].detach()) < 1e-8
    names = tuple(config.categories[label] for label in objects.labels)
    boxes = Detections(objects.boxes, objects.velocities, names, np.ones(len(names)))
    forecast = head.forecast(outputs, 0, boxes, sample.grid)
    assert forecast.modes.shape == (len(objects.labels), head.modes, config.horizon, 2)
    assert forecast.modes[:, 0] == pytest.approx(objects.future, abs=1e-4)
    assert forecast.probabilities.sum(1) == pytest.approx(1.0)


def test_trajectories_of_a_batch_are_those_of_its_samples() -> None:
    config = toy.config()
    head, samples = TrajectoryHead(config).eval(), PerceptionDataset([toy.scene()], config)
    maps = torch.randn(2, 16, 32, 32)
    objects = [samples[1].objects, samples[2].objects]
    targets = head.targets(objects, torch.device("cpu"))
    shuffled = torch.randperm(len(targets["cell"]))
    shared = head(maps)["map"]
    speed = torch.ones(len(shuffled), 2)
    both, _ = head.predict_at(shared, targets["cell"], speed, targets["yaw"], targets["label"])
    mixed, _ = head.predict_at(
        shared, targets["cell"][shuffled], speed, targets["yaw"][shuffled], targets["label"][shuffled]
    )
    assert torch.allclose(mixed, both[shuffled], atol=1e-6)


def test_a_platform_that_is_absent_changes_nothing() -> None:
    model = small_model().eval()
    scene = toy.scene(2)
    with torch.inference_mode():
        four = model.observe(collate([PerceptionDataset([scene], toy.config())[1]]).frames[-1])
        one = model.observe(collate([PerceptionDataset([scene], toy.config(), platforms=1)[1]]).frames[-1])
        alone = four.drop_platforms(torch.tensor([[False, True, True, True]]))
        assert torch.allclose(model.fuse(alone), model.fuse(one), atol=1e-5)
        assert not torch.allclose(model.fuse(four), model.fuse(one), atol=1e-3)


def test_images_without_any_platform_give_an_empty_map() -> None:
    model = small_model().eval()
    views = collate([PerceptionDataset([toy.scene(2)], toy.config())[0]]).frames[0]  # before the first frame
    assert not views.images
    maps = model.observe(views)
    assert not maps.visible.any() and not maps.features.any()


@pytest.mark.slow
def test_training_learns_where_the_cars_are() -> None:
    torch.manual_seed(0)
    model = small_model()
    samples = PerceptionDataset([toy.scene()], toy.config())
    module = PerceptionModule(model, PerceptionOptimiserConfig(), PerceptionLossConfig())
    batch = collate([samples[1], samples[3]])
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    first = {}
    for _ in range(60):
        total, parts = module.loss(batch)
        first = first or {name: float(value.detach()) for name, value in parts.items()}
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    for name in ("detection/heatmap", "detection/box", "instances/segmentation", "trajectories/path"):
        assert float(parts[name].detach()) < 0.5 * first[name], name
    model.eval()
    with torch.inference_mode():
        outputs = model(batch.frames, torch.from_numpy(batch.present))
    scenes = decode_batch(model, outputs, batch, min_score=0.3)
    centres = batch.objects[0].boxes.centres[:, :2]
    near = np.linalg.norm(scenes[0].detections.boxes.centres[:, None, :2] - centres, axis=-1).min(0)
    assert (near < 2).mean() > 0.7


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    model = small_model().eval()
    card = save_perception(tmp_path / "model.safetensors", model, "toy", metrics={"mAP": 0.5})
    again = load_perception(tmp_path / "model.safetensors")
    read = again.card
    assert read.parts["perception_fingerprint"] == card.parts["perception_fingerprint"]
    assert again.config == model.config
    batch = collate([PerceptionDataset([toy.scene(2)], toy.config())[1]])
    with torch.inference_mode():
        a, b = model(batch.frames)["detection"]["box"], again(batch.frames)["detection"]["box"]
    assert torch.equal(a, b)


def test_backbone_weights_are_no_perception_model() -> None:
    with pytest.raises(ValueError, match="no perception model"):
        load_perception("tiny")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": 5}, "stride 5 must be"),
        ({"heads": {}}, "at least one head"),
        ({"heads": {"occupancie": {}}}, "no perception head 'occupancie'"),
        ({"heads": {"trajectories": {"mode": 2}}}, "heads.trajectories: unknown key 'mode'"),
        ({"fusion": "sum"}, "no fusion 'sum'"),
        ({"history": 0}, "at least 1 frame"),
        ({"map": toy.MapConfig(33.0, 1.0)}, "multiple of 4"),
    ],
)
def test_impossible_configurations_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PerceptionConfig(), **changes)  # type: ignore[arg-type]


def test_trajectories_of_true_boxes_need_no_detector() -> None:
    config = toy.config(heads={"trajectories": {}})
    model = PerceptionModel(config, build_backbone(SMALL, [toy.RGB], seed=0)).eval()
    samples = PerceptionDataset([toy.scene()], config)
    scene = predict(model, collate([samples[1]]), true_boxes=True)[0]
    assert scene.trajectories is not None and len(scene.trajectories) == 7
    values = evaluate(model, samples, predictor=partial(predict, true_boxes=True)).values
    assert values["trajectory_recall"] == 1 and values["constant_velocity_ADE"] > 0.5  # they move, it says they stand
    assert evaluate(model, samples).values == {}


def test_instance_maps_show_the_classes_that_they_are_asked_for() -> None:
    config = toy.config(heads={"instances": {"categories": ["truck"]}})
    sample = PerceptionDataset([toy.scene()], config)[1]
    targets = InstanceHead(config).targets([sample.objects], torch.device("cpu"))
    truck = sample.objects.identities[sample.objects.labels == 1]
    assert set(np.unique(targets["identity"])) == {0, *truck}
    with pytest.raises(ValueError, match=r"heads\.instances: categories names bus, which is not among car, truck"):
        toy.config(heads={"instances": {"categories": ["bus"]}})


def test_the_lift_learns_where_depths_are_known() -> None:
    """All that is seen is ground, so the lowest bin is right everywhere."""
    model = small_model()
    batch = collate([PerceptionDataset([toy.scene()], toy.config(), depth=True)[1]])
    views = batch.frames[-1]
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(50):
        maps = model.observe(views)
        loss = lift_loss(model.lift.bins, views, maps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3
    assert (model.observe(views).depth[0].argmax(1) == 0).float().mean() > 0.99
    blind = collate([PerceptionDataset([toy.scene()], toy.config())[1]]).frames[-1]
    assert float(lift_loss(model.lift.bins, blind, model.observe(blind)).detach()) == 0


def test_a_lift_that_knows_directions_is_another_function_of_the_place_in_the_picture() -> None:
    config = toy.config(lift=LiftConfig(options={"ceiling": 4.0, "count": 3}, channels=16, rays=True))
    model = PerceptionModel(config, build_backbone(SMALL, [toy.RGB], seed=0)).eval()
    batch = collate([PerceptionDataset([toy.scene()], config)[1]])
    before = model.observe(batch.frames[-1]).features
    with torch.no_grad():
        model.lift.head.weight[:, -1] += 1  # the ray's y
    assert not torch.allclose(model.observe(batch.frames[-1]).features, before)


def test_a_share_of_a_tasks_gradient_reaches_what_tasks_share() -> None:
    model = small_model().eval()
    config = model.config
    fused = [torch.randn(1, config.lift.channels, config.map.cells, config.map.cells) for _ in range(config.history)]

    def gradients(share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        model.zero_grad()
        outputs = model.perceive(fused, gradient_scale={"detection": share})
        found = sum(value.square().sum() for value in outputs["detection"].values())
        found.backward()
        trunk = next(iter(model.trunk.parameters())).grad
        head = next(iter(model.heads["detection"].parameters())).grad
        assert trunk is not None and head is not None
        return found.detach(), trunk.clone(), head.clone()

    (one, trunk, head), (other, less, same) = gradients(1.0), gradients(0.25)
    assert torch.allclose(one, other, rtol=1e-5) and torch.allclose(head, same, rtol=1e-3, atol=1e-5)
    assert trunk.abs().max() > 0 and torch.allclose(less, 0.25 * trunk, rtol=1e-3, atol=1e-3 * float(trunk.abs().max()))
    assert not gradients(0.0)[1].any()
    for wrong in ({"boxes": 0.5}, {"detection": 1.5}):
        with pytest.raises(ValueError, match=r"losses\.gradient_scale"):
            PerceptionLossConfig(gradient_scale=wrong)

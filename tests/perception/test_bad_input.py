"""Recordings that lack what one expects: a result that says so, or an error that names it; never a NaN unnoticed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.batch import collate
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.evaluation import ego_only_dataset, evaluate
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionLossConfig, PerceptionModule, PerceptionOptimiserConfig
from skyweave.recordings.recording import Annotations, RecordedScene

SMALL = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)


def model() -> PerceptionModel:
    return PerceptionModel(toy.config(), build_backbone(SMALL, [toy.RGB], seed=0))


def without_objects(scene: RecordedScene) -> RecordedScene:
    frames = []
    for frame in scene.frames:
        assert frame.annotations is not None
        nobody = np.array([], int)
        frames.append(replace(frame, annotations=Annotations(frame.annotations.boxes.select(nobody), nobody, (), ())))
    return replace(scene, frames=frames)


def module(ego: PerceptionModel) -> PerceptionModule:
    return PerceptionModule(ego, PerceptionOptimiserConfig(), PerceptionLossConfig())


def test_a_recording_without_objects_trains_and_is_scored() -> None:
    ego, samples = model(), PerceptionDataset([without_objects(toy.scene())], toy.config(), AugmentationConfig())
    total, parts = module(ego).loss(collate([samples[1], samples[2]]))
    total.backward()
    assert torch.isfinite(total) and all(torch.isfinite(value) for value in parts.values())
    scores = evaluate(ego, PerceptionDataset(samples.scenes, toy.config()))
    assert "no object of the model's categories was seen on the map" in scores.notes
    assert "mAP" not in scores.to_dict()


def test_one_platform_alone_is_enough() -> None:
    ego, samples = model(), PerceptionDataset([toy.scene(platforms=1)], toy.config())
    total, _ = module(ego).loss(collate([samples[1]]))
    assert torch.isfinite(total)
    together, lonely = evaluate(ego, samples), evaluate(ego, ego_only_dataset(samples))
    assert together.values["mAP"] == lonely.values["mAP"]


def test_missing_pictures_and_frames() -> None:
    scene = toy.scene()
    frames = [f for number, f in enumerate(scene.frames) if number != 2]
    frames[3] = replace(frames[3], captures=dict(list(frames[3].captures.items())[:2]))
    samples = PerceptionDataset([replace(scene, frames=frames)], toy.config())
    assert not samples[2].frames[0]  # the frame before is missing
    ego = model()
    total, _ = module(ego).loss(collate([samples[2], samples[3]]))
    assert torch.isfinite(total)
    assert evaluate(ego, samples).samples == 5


def test_unknown_classes_are_left_out_and_a_class_that_is_not_there_is_noted() -> None:
    samples = PerceptionDataset([toy.scene()], toy.config(categories=("car", "tram")))
    ego = PerceptionModel(toy.config(categories=("car", "tram")), build_backbone(SMALL, [toy.RGB], seed=0))
    scores = evaluate(ego, samples)
    assert "AP/car" in scores.values and "AP/tram" not in scores.values
    assert np.isfinite(scores.values["mAP"])


def test_a_map_of_another_resolution_is_refused() -> None:
    sample = PerceptionDataset([toy.scene()], toy.config())[1]
    views = collate([sample]).frames[-1]
    finer = MapGrid.around(0, 0, 32, 0.5)
    with pytest.raises(ValueError, match=r"64 x 64 cells of 0.5 m: this model was trained on cells of 1.0 m"):
        model().observe(replace(views, grids=(finer,)))

"""A fusion strategy from a package of its own: one file, which is trained, stored, coded, sent, fused and scored."""

from pathlib import Path

import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration import (
    STRATEGIES,
    CachedDataset,
    CodecConfig,
    CollaborationConfig,
    CollaborativeModel,
    EvaluationConditions,
    build_feature_cache,
    evaluate_collaboration,
    load_collaborative_model,
)
from skyweave.collaboration.train import CollaborationTrainConfig, train_model
from skyweave.core.errors import UnknownNameError
from skyweave.fleet.perceivers import IntermediateFusionPerceiver
from skyweave.perception import PerceptionModel
from skyweave.perception.module import PerceptionOptimiserConfig
from skyweave.training.trainer import TrainerConfig

PACKAGE = '''
"""Fusion by a learned weight for each platform, the brightest cells first."""

import torch
from torch import nn

from skyweave.collaboration.strategies.base import Strategy, stack_platforms


class WeightedFusion(Strategy):
    """Weighted sum of all platforms."""

    sends_boxes = True
    merges_boxes = True

    def __init__(self, channels, box_channels):
        super().__init__(channels, box_channels)
        self.score = nn.Conv2d(channels, 1, 1)

    def saliency_map(self, features, visible, request, box_scores):
        return features.abs().amax(1) + box_scores

    def fuse(self, inputs):
        features, visible = stack_platforms(inputs)
        score = self.score(features.flatten(0, 1)).unflatten(0, features.shape[:2])[:, :, 0]
        weight = (score.exp() * visible).unsqueeze(2)
        return (features * weight).sum(1) / weight.sum(1).clamp(min=1e-3)
'''
ENTRY_POINTS = "[skyweave.strategies]\nweighted = acme_fusion:WeightedFusion\n"


def test_a_strategy_of_another_package_is_trained_sent_and_scored(install_package, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    install_package("acme_fusion", PACKAGE, ENTRY_POINTS)
    assert "weighted" in STRATEGIES.names()
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    perception = PerceptionModel(toy.config(), build_backbone(small, [toy.RGB], seed=0)).eval()
    scenes = [toy.scene(3, 3, "toy")]
    cache = build_feature_cache(tmp_path / "cache", perception, "toy", scenes)
    samples = CachedDataset(scenes, perception.config, cache)
    chosen = CollaborationConfig("weighted", CodecConfig(low=4, high=6))
    config = CollaborationTrainConfig(
        "acme", "", [], collaboration=chosen, optimiser=PerceptionOptimiserConfig(steps=1, batch=1, warmup=0), cells=32,
        trainer=TrainerConfig(precision="32-true"),
    )  # fmt: skip
    model = CollaborativeModel(perception, chosen)
    weights = train_model(tmp_path / "run", config, model, samples, cache, progress=False)
    trained = load_collaborative_model(weights, None)
    assert type(trained.strategy).__name__ == "WeightedFusion"
    assert torch.equal(trained.strategy.score.weight, model.strategy.score.weight)
    scores, bandwidth = evaluate_collaboration(trained, samples, EvaluationConditions(budget=800))
    assert 0 < bandwidth.mean <= 800 and "mAP" in scores.values
    assert IntermediateFusionPerceiver(trained).fingerprint


def test_without_the_package_the_name_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="no fusion strategy 'weighted'"):
        STRATEGIES["weighted"]

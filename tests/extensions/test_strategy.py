"""A fusion strategy from a package of its own: one file, which is trained, stored, coded, sent, fused and scored."""

from pathlib import Path

import pytest
import torch

import fabricated_scene as toy
from recipes import entry_points, recipe
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

PACKAGE = recipe("acme_fusion.py")
ENTRY_POINTS = entry_points("acme_fusion")


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

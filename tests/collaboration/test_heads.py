"""A new task is learned from what already travels; nothing of the exchange changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.collaboration.codec import DualBranchCodec
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.entropy_tables import codec_fingerprint, freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.train import CollaborationTrainConfig, add_head, train_head
from skyweave.collaboration.weights import load_collaboration
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionOptimiserConfig
from skyweave.recordings.recording import RecordedScene


def test_only_the_new_head_learns(scenes: list[RecordedScene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    config = toy.config().with_heads(("detection", "trajectories"))
    perception = PerceptionModel(config, build_backbone(small, [toy.RGB], seed=0)).eval()
    cache: FeatureCache = build_feature_cache(tmp_path / "cache", perception, "toy", scenes[:1])
    model = CollaborativeModel(perception, CollaborationConfig("dual_branch", CodecConfig(low=4, high=6))).eval()
    freeze_tables(model, cache)
    before = codec_fingerprint(model)
    settings = CollaborationTrainConfig("toy", "", [], optimiser=PerceptionOptimiserConfig(steps=2, batch=1), cells=32)
    samples = CachedDataset(scenes[:1], config, cache)
    quantise, noisy = DualBranchCodec.quantise, []
    monkeypatch.setattr(DualBranchCodec, "quantise", lambda *given: noisy.append(given[-1]) or quantise(*given))
    longer = load_collaboration(train_head(tmp_path / "run", settings, model, "instances", samples))
    card = longer.card
    assert noisy and not any(noisy), "it learns from what comes over the wire, not from quantisation noise"
    assert longer.perception.config.tasks == ("detection", "instances", "trajectories")
    assert card.training["head"] == "instances" and longer.tables is not None
    assert codec_fingerprint(longer) == before, "peers without the new head are still understood"
    new = longer.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, new[name]), name
    start = add_head(perception, "instances", seed=7).heads["instances"]
    settings = replace(settings, optimiser=PerceptionOptimiserConfig(steps=1, batch=1, learning_rate=0.0))
    path = train_head(tmp_path / "again", settings, model, "instances", samples, start)
    begun = load_collaboration(path).perception.heads["instances"]
    for (name, value), (_, other) in zip(start.named_parameters(), begun.named_parameters(), strict=True):
        assert torch.equal(value, other), f"{name} does not start where it should"


def test_a_head_that_is_there_is_named(make: Callable[[str], CollaborativeModel]) -> None:
    with pytest.raises(ValueError, match="task 'detection' must be one of"):
        add_head(make("dual_branch").perception, "detection")

"""A new task is learned from what already travels; nothing of the exchange changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.cache import Cache, fill
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.freeze import fingerprint_of, freeze
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.moments import CachedSamples
from skyweave.collaboration.train import TrainConfig, train_head, with_head
from skyweave.collaboration.weights import load_collaboration
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import OptimiserConfig
from skyweave.recording import RecordedScene


def test_only_the_new_head_learns(scenes: list[RecordedScene], tmp_path: Path) -> None:
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    config = replace(toy.config(), tasks=("detection", "trajectories"))
    perception = PerceptionModel(config, build_backbone(small, [toy.RGB], seed=0)).eval()
    cache: Cache = fill(tmp_path / "cache", perception, "toy", scenes[:1])
    model = CollaborativeModel(perception, CollaborationConfig("ours", CodecConfig(low=4, high=6))).eval()
    freeze(model, cache)
    before = fingerprint_of(model)
    settings = TrainConfig("toy", "", [], optimiser=OptimiserConfig(steps=2, batch=1), cells=32)
    samples = CachedSamples(scenes[:1], config, cache)
    longer, card = load_collaboration(train_head(tmp_path / "run", settings, model, "instances", samples))
    assert longer.perception.config.tasks == ("detection", "instances", "trajectories")
    assert card.training["head"] == "instances" and longer.tables is not None
    assert fingerprint_of(longer) == before, "peers without the new head are still understood"
    new = longer.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, new[name]), name
    untrained = with_head(perception, "instances").state_dict()
    changed = [name for name, value in untrained.items() if not torch.equal(value, new[f"perception.{name}"])]
    assert changed and all(name.startswith("heads.instances.") for name in changed)


def test_a_head_that_is_there_is_named(make: Callable[[str], CollaborativeModel]) -> None:
    with pytest.raises(ValueError, match="task 'detection' must be one of"):
        with_head(make("ours").perception, "detection")

"""A toy recording, observed once, and models with random weights around it."""

from collections.abc import Callable

import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.train import sample_cells
from skyweave.perception.model import PerceptionModel
from skyweave.recordings.recording import RecordedScene


@pytest.fixture(scope="session")
def perception() -> PerceptionModel:
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    return PerceptionModel(toy.config(), build_backbone(small, [toy.RGB], seed=0)).eval()


@pytest.fixture(scope="session")
def scenes() -> list[RecordedScene]:
    return [toy.scene(4, 4, "one"), toy.scene(4, 4, "other")]


@pytest.fixture(scope="session")
def cache(
    perception: PerceptionModel, scenes: list[RecordedScene], tmp_path_factory: pytest.TempPathFactory
) -> FeatureCache:
    return build_feature_cache(tmp_path_factory.mktemp("cache"), perception, "toy", scenes)


@pytest.fixture(scope="session")
def samples(perception: PerceptionModel, scenes: list[RecordedScene], cache: FeatureCache) -> CachedDataset:
    return CachedDataset(scenes, perception.config, cache)


@pytest.fixture(scope="session")
def make(perception: PerceptionModel, cache: FeatureCache) -> Callable[[str], CollaborativeModel]:
    """A model of a strategy, its tables frozen, made once; random weights, a codec that begins as training does."""
    made: dict[str, CollaborativeModel] = {}

    def model(strategy: str) -> CollaborativeModel:
        if strategy not in made:
            with torch.inference_mode(False):  # or a test that trains could not use what one that infers made
                made[strategy] = _make(perception, cache, strategy)
        return made[strategy]

    return model


def _make(perception: PerceptionModel, cache: FeatureCache, strategy: str) -> CollaborativeModel:
    config = CollaborationConfig(strategy, CodecConfig(low=4, high=6, contexts=3))
    model = CollaborativeModel(perception, config).eval()
    model.codec.start_from(sample_cells(cache))
    with torch.no_grad():
        for parameter in model.strategy.parameters():  # what starts at zero must not hide mistakes
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        if model.codec.config.low:
            model.codec.from_low.weight.normal_(0, 0.05)
    if model.sends_features:
        freeze_tables(model, cache)
    return model

"""Small weights: nothing of what they make is any good, but all of it runs."""

from pathlib import Path

import pytest

from skyweave.backbone import build_backbone, save_checkpoint
from skyweave.collaboration.cache import build_feature_cache
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.entropy_tables import freeze_tables
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.weights import save_collaboration
from skyweave.core.sensors import get_sensor
from skyweave.demo.perception import simulate_unseen_scenes
from skyweave.perception import (
    LiftConfig,
    MapConfig,
    PerceptionConfig,
    PerceptionModel,
    load_perception,
    save_perception,
)
from skyweave.pretraining import DecoderConfig, PixelDecoder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    backbone = build_backbone("tiny", seed=0, width=48, depth=1, heads=2)
    config = DecoderConfig(width=32, depth=1, heads=2)
    decoder = PixelDecoder(backbone.width, backbone.patch_size, config, "embedded").state_dict()
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    extra = {f"decoder.{key}": value for key, value in decoder.items()}
    save_checkpoint(path, backbone, "small", extra=extra, parts={"decoder": config.to_dict()})
    return path


@pytest.fixture(scope="session")
def perception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = PerceptionConfig(
        map=MapConfig(64.0, 2.0),
        lift=LiftConfig(options={"ceiling": 4.0, "count": 3}, channels=8),
        neck=8,
        trunk=(8, 8, 8),
    )
    backbone = build_backbone("tiny", [get_sensor("rgb")], seed=0, width=48, depth=1, heads=2)
    path = tmp_path_factory.mktemp("weights") / "perception.safetensors"
    save_perception(path, PerceptionModel(config, backbone), "small")
    return path


@pytest.fixture(scope="session")
def collaboration(perception: Path) -> Path:
    """The same with a codec, frozen on a few moments."""
    folder = perception.parent
    config = CollaborationConfig("dual_branch", CodecConfig(low=4, high=6, contexts=3))
    model = CollaborativeModel(load_perception(perception), config).eval()
    freeze_tables(model, build_feature_cache(folder / "cache", model.perception, "small", simulate_unseen_scenes(1, 2)))
    save_collaboration(folder / "collaboration.safetensors", model, "small")
    return folder / "collaboration.safetensors"

"""The shipped weights: they load, say what they are, and have learned something about real imagery."""

from pathlib import Path

import numpy as np
import pytest
import torch

import skyweave
from skyweave.backbone import Backbone, fingerprint, list_weights, load_backbone, read_checkpoint
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.collaboration.cache import build_feature_cache
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.evaluation import EvaluationConditions, evaluate_collaboration
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.weights import load_collaboration
from skyweave.core.sensors import get_sensor
from skyweave.data.dataset import load_dataset
from skyweave.demo.perception import simulate_unseen_scenes
from skyweave.perception import load_perception
from skyweave.perception.weights import fingerprint as perception_fingerprint
from skyweave.pretraining import load_autoencoder

DATA = Path(__file__).resolve().parents[1] / "configs" / "data" / "shared_samples.yaml"


def test_the_shipped_weights_are_what_their_card_says() -> None:
    assert "tiny" in list_weights()
    assert sum(path.stat().st_size for path in list_weights().values()) < 25e6
    model = skyweave.load("tiny")
    _, card = read_checkpoint("tiny")
    assert card.fingerprint == fingerprint(model)
    assert {"sentinel2-l2a", "sentinel1-rtc", "enmap", "naip", "rgb"} <= set(model.sensors)
    assert card.training["steps"] > 0
    assert card.licence


def test_the_shipped_perception_weights_are_what_their_card_says() -> None:
    model = load_perception("crossing")
    card = model.card
    assert card.parts["perception_fingerprint"] == perception_fingerprint(model, torch.int8)
    assert card.fingerprint == fingerprint(load_backbone("crossing"), torch.int8)
    assert model.config.categories == ("car", "truck", "bus", "bicycle", "pedestrian")
    assert card.training["steps"] > 1000 and card.metrics


def test_load_returns_what_the_card_says() -> None:
    assert set(skyweave.list_weights()) == {"crossing", "tiny"}
    assert isinstance(skyweave.load("tiny"), Backbone)
    assert isinstance(skyweave.load("crossing"), CollaborativeModel)
    with pytest.raises(FileNotFoundError, match=r"give a shipped name .crossing, tiny."):
        skyweave.load("large")


def test_a_kilobyte_of_the_shipped_codec_shows_what_others_see(tmp_path: Path) -> None:
    model = load_collaboration("crossing")
    card = model.card
    assert model.tables is not None and model.config.strategy == "dual_branch"
    scenes = simulate_unseen_scenes(1, 5)
    cache = build_feature_cache(tmp_path, model.perception, str(card.parts["perception_fingerprint"]), scenes)
    samples = CachedDataset(scenes, model.perception.config, cache)
    together, ledger = evaluate_collaboration(model, samples, EvaluationConditions(1000))
    alone, _ = evaluate_collaboration(model, samples, EvaluationConditions(1000, max_peers=0))
    assert 500 < ledger.mean <= 1000
    for metric, least in (("mAP", 0.1), ("IoU", 0.05), ("VPQ", 0.03)):
        assert together.values[metric] > alone.values[metric] + least, (metric, together.values, alone.values)


@pytest.mark.parametrize("name", ["gaofen2-pms", "landsat8-l2", "thermal", "sentinel1-grd"])
def test_other_sensors_are_read_too(name: str) -> None:
    sensor = get_sensor(name)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, len(sensor), 32, 32, generator=generator)
    pixels = torch.from_numpy(sensor.means)[:, None, None] + noise * torch.from_numpy(sensor.stds)[:, None, None]
    batch = SensorBatch(pixels, torch.ones_like(pixels, dtype=torch.bool), sensor, torch.full((2,), 10.0))
    features = skyweave.load("tiny")(batch)
    assert torch.isfinite(features.tokens).all()
    assert (features.pooled[0] - features.pooled[1]).abs().max() > 1e-3


@pytest.mark.realdata
@pytest.mark.parametrize("source", ["terramesh-s2-l2a", "terramesh-s1", "naip", "enmap", "neon"])
def test_hidden_patches_are_predicted_better_than_by_the_visible_mean(source: str, data_dir: Path) -> None:
    dataset = load_dataset(DATA, data_dir)
    (index,) = [entry for entry in dataset.sources if entry.name == source]
    model, _ = load_autoencoder("tiny")
    patch_size = 2 if source == "enmap" else 8
    errors = np.zeros(2)
    for number in index.indices[:4]:
        observation = dataset.observation(int(number))
        size = min(*observation.shape, 128)
        batch = stack_observations([observation.window(0, 0, size, size)])
        picture, hidden = model.reconstruct(batch, 0.75, seed=0, patch_size=patch_size)
        stds = torch.from_numpy(observation.sensor.stds)[:, None]
        truth, weight = batch.pixels[0][:, hidden[0]], batch.valid[0][:, hidden[0]]
        mean = batch.pixels[0][:, ~hidden[0]].mean(1, keepdim=True).expand_as(truth)
        for place, prediction in enumerate((picture[0][:, hidden[0]], mean)):
            errors[place] += float((((prediction - truth) / stds)[weight]).square().mean())
    assert errors[0] < errors[1], errors

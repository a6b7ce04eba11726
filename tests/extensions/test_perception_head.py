"""A perception head from a package of its own: one file, which is trained, decoded, scored, stored and exported."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from recipes import entry_points, recipe
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.errors import ConfigError
from skyweave.perception import (
    HEADS,
    PerceptionConfig,
    PerceptionDataset,
    PerceptionModel,
    collate,
    evaluate,
    load_perception,
    predict,
    save_perception,
    write_geojson,
    write_geoparquet,
)
from skyweave.perception.module import PerceptionLossConfig, PerceptionModule, PerceptionOptimiserConfig

PACKAGE = recipe("occupancy_head.py")


@pytest.fixture(autouse=True)
def occupancy(install_package: object) -> Iterator[None]:
    install_package("occupancy_head", PACKAGE, entry_points("occupancy_head"))  # type: ignore[operator]
    yield


def make_model(heads: dict[str, object]) -> PerceptionModel:
    backbone = build_backbone(BackboneConfig(width=32, depth=2, heads=2, patch_size=8), [toy.RGB], seed=0)
    return PerceptionModel(toy.config(heads=heads), backbone)


def test_a_head_is_trained_scored_stored_and_exported(tmp_path: Path) -> None:
    model = make_model({"occupancy": {"threshold": 0.3}, "detection": {}})
    dataset = PerceptionDataset([toy.scene()], model.config)
    losses = PerceptionLossConfig(weights={"occupancy/entropy": 2.0}, gradient_scale={"occupancy": 0.5})
    module = PerceptionModule(model, PerceptionOptimiserConfig(), losses)
    optimiser = torch.optim.Adam(module.parameters(), 3e-2)
    history = []
    for _ in range(3):
        total, parts = module.loss(collate([dataset[1], dataset[3]]))
        history.append(float(parts["occupancy/entropy"].detach()))
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert history[2] < history[1] < history[0] and set(module.log_variance) == {"occupancy", "detection"}

    scores = evaluate(model, dataset)
    assert 0 <= scores.values["occupancy_IoU"] <= 1 and "mAP" in scores.values
    assert "occupancy was scored" in scores.notes

    path = tmp_path / "occupancy.safetensors"
    card = save_perception(path, model, "occupancy")
    stored = card.parts["perception"]
    assert set(stored["tasks"]) == {"occupancy", "detection"} and stored["heads"] == {"occupancy": {"threshold": 0.3}}
    loaded = load_perception(path)
    assert loaded.config == model.config

    batch = collate([dataset[1]])
    scene, again = predict(model, batch)[0], predict(loaded, batch)[0]
    probability = scene.results["occupancy"].probability
    assert probability.shape == (2, 32, 32) and np.array_equal(probability, again.results["occupancy"].probability)
    assert scene.detections is not None and scene.instances is None

    write_geoparquet(tmp_path / "occupancy.parquet", scene.results["occupancy"])
    assert len(scene.exportable()) == 2
    with pytest.raises(ValueError, match="local frame"):
        write_geojson(tmp_path / "occupancy.json", scene.exportable())


def test_its_options_are_keys_of_the_configuration() -> None:
    assert "occupancy" in HEADS
    config = PerceptionConfig(heads={"occupancy": None})
    assert config.tasks == ("occupancy",) and config.heads["occupancy"].threshold == 0.5
    assert json.loads(json.dumps(asdict(config)))["heads"] == {"occupancy": {"threshold": 0.5}}
    assert config.with_heads(["occupancy", "detection"]).tasks == ("detection", "occupancy")
    with pytest.raises(ConfigError, match=r"heads\.occupancy: unknown key 'treshold'; did you mean 'threshold'"):
        PerceptionConfig(heads={"occupancy": {"treshold": 0.5}})
    with pytest.raises(ConfigError, match=r"heads\.occupancy: threshold 2\.0 must be between 0 and 1"):
        PerceptionConfig(heads={"occupancy": {"threshold": 2.0}})

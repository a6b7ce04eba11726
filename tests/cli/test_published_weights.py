"""Weights that others published go where ours go: `skyweave embed` and `skyweave probe` on an MAE encoder."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from skyweave.backbone.pretrained.vision_transformer import PublishedConfig
from skyweave.backbone.pretrained.vit import MAE
from skyweave.cli.main import main
from skyweave.core.sensors import get_sensor


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = MAE(PublishedConfig("mae", width=192, depth=2, heads=3, patch_size=16, side=14), get_sensor("rgb"))
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.1)
    path = tmp_path_factory.mktemp("published") / "mae_tiny.pth"
    torch.save({"model": model.state_dict()}, path)
    return path


def test_embed(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, output = tmp_path / "scene.tif", tmp_path / "features.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 96, 64), np.uint8)
    profile = {"driver": "GTiff", "height": 96, "width": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(scene, "w", transform=Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000), **profile) as target:
        target.write(pixels)
        target.descriptions = ("red", "green", "blue")
    arguments = ["--sensor", "rgb", "--unit", "uint8", "--weights", str(weights), "--tile", "64", "--overlap", "32"]
    assert main(["embed", str(scene), "-o", str(output), *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["channels"] == 192
    with rasterio.open(output) as source:
        assert (source.count, source.height, source.width) == (192, 6, 4) and source.read(1).std() > 0


def test_what_is_no_encoder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    (tmp_path / "scene.tif").write_bytes(b"")
    arguments = ["-o", str(tmp_path / "o.tif"), "--sensor", "rgb", "--unit", "uint8", "--weights", str(path)]
    assert main(["embed", str(tmp_path / "scene.tif"), *arguments]) == 2
    assert "none of Clay, DOFA, EfficientNet-Lite0, Galileo, MAE, Presto, Prithvi and SatMAE" in capsys.readouterr().err


def test_probe(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    profile = {"driver": "GTiff", "height": 32, "width": 32, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    for name, level in (("dark", 60), ("bright", 180)):
        for number in range(4):
            pixels = random.normal(level, 10, (3, 32, 32)).clip(0, 255).astype(np.uint8)
            path = tmp_path / f"{name}_{number}_image.tif"
            with rasterio.open(path, "w", transform=Affine(0.1, 0, 5e5, 0, -0.1, 5e6), **profile) as target:
                target.write(pixels)
    (tmp_path / "halves.yaml").write_text(
        'name: halves\ndata:\n  source: {sensor: rgb, files: "*_image.tif", bands: sensor, unit: uint8}\n'
        '  labels: {kind: pattern, pattern: "^(?P<label>[a-z]+)_", classes: [dark, bright]}\n'
        "  split: {kind: groups, folds: 2}\n"
        "patch_size: 16\nreadout: [stem, normed]\nseeds: 1\nrandom_filters: 8\n"
        "baselines: [random convolutions, random initialisation]\n"
    )
    arguments = ["--data", str(tmp_path), "--weights", str(weights), "--json"]
    assert main(["probe", str(tmp_path / "halves.yaml"), *arguments]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert {row["features"] for row in result["rows"]} == {"backbone", "random convolutions"}
    best = max(row["scores"]["accuracy"]["mean"] for row in result["rows"] if row["features"] == "backbone")
    assert best == 1.0 and len(result["fingerprint"]) == 16

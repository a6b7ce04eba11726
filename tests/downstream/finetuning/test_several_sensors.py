"""Several sensors of one place: each of its own resolution, on one map, any of them missing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml

from fabricated_labels import CLASSES, fabricated_sample, small_backbone, write_raster
from skyweave.backbone import save_checkpoint
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.batches import draw_kept
from skyweave.downstream.finetuning.config import HeadConfig, RecipeConfig
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.downstream.labels.further_sources import crop_to_ground

RGB, ELEVATION = get_sensor("rgb"), get_sensor("elevation")


def image_at(east: float, north: float, metres: float, side: int, crs: str = "EPSG:32633") -> Observation:
    """Elevation that rises by a metre a metre to the east."""
    ramp = east + (np.arange(side) + 0.5) * metres
    pixels = np.broadcast_to(ramp, (1, side, side)).astype(np.float32)
    geometry = GeoTransform(crs, (metres, 0, east, 0, -metres, north))
    return Observation.from_pixels(pixels, ELEVATION, metres, geometry=geometry, source=f"elevation of {metres} m")


def test_another_resolution_covers_the_same_ground() -> None:
    first = image_at(1000, 2000, 1, 12).window(2, 4, 6, 6)
    coarse = crop_to_ground(image_at(982, 2021, 3, 20), first)
    assert coarse.shape == (2, 2) and coarse.ground_sample_distance == 3 and coarse.valid.all()
    np.testing.assert_allclose(coarse.pixels[0], [[1005.5, 1008.5]] * 2, atol=1e-3)  # 1004 to 1010
    fine = crop_to_ground(image_at(1000, 2000, 0.5, 40), first)
    assert fine.shape == (12, 12)
    np.testing.assert_allclose(fine.pixels[0, 0], 1004.25 + 0.5 * np.arange(12), atol=1e-3)
    same = crop_to_ground(image_at(997, 2003, 1, 30), first)
    np.testing.assert_array_equal(same.pixels, first.pixels)
    beside = crop_to_ground(image_at(1007, 2000, 1, 12), first)
    assert beside.valid[0].any(0).tolist() == [False] * 3 + [True] * 3  # what it does not show is not there
    with pytest.raises(DataError, match="rio warp"):
        crop_to_ground(image_at(1000, 2000, 1, 12, "EPSG:32634"), first)


def batches(rng: np.random.Generator) -> list[SensorBatch]:
    """Two images of 16 pixels of 1 m, and elevation of 2 m over them."""
    pixels = rng.uniform(0, 255, (2, 3, 16, 16)).astype(np.float32)
    heights = rng.uniform(0, 900, (2, 1, 8, 8)).astype(np.float32)
    return [
        stack_observations([Observation.from_pixels(one, RGB, 1.0) for one in pixels]),
        stack_observations([Observation.from_pixels(one, ELEVATION, 2.0) for one in heights]),
    ]


def test_what_is_missing_is_ignored() -> None:
    task = make_task("segmentation", "squares", CLASSES["segmentation"])
    recipe = RecipeConfig(head=HeadConfig("map", channels=8), patch_size=4)
    backbone = small_backbone()
    backbone.add_band_kinds([ELEVATION])
    model = build_model(task, backbone, [RGB, ELEVATION], recipe, seed=0).eval()
    network = model.network
    assert isinstance(network, EncoderWithHead)
    torch.nn.init.normal_(network.head.output.weight)  # type: ignore[operator, union-attr, arg-type]
    both = batches(np.random.default_rng(0))
    answer = model(both)
    assert answer.shape == (2, 3, 16, 16)
    gone = replace(both[1], valid=torch.zeros_like(both[1].valid))
    other = replace(gone, pixels=gone.pixels + 50)
    without = network.head.leave_out(network.head_inputs(both), torch.tensor([[True, False]] * 2))
    torch.testing.assert_close(model([both[0], gone]), network.logits(without, (16, 16)))
    torch.testing.assert_close(model([both[0], gone]), model([both[0], other]))
    assert not torch.allclose(answer, model([both[0], gone]))
    only_elevation = model([replace(both[0], valid=torch.zeros_like(both[0].valid)), both[1]])
    assert torch.isfinite(only_elevation).all()
    stacked = build_model(task, backbone, [RGB, ELEVATION], replace(recipe, head=HeadConfig("linear")), seed=0)
    assert stacked(both).shape == (2, 3, 16, 16)
    with pytest.raises(ConfigError, match="needs every observation"):
        stacked.network.head.leave_out((), torch.ones(2, 2))  # type: ignore[operator, union-attr]


def test_one_sensor_always_stays() -> None:
    kept = draw_kept(4000, 3, 0.7, np.random.default_rng(0))
    assert kept.any(1).all()
    assert 0.3 < float(kept.float().mean()) < 0.5


def test_from_files_of_two_sensors_to_scores_without_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        sample = fabricated_sample("segmentation", number)
        write_raster(tmp_path / "images" / f"p{number}.tif", sample.observations[0].pixels.astype(np.uint8))
        write_raster(tmp_path / "masks" / f"p{number}.tif", np.asarray(sample.label, np.uint8)[None])
        if number:  # one place has no elevation
            heights = 100.0 * np.asarray(sample.label, np.float32)[None, ::2, ::2]
            path = write_raster(tmp_path / "heights" / f"p{number}.tif", heights)
            with rasterio.open(path, "r+") as target:
                target.transform = rasterio.Affine(0.2, 0, 4e5, 0, -0.2, 5e6)
    backbone = small_backbone()
    backbone.add_band_kinds([ELEVATION])
    save_checkpoint(tmp_path / "small.safetensors", backbone, "small")
    source = {"sensor": "rgb", "files": "images/*.tif", "bands": "sensor", "unit": "uint8", "nodata": None}
    further = {"sensor": "elevation", "files": "heights/{name}.tif", "unit": "metre", "bands": ["elevation"]}
    labels = {"kind": "mask", "files": "masks/{name}.tif", "classes": {0: "ground", 1: "red", 2: "green"}}
    content = {
        "name": "squares",
        "task": "segmentation",
        "data": {"source": source, "further": [further], "labels": labels},
        "weights": str(tmp_path / "small.safetensors"),
        "head": {"kind": "map", "channels": 8},
        "training": {"head_steps": 12, "batch": 4, "head_learning_rates": [0.01]},
        "patch_size": 4,
    }
    file = tmp_path / "squares.yaml"
    file.write_text(yaml.safe_dump(content))
    assert main(["finetune", str(file), "--data", str(tmp_path), "-o", str(tmp_path / "out"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["without"]) == {"rgb", "elevation"}
    changed = ["--set", "data.further=[{sensor: elevation, files: heights/p1.tif, unit: metre}]"]
    assert main(["finetune", str(file), "--data", str(tmp_path), "-o", str(tmp_path / "two"), *changed]) == 2
    assert "must hold {name}" in capsys.readouterr().err

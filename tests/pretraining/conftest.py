"""A tiny run: two sensors, procedural scenes in GeoTIFFs, a model of two blocks."""

from pathlib import Path

import pytest
import rasterio
import yaml
from affine import Affine

from fabricated_dataset import small, small_cache, small_root, small_yaml
from skyweave.core.sensors import get_sensor
from skyweave.data.synthetic import procedural_scene

__all__ = ["small", "small_cache", "small_root", "small_yaml"]

RUN = {
    "name": "test",
    "data": "data.yaml",
    "backbone": {"width": 32, "depth": 2, "heads": 2, "patch_size": 4, "mixes": 4},
    "objectives": {"pixels": {"decoder": {"width": 32, "depth": 1, "heads": 2, "mixes": 4}}},
    "masking": {"ratios": [0.75]},
    "views": {"default": {"patch_sizes": [2, 4], "zoom": [0.8, 1.2], "patches": 4}},
    "images_per_step": {"naip": 4, "sentinel1-rtc": 4},
    "optimiser": {"steps": 12, "learning_rate": 0.003, "warmup": 2},
    "trainer": {"checkpoint_every": 3, "log_every": 1, "precision": "32-true"},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYWEAVE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The configuration's file; the images are in the same folder."""
    units = {"naip": "uint8", "sentinel1-rtc": "db"}
    for name in units:
        for seed in range(2):
            scene = procedural_scene(get_sensor(name), seed, 48)
            bands, rows, columns = scene.pixels.shape
            profile = {"count": bands, "height": rows, "width": columns, "dtype": "float32", "crs": "EPSG:32633"}
            transform = Affine(scene.ground_sample_distance, 0, 5e5, 0, -scene.ground_sample_distance, 5e6)
            with rasterio.open(tmp_path / f"{name}_{seed}.tif", "w", "GTiff", transform=transform, **profile) as file:
                file.write(scene.pixels)
    sources = [
        {"name": name, "sensor": name, "files": f"{name}_*.tif", "bands": "sensor", "unit": unit}
        for name, unit in units.items()
    ]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"sources": sources}))
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(RUN))
    return file

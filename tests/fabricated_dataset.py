"""A small dataset on disk: three sensors, images of unequal sizes, one with nodata."""

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine


def write_raster(path, values, pixel, nodata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2],
        dtype=values.dtype, crs="EPSG:32633", transform=Affine(pixel, 0, 4e5, 0, -pixel, 58e5), nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(values)


@pytest.fixture(scope="session")
def small_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("imagery")
    random = np.random.default_rng(0)
    for number in range(5):
        values = random.integers(1, 250, (3, 50 + 10 * number, 64), dtype=np.uint8)
        write_raster(root / "rgb" / f"plot_{number}.tif", values, 0.1)
    for number in range(2):
        values = random.integers(300, 4000, (13, 40, 44 + number), dtype=np.uint16)
        values[:, :10, :10] = 0
        write_raster(root / "s2" / f"tile_{number}.tif", values, 10.0, nodata=0)
    for place in "ab":
        for band in ("VV", "VH"):
            write_raster(root / "s1" / f"{place}_{band}.tif", random.normal(-15, 3, (1, 33, 33)).astype("f4"), 10.0)
    write_raster(root / "s2_20m" / "six.tif", random.integers(300, 4000, (6, 48, 48), dtype=np.uint16), 20.0)
    return root


SOURCES = [
    {"name": "plots", "sensor": "rgb", "files": "rgb/*.tif", "bands": "sensor", "unit": "uint8",
     "overrides": [{"files": "*plot_4*", "split": "test"}]},
    {"name": "tiles", "sensor": "sentinel2-l1c", "files": "s2/*.tif", "bands": "sensor", "unit": "dn",
     "overrides": [{"files": "*tile_1*", "unit": "dn_offset1000"}]},
    {"name": "coarse", "sensor": "sentinel2-l1c", "files": "s2_20m/*.tif", "unit": "dn",
     "bands": ["B05", "B06", "B07", "B8A", "B11", "B12"]},
    {"name": "radar", "sensor": "sentinel1-grd", "files": "s1/*_{band}.tif", "bands": ["VH", "VV"], "unit": "db"},
]  # fmt: skip


@pytest.fixture(scope="session")
def small_yaml(tmp_path_factory):
    path = tmp_path_factory.mktemp("declared") / "dataset.yaml"
    path.write_text(yaml.safe_dump({"sources": SOURCES}))
    return path


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(small_root, small_yaml, small_cache):
    from skyweave.data.dataset import load_dataset

    return load_dataset(small_yaml, small_root, cache=small_cache)

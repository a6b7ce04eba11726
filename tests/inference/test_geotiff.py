"""GeoTIFFs are cloud-optimised, give back what was computed, and their overviews are means."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from fabricated_map import feature_map, finished_raster
from skyweave.core.errors import ConfigError
from skyweave.inference import get_writer, write_raster
from skyweave.inference.formats.overviews import Level, coarsen, majority, overview_levels


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_a_cog_that_its_validator_accepts(tmp_path: Path, storage: str) -> None:
    values, raster = feature_map(3, 301, 530)
    path = tmp_path / "map.tif"
    writer = get_writer(path, None, storage)
    write_raster(raster, path, writer, storage)
    assert cog_validate(path, strict=True, quiet=True) == (True, [], [])
    assert [file.name for file in tmp_path.iterdir()] == ["map.tif"]
    assert writer.quantisation is not None
    with rasterio.open(path) as file:
        assert file.overviews(1) == [2, 4] and file.compression.value == "ZSTD"
        assert file.crs == "EPSG:32633" and file.descriptions[2] == "feature 002"
        assert file.tags()["FINGERPRINT"] == "0123456789abcdef"
        stored = file.read().astype(np.float64)
        nodata = np.isnan(stored) if storage != "int8" else stored == file.nodata
        restored = stored * np.array(file.scales)[:, None, None] + np.array(file.offsets)[:, None, None]
        np.testing.assert_array_equal(nodata, np.isnan(values))
    difference = np.abs(restored - values)[~nodata].max()
    assert difference == pytest.approx(writer.quantisation.error.largest, rel=1e-3)
    assert difference <= {"float32": 0, "float16": 2e-3, "int8": 0.5 * 8 / 254}[storage]


def test_overviews_are_means_of_what_holds_data(tmp_path: Path) -> None:
    values, raster = feature_map(2, 257, 301)
    write_raster(raster, tmp_path / "map.tif", get_writer(tmp_path / "map.tif", None, "float32"), "float32")
    padded = np.pad(values, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    four = np.stack([padded[:, r::2, c::2] for r in (0, 1) for c in (0, 1)])
    counts = (~np.isnan(four)).sum(0)
    expected = np.where(counts > 0, np.nansum(four, 0) / np.maximum(counts, 1), np.nan)
    with rasterio.open(tmp_path / "map.tif", overview_level=0) as file:
        np.testing.assert_allclose(file.read(), expected, atol=1e-6)


def test_overviews_of_classes_are_the_commonest(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4, (1, 300, 300)).astype(np.uint8)
    values[0, :4, :4] = 255
    values[0, 4:6, 4:6] = [[7, 255], [7, 9]]
    raster = finished_raster(values, kind="classes", nodata=255, classes=("water", "forest", "field", "town"))
    write_raster(raster, tmp_path / "classes.tif", get_writer(tmp_path / "classes.tif", None, "uint8"), "uint8")
    with rasterio.open(tmp_path / "classes.tif", overview_level=0) as file:
        coarse = file.read(1)
    assert (coarse[:2, :2] == 255).all() and coarse[2, 2] == 7
    assert set(np.unique(coarse)) <= {0, 1, 2, 3, 7, 255}
    with rasterio.open(tmp_path / "classes.tif") as file:
        np.testing.assert_array_equal(file.read(), values)
        assert file.tags(1)["CLASS_1"] == "forest"


def test_levels_halve_until_they_are_small() -> None:
    assert overview_levels(256, 10) == []
    assert overview_levels(1, 1025) == [Level(1, 513), Level(1, 257), Level(1, 129)]
    values = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    blocks = list(coarsen(lambda r, c, h, w: values[:, r : r + h, c : c + w], Level(3, 3), 255, majority, 1))
    assert [(row, column, int(block[0, 0, 0])) for row, column, block in blocks] == [
        (0, 0, 0),
        (0, 1, 2),
        (1, 0, 6),
        (1, 1, 8),
    ]


def test_what_half_floats_cannot_hold_is_refused(tmp_path: Path) -> None:
    _, raster = feature_map(2, 9, 9, scale=1e5)
    for name in ("map.tif", "map.zarr", "map.parquet"):
        with pytest.raises(ConfigError, match="add --dtype float32"):
            write_raster(raster, tmp_path / name, get_writer(tmp_path / name, None, "float16"), "float16")
    assert not list(tmp_path.iterdir())


def test_bytes_of_half_floats_depend_on_the_values_alone(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom fabricated_map import feature_map\n"
        "from skyweave.inference import get_writer, write_raster\n"
        "_, raster = feature_map(2, 70, 301)\npath = Path(sys.argv[1])\n"
        "write_raster(raster, path, get_writer(path, None, 'float16'), 'float16')\n"
    )
    contents = []
    for number in (1, 2):
        path = tmp_path / f"{number}.tif"
        dirty = {"MALLOC_PERTURB_": str(77 * number), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run([sys.executable, "-c", code, str(path)], env={**os.environ, **dirty}, check=True)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1], "memory that was not set is in the file"

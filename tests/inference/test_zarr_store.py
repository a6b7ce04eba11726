"""Zarr stores are sharded, follow their conventions, and open in xarray with coordinates and reference system."""

from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401  # adds the accessor
import xarray
import zarr

from fabricated_map import feature_map, finished_raster
from skyweave.inference import get_writer, write_raster


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_xarray_gives_back_what_was_computed(tmp_path: Path, storage: str) -> None:
    values, raster = feature_map()
    path = tmp_path / "map.zarr"
    writer = get_writer(path, None, storage)
    write_raster(raster, path, writer, storage)
    with xarray.open_zarr(path) as dataset:
        assert dataset.embeddings.dims == ("time", "embedding", "y", "x")
        assert dataset.rio.crs == "EPSG:32633" and tuple(dataset.embeddings.rio.transform())[:6] == (
            80,
            0,
            370_000,
            0,
            -80,
            5_800_000,
        )
        assert float(dataset.x[0]) == 370_040 and float(dataset.y[-1]) == 5_800_000 - 49.5 * 80
        assert str(dataset.time.values[0]).startswith("2024-05-01T08:32:45")
        restored = dataset.embeddings[0].astype("float32")
        if storage == "int8":
            restored = restored * dataset.scales[0]
        restored = restored.transpose("embedding", "y", "x").values
    np.testing.assert_array_equal(np.isnan(restored), np.isnan(values))
    assert writer.quantisation is not None
    assert np.nanmax(np.abs(restored - values)) == pytest.approx(writer.quantisation.error.largest, rel=1e-3)
    assert writer.quantisation.error.smallest_cosine > 0.9999


def test_attributes_and_shards(tmp_path: Path) -> None:
    _, raster = feature_map(300, 90, 200)
    write_raster(raster, tmp_path / "map.zarr", get_writer(tmp_path / "map.zarr", None, "int8"), "int8")
    group = zarr.open_group(str(tmp_path / "map.zarr"), mode="r")
    attributes = dict(group.attrs)
    assert [entry["name"] for entry in attributes["zarr_conventions"]] == ["geoemb:", "spatial:", "proj:"]
    assert attributes["proj:code"] == "EPSG:32633" and attributes["spatial:shape"] == [90, 200]
    assert attributes["geoemb:type"] == "chip" and attributes["geoemb:chip_layout"]["stride"] == [8, 8]
    assert attributes["geoemb:quantization"]["scale"] == {"type": "array", "array_name": "scales", "nodata": "NaN"}
    assert attributes["geoemb:source_data"] == ["https://example.org/scene.tif"]
    array = group["embeddings"]
    assert array.chunks == (1, 300, 48, 48) and array.shards == (1, 300, 192, 192)
    assert len(list((tmp_path / "map.zarr" / "embeddings" / "c").rglob("*/*/*/*"))) == 2


def test_a_store_is_replaced_and_other_kinds_have_their_names(tmp_path: Path) -> None:
    path = tmp_path / "map.zarr"
    _, raster = feature_map(crs=None, time=None, patch_size=1)
    write_raster(raster, path, get_writer(path, None, "float32"), "float32")
    assert zarr.open_group(str(path), mode="r").attrs["geoemb:type"] == "pixel"
    values = np.array([[[0, 1, 255]]], np.uint8)
    classes = finished_raster(values, kind="classes", nodata=255, classes=("water", "dry land"))
    write_raster(classes, path, get_writer(path, None, "uint8"), "uint8")
    with xarray.open_zarr(path) as dataset:
        assert set(dataset.data_vars) == {"classes"} and dataset.classes.attrs["flag_meanings"] == "water dry_land"
        np.testing.assert_array_equal(dataset.classes.values[0], values)

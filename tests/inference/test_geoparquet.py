"""Tables of patches are valid GeoParquet in the order of a Hilbert curve, and geopandas reads them."""

import json
from pathlib import Path

import geopandas
import geoparquet_validator
import numpy as np
import pyarrow.parquet as parquet
import pytest
import shapely

from fabricated_map import feature_map, finished_raster
from skyweave.core.errors import ConfigError
from skyweave.inference import FinishedRaster, get_writer, write_raster
from skyweave.inference.formats.hilbert import hilbert_index


def write(raster: FinishedRaster, path: Path, storage: str = "float32") -> Path:
    write_raster(raster, path, get_writer(path, None, storage), storage)
    return path


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_geopandas_gives_back_what_was_computed(tmp_path: Path, storage: str) -> None:
    values, raster = feature_map(rows=70, columns=130)
    path = write(raster, tmp_path / "map.parquet", storage)
    assert geoparquet_validator.conformant(geoparquet_validator.check(str(path)))
    table = geopandas.read_parquet(path)
    assert table.crs == "OGC:CRS84" and len(table) == (~np.isnan(values[0])).sum()
    restored = np.stack(table.embedding).astype(np.float32)
    if storage == "int8":
        restored *= table["scale"].to_numpy()[:, None]
    exact = values[:, table.row, table.column].T
    np.testing.assert_allclose(restored, exact, atol={"float32": 0, "float16": 4e-3, "int8": 0.03}[storage])
    metric = table.to_crs("EPSG:32633").geometry
    np.testing.assert_allclose(metric.centroid.x, 370_000 + (table.column + 0.5) * 80, atol=0.01)
    np.testing.assert_allclose(metric.centroid.y, 5_800_000 - (table.row + 0.5) * 80, atol=0.01)
    np.testing.assert_allclose(metric.area, 6400, rtol=1e-4)
    assert (table.datetime == "2024-05-01T08:32:45+00:00").all()


def test_rows_follow_a_hilbert_curve_and_a_box_finds_a_place(tmp_path: Path) -> None:
    values, raster = feature_map(2, 64, 64)
    values[:] = np.nan_to_num(values)
    path = write(raster, tmp_path / "map.parquet")
    table = geopandas.read_parquet(path)
    steps = np.abs(np.diff(table.row)) + np.abs(np.diff(table.column))
    assert (steps == 1).all()
    bounds = tuple(table.geometry[1000].centroid.coords[0]) * 2
    assert 1 <= len(geopandas.read_parquet(path, bbox=bounds)) <= 4


def test_blocks_of_a_large_map_follow_the_curve_too(tmp_path: Path) -> None:
    _, raster = feature_map(1, 130, 200)
    table = geopandas.read_parquet(write(raster, tmp_path / "map.parquet"))
    along = hilbert_index(table.column.to_numpy(), table.row.to_numpy(), 8)
    assert (np.diff(along) > 0).all()


def test_the_asset_of_the_item_is_described_in_the_file(tmp_path: Path) -> None:
    _, raster = feature_map()
    metadata = parquet.read_metadata(write(raster, tmp_path / "map.parquet", "int8")).metadata
    fields = json.loads(metadata[b"emb"])
    assert fields["emb:dimensions"] == 6 and fields["data_type"] == "int8"
    assert fields["emb:quantization"]["method"] == "per_pixel_scale"
    assert fields["emb:chip_layout"] == {"layout_type": "regular_grid", "chip_size": [8, 8], "stride": [8, 8]}
    column = json.loads(metadata[b"geo"])["columns"]["geometry"]
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"] and column["geometry_types"] == ["Polygon"]


def test_patches_at_the_antimeridian_are_cut(tmp_path: Path) -> None:
    values, raster = feature_map(1, 8, 12, "EPSG:4326", (0.5, 0, 177.25, 0, -0.5, 10))
    path = write(raster, tmp_path / "map.parquet")
    assert geoparquet_validator.conformant(geoparquet_validator.check(str(path)))
    table = geopandas.read_parquet(path)
    assert set(table.geom_type) == {"Polygon", "MultiPolygon"} and table.geometry.is_valid.all()
    np.testing.assert_allclose(shapely.area(table.geometry.values), 0.25, rtol=1e-9)
    assert (table.geometry.bounds.maxx <= 180).all() and (table.geometry.bounds.minx >= -180).all()
    assert len(table) == (~np.isnan(values[0])).sum()


def test_a_map_without_reference_system_or_data(tmp_path: Path) -> None:
    values, raster = feature_map(1, 4, 4, crs=None, transform=(8, 0, 0, 0, 8, 0))
    table = geopandas.read_parquet(write(raster, tmp_path / "plain.parquet"))
    assert table.crs is None and table.total_bounds.tolist() == [0, 0, 32, 32] and len(table) == 16
    empty = finished_raster(np.full_like(values, np.nan))
    assert len(geopandas.read_parquet(write(empty, tmp_path / "empty.parquet"))) == 0


def test_only_features_are_rows(tmp_path: Path) -> None:
    raster = finished_raster(np.zeros((1, 4, 4), np.float32), kind="values")
    with pytest.raises(ConfigError, match="not values; choose -o"):
        write(raster, tmp_path / "values.parquet")

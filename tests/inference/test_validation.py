"""What follows the standards passes; each departure is named, with what mends it."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
import shapely
import zarr
from affine import Affine
from rasterio.enums import Resampling

from fabricated_map import feature_map
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.inference import get_writer, write_raster
from skyweave.inference.stac.catalog import add_to_catalog
from skyweave.inference.stac.item import Acquisition
from skyweave.inference.validation import validate_output

NAMES = ("map.tif", "map.zarr", "map.parquet")
MODEL = pystac.Item(
    "tiny", None, None, pystac.utils.str_to_datetime("2026-01-01T00:00:00Z"), {"mlm:name": "tiny"}
).to_dict(include_self_link=False) | {"stac_extensions": ["https://stac-extensions.github.io/mlm/v1.4.0/schema.json"]}


def catalogue(folder: Path, name: str = "map.tif", model: str = "tiny", **changes: Any) -> Path:
    """Write a map and a collection around it; return the collection's file."""
    _, raster = feature_map(8, 20, 30)
    writer = get_writer(folder / name, None, "int8")
    write_raster(raster, folder / name, writer, "int8")
    assert writer.quantisation is not None
    add_to_catalog(
        folder / "catalogue",
        folder / name,
        writer.media_type,
        raster.description,
        writer.quantisation,
        MODEL,
        Acquisition.parse("2024-05-01"),
        raster.runtime,
        3.6e3,
        **changes,
    )
    return folder / "catalogue" / "collection.json"


def problems(path: Path) -> str:
    return "\n".join(
        f"{finding.severity} {finding.field} {finding.problem}" for finding in validate_output(path).findings
    )


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_what_we_write_passes(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    collection = catalogue(tmp_path, name)
    assert main(["validate", str(tmp_path / name), str(collection), "--strict"]) == 0
    assert capsys.readouterr().out.count("follows it") == 2
    item = pystac.Collection.from_file(str(collection)).get_item("map")
    assert item is not None and Path(item.assets["embeddings"].get_absolute_href()) == tmp_path / name  # type: ignore[arg-type]
    energy = item.properties["emb:energy"]
    assert energy["inference_duration_s"] == 12.5 and energy["energy_kwh"] == pytest.approx(0.001)
    assert energy["avg_power_w"] == pytest.approx(288)
    assert item.properties["emb:quantization"]["quantized_dtype"] == "int8"
    assert item.properties["skyweave:quantization_error"]["smallest_cosine"] > 0.999
    assert item.properties["proj:code"] == "EPSG:32633" and item.datetime is not None


def test_items_join_a_collection_of_the_same_kind(tmp_path: Path) -> None:
    collection = catalogue(tmp_path, licence="CC-BY-4.0")
    _, raster = feature_map(8, 20, 30, transform=(80.0, 0.0, 500_000.0, 0.0, -80.0, 5_800_000.0))
    writer = get_writer(tmp_path / "east.tif", None, "int8")
    write_raster(raster, tmp_path / "east.tif", writer, "int8")
    assert writer.quantisation is not None
    common = (tmp_path / "east.tif", writer.media_type, raster.description, writer.quantisation, MODEL)
    times = Acquisition.parse("2024-06-01/2024-06-30T12:00:00+02:00")
    add_to_catalog(collection.parent, *common, times, None)
    content = pystac.Collection.from_file(str(collection))
    assert sorted(item.id for item in content.get_items()) == ["east", "map"] and content.license == "CC-BY-4.0"
    west, _, east, _ = content.extent.spatial.bboxes[0]
    assert west < 13.2 and east > 15
    start, end = content.extent.temporal.intervals[0]
    assert (str(start), str(end)) == ("2024-05-01 00:00:00+00:00", "2024-06-30 10:00:00+00:00")
    assert not validate_output(collection).findings or "emb:energy" in problems(collection)
    other = feature_map(6, 20, 30)[1]
    with pytest.raises(ConfigError, match="emb:dimensions 8, these have 6"):
        add_to_catalog(collection.parent, *common[:2], other.description, *common[3:], times, None)


def test_departures_of_a_collection_and_its_items(tmp_path: Path) -> None:
    collection = catalogue(tmp_path)
    item = collection.parent / "map" / "map.json"

    def spoil(content: dict[str, Any]) -> None:
        content["links"] = [link for link in content["links"] if link["rel"] != "emb:model"]
        content |= {"emb:type": "patch", "emb:dimension": 8, "stac_version": "1.1.0", "data_type": "half"}
        del content["emb:dimensions"], content["license"]

    def spoil_item(content: dict[str, Any]) -> None:
        content["assets"]["data"] = content["assets"].pop("embeddings")
        content["properties"]["emb:energy"] |= {"device_type": "tpu", "joules": 3}
        content["properties"]["datetime"] = "May"

    change(collection, spoil), change(item, spoil_item)
    text = problems(collection)
    for part in (
        "error links have no emb:model",
        "error emb:type must be one of pixel, chip, but is 'patch'",
        "error emb:dimensions is missing",
        "error emb:dimension is no field of the standard",
        "error data_type must be one of int8",
        "error collection 'license' is a required property",
        "warning stac_version is 1.1.0",
        "error map.json: assets have no `embeddings`",
        "error map.json: emb:energy.device_type must be one of cpu, gpu, but is 'tpu'",
        "error map.json: emb:energy.joules is no field",
        "error map.json: properties.datetime",
    ):
        assert part in text
    (tmp_path / "map.tif").unlink()
    change(item, lambda content: content["assets"].update(embeddings=content["assets"].pop("data")))
    assert "map.tif, which is not there" in problems(collection)


def test_departures_of_a_store(tmp_path: Path) -> None:
    catalogue(tmp_path, "map.zarr")
    group = zarr.open_group(str(tmp_path / "map.zarr"), mode="r+", use_consolidated=False)
    del group.attrs["geoemb:model"], group.attrs["proj:code"], group.attrs["geoemb:chip_layout"]
    group.attrs["geoemb:dimensions"] = 9
    group.attrs["geoemb:data_type"] = "float32"
    group.attrs["geoemb:source_data"] = "somewhere"
    group.attrs["zarr_conventions"] = []
    del group["scales"]
    group.create_array("plain", shape=(1, 9, 4, 4), dtype="int8")
    with warnings.catch_warnings(action="ignore", category=zarr.errors.ZarrUserWarning):
        zarr.consolidate_metadata(str(tmp_path / "map.zarr"))
    text = problems(tmp_path / "map.zarr")
    for part in (
        "error geoemb:model is missing",
        "error geoemb:source_data must be a list",
        "error geoemb:chip_layout is missing",
        "error zarr_conventions do not name geoemb:",
        "error proj:code is missing",
        "error geoemb:dimensions is 9, and embeddings has 8",
        "error geoemb:data_type is float32, and embeddings has int8",
        "names 'scales', which is not there",
        "error plain.dimension_names are missing",
        "warning plain is not sharded",
    ):
        assert part in text


def test_the_texts_of_the_zarr_convention_pass(tmp_path: Path) -> None:
    """The smallest store that the convention allows: one identifier registers it, scales may be one number."""
    group = zarr.open_group(str(tmp_path / "other.zarr"), mode="w", zarr_format=3)
    shape, sharding = (4, 8, 8), {"chunks": (4, 4, 4), "shards": (4, 8, 8)}
    group.create_array("embeddings", shape=shape, dtype="int8", dimension_names=("embedding", "y", "x"), **sharding)
    group.attrs.update(
        {
            "zarr_conventions": [{"name": "geoemb:", "uuid": "61c12cc5-0e28-4056-999a-480cf3fb7e4c"}],
            "geoemb:type": "pixel",
            "geoemb:dimensions": 4,
            "geoemb:model": "https://example.org/model",
            "geoemb:source_data": ["https://example.org/source"],
            "geoemb:data_type": "int8",
            "geoemb:quantization": {
                "method": "linear",
                "original_dtype": "float32",
                "scale": {"type": "scalar", "scale": 0.02, "offset": -1.2},
            },
            "proj:code": "EPSG:4326",
        }
    )
    assert validate_output(tmp_path / "other.zarr").is_valid
    group.attrs["geoemb:quantization"] = {"method": "linear", "original_dtype": "float32", "scale": {"type": "array"}}
    assert "array_name is missing" in problems(tmp_path / "other.zarr")


def test_departures_of_a_table(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    points = shapely.points(random.random((4000, 2)))
    columns = {"vector": list(random.random((4000, 3))), "geometry": points}
    table = geopandas.GeoDataFrame(columns, crs="EPSG:4326")
    table.to_parquet(tmp_path / "other.parquet", row_group_size=500, write_covering_bbox=True)
    text = problems(tmp_path / "other.parquet")
    for part in (
        "error emb is missing",
        "warning vector has lists of any length",
        "warning compression is SNAPPY",
        "warning row groups have 0 MB",
        "warning order is not spatial",
    ):
        assert part in text


def test_departures_of_a_geotiff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, _ = feature_map(8, 600, 620)
    path = tmp_path / "other.tif"
    profile = {"height": 600, "width": 620, "count": 8, "dtype": "float32", "tiled": True}
    with rasterio.open(path, "w", "GTiff", transform=Affine(1, 0, 5, 0, -1, 7), **profile) as file:
        file.write(np.where(np.isnan(values), np.nan, values + np.random.default_rng(0).random(values.shape)))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.nearest)
    text = problems(path)
    for part in (
        "error CRS is missing",
        "warning nodata is not declared",
        "warning compression is none",
        "warning overviews pick every second pixel",
        "error COG",
    ):
        assert part in text
    assert main(["validate", str(path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)[0]
    assert report["valid"] is False and all(finding["remedy"] for finding in report["findings"])


def test_what_is_none_of_these_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match="is no GeoTIFF, Zarr store, GeoParquet or STAC file"):
        validate_output(tmp_path / "a.txt")
    with pytest.raises(DataError, match="folder without"):
        validate_output(tmp_path)
    assert main(["validate", str(tmp_path / "none.tif")]) == 2
    for text in ("soon", "2024-05-02/2024-05-01"):
        with pytest.raises(ConfigError, match="time"):
            Acquisition.parse(text)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" * 9)
    assert "cannot be read" in problems(tmp_path / "broken.parquet")
    (tmp_path / "broken.tif").write_bytes(b"II*\0" * 9)
    assert "error" in problems(tmp_path / "broken.tif")
    (tmp_path / "broken.json").write_text("{")
    assert "cannot be read as JSON" in problems(tmp_path / "broken.json")

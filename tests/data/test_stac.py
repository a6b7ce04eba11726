"""Scenes of catalogues: found, matched by metadata, masked, and composed with the clearest on top."""

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from fabricated_catalogue import COLLECTION, bounding_box, reflectance, write_catalogue
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.sensors import get_sensor
from skyweave.data.stac import CatalogueQuery, compose_scene, group_items, match_assets, plan_grid, search_items
from skyweave.data.stac.assets import find_cloud_mask
from skyweave.data.stac.search import parse_interval

SENSOR = get_sensor("sentinel2-l2a").select(["red", "nir", "swir16"])


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    return str(write_catalogue(tmp_path))


def test_items_in_a_place_and_a_time(catalogue: str) -> None:
    assert [item.id for item in search_items(CatalogueQuery(catalogue))] == ["scene-0", "scene-1", "scene-2"]
    may_first = CatalogueQuery(catalogue, (COLLECTION,), None, "2024-05-01")
    assert [item.id for item in search_items(may_first)] == ["scene-0", "scene-1"]
    clear = CatalogueQuery(catalogue, (), tuple(bounding_box(100, 100, 50)), "2024-05/..", 10)
    assert [item.id for item in search_items(clear)] == ["scene-2"]
    for query in (
        CatalogueQuery(catalogue, bbox=(0, 0, 1, 1)),
        CatalogueQuery(catalogue, interval="../2024-04"),
    ):
        with pytest.raises(DataError, match="ask for more"):
            search_items(query)
    with pytest.raises(DataError, match="cannot be read"):
        search_items(CatalogueQuery(str(Path(catalogue).with_name("none.json"))))


def test_intervals_and_boxes() -> None:
    start, end = parse_interval("2024-02")
    assert start is not None and end is not None and (start.day, end.day, end.hour) == (1, 29, 23)
    assert parse_interval("2024-05-01T10:00:00+02:00/..")[0].hour == 8  # type: ignore[union-attr]
    for text in ("spring", "2024-05-01/2024-05-02/2024-05-03"):
        with pytest.raises(ConfigError, match="is no time"):
            parse_interval(text)
    with pytest.raises(ConfigError, match="holds no area"):
        CatalogueQuery("x", bbox=(1, 1, 2, 1))


def test_assets_are_matched_by_what_the_catalogue_says(catalogue: str) -> None:
    item = search_items(CatalogueQuery(catalogue))[0]
    sources = match_assets(item, SENSOR)
    assert [(name, source.asset, source.scale, source.offset) for name, source in sources.items()] == [
        ("red", "red", 0.0001, -0.1),
        ("nir", "nir", 0.0001, -0.1),
        ("swir16", "swir16", 0.0001, -0.1),
    ]
    item.properties["earthsearch:boa_offset_applied"] = True
    assert match_assets(item, SENSOR)["red"].offset == 0
    with pytest.raises(DataError, match=r"no asset for coastal, blue.*or --bands red,nir,swir16"):
        match_assets(item, get_sensor("sentinel2-l2a"))


def test_bands_of_stac_1_1_and_by_wavelength() -> None:
    item = pystac.Item("a", None, None, pystac.utils.str_to_datetime("2024-05-01T00:00:00Z"), {})
    several = pystac.Asset("a.tif", media_type="image/tiff; application=geotiff; profile=cloud-optimized")
    several.extra_fields |= {
        "raster:scale": 0.001,
        "bands": [{"name": "first", "eo:center_wavelength": 0.66}, {"name": "second", "eo:common_name": "nir"}],
    }
    item.add_asset("stack", several)
    single = pystac.Asset("b.tif", media_type="image/tiff")
    single.extra_fields["bands"] = [{"name": "x", "eo:center_wavelength": 1.6, "raster:offset": 0.5}]
    item.add_asset("infrared", single)
    sources = match_assets(item, SENSOR)
    assert [(source.name, source.scale, source.offset) for source in sources.values()] == [
        ("stack", 0.001, 0),
        ("stack.2", 0.001, 0),
        ("infrared", None, 0.5),
    ]


def test_items_as_archives_write_them() -> None:
    """Keys and names as in three large archives: every band is matched with the finest file of its own."""

    def item_of(assets: dict[str, dict[str, Any]]) -> pystac.Item:
        item = pystac.Item("a", None, None, pystac.utils.str_to_datetime("2024-05-01T00:00:00Z"), {})
        for key, fields in assets.items():
            roles = fields.pop("roles", ["data"])
            asset = pystac.Asset(f"{key}.tif", media_type=fields.pop("type", "image/tiff"), roles=roles)
            asset.extra_fields |= fields
            item.add_asset(key, asset)
        return item

    sensor = get_sensor("sentinel2-l2a")
    colours = [{"name": name, "common_name": name} for name in ("red", "green", "blue")]
    keys = ["aot", "blue", "coastal", "green", "nir", "nir08", "nir09", "red", "rededge1", "rededge2", "rededge3"]
    keys += ["scl", "swir16", "swir22", "wvp"]
    by_common_name = {"visual": {"roles": ["visual"], "eo:bands": colours}, "blue-jp2": {"type": "image/jp2"}}
    by_common_name |= {key: {"eo:bands": [{"name": key}]} for key in keys}
    sources = match_assets(item_of(by_common_name), sensor)
    assert [source.asset for source in sources.values()][1:5] == ["blue", "green", "red", "rededge1"]
    names = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    sources = match_assets(item_of({name: {"eo:bands": [{"name": name}]} for name in names}), sensor)
    assert [source.asset for source in sources.values()] == list(names)
    by_resolution = {
        f"{name}_{gsd}m": {"bands": [{"name": name}], "gsd": gsd} for gsd in (60, 20, 10) for name in names
    }
    assert {source.asset[-3:] for source in match_assets(item_of(by_resolution), sensor).values()} == {"10m"}


def test_cloud_masks_by_classes_bits_and_known_products() -> None:
    def masked(key: str, **fields: Any) -> Any:
        item = pystac.Item("a", None, None, pystac.utils.str_to_datetime("2024-05-01T00:00:00Z"), {})
        asset = pystac.Asset("a.tif", media_type="image/tiff")
        asset.extra_fields |= {name.replace("__", ":"): value for name, value in fields.items()}
        item.add_asset(key, asset)
        return find_cloud_mask(item)

    classes = [{"value": 4, "name": "vegetation"}, {"value": 8, "name": "cloud_medium"}, {"value": 3, "name": "shadow"}]
    assert masked("mask", classification__classes=classes).values == (8, 3)
    bits = [
        {"offset": 3, "length": 1, "name": "cloud"},
        {"offset": 6, "length": 1, "name": "clear"},
        {"offset": 8, "length": 2, "name": "cloud_confidence"},
    ]
    assert masked("qa", classification__bitfields=bits).bits == (3,)
    assert masked("qa_pixel").bits == (0, 1, 2, 3, 4) and 9 in masked("SCL").values
    assert masked("red") is None


def test_days_by_the_sun_and_one_of_all(catalogue: str) -> None:
    items = search_items(CatalogueQuery(catalogue))
    days = group_items(items, "day")
    assert [(group.name, [item.id for item in group.items]) for group in days] == [
        ("optical-l2a_2024-05-01", ["scene-1", "scene-0"]),
        ("optical-l2a_2024-05-11", ["scene-2"]),
    ]
    (composite,) = group_items(items, "clearest")
    assert [item.id for item in composite.items] == ["scene-2", "scene-1", "scene-0"]
    assert len(group_items(items, "none")) == 3
    with pytest.raises(ConfigError, match="did you mean 'clearest'"):
        group_items(items, "cleaerst")


def test_a_mosaic_without_clouds(catalogue: str, tmp_path: Path) -> None:
    items = search_items(CatalogueQuery(catalogue))
    (group, _) = group_items(items, "day")
    grid = plan_grid(group.items, None, 10)
    assert grid.crs == "EPSG:32633" and grid.transform[2] % 10 == 0
    path = tmp_path / "scene.tif"
    notes = compose_scene(group, SENSOR, grid, path)
    assert notes == ()
    with rasterio.open(path) as file:
        values, names, place = file.read(), file.descriptions, file.transform
        assert names == ("red", "nir", "swir16") and file.tags()["datetime"].startswith("2024-05-01T10:00:00")
    row, column = rasterio.transform.rowcol(place, 370_000, 5_800_000)
    inside = values[:, row + 3 : row + 93, column + 3 : column + 140]
    cloudy = inside[:, :12, :42]  # of the first item alone, under its cloud
    assert np.isnan(cloudy).all()
    for band in range(3):
        np.testing.assert_allclose(inside[band, 16:, :42], reflectance(0, band), atol=1e-4)
        np.testing.assert_allclose(inside[band, :, 48:], reflectance(1, band), atol=1e-4)
    for item in group.items:
        del item.assets["scl"]
    assert (
        "no cloud mask among the assets of scene-1, scene-0"
        in compose_scene(group, SENSOR, grid, tmp_path / "cloudy.tif")[0]
    )
    stored = tmp_path / "stored.tif"
    compose_scene(group, SENSOR, grid, stored, unit="dn_offset1000", mask_clouds=False)
    with rasterio.open(stored) as file:
        assert file.read(1)[row + 5, column + 5] == round((reflectance(0, 0) + 0.1) * 10_000)


def test_what_fails_for_a_while_is_tried_again(catalogue: str, tmp_path: Path) -> None:
    (group,) = group_items(search_items(CatalogueQuery(catalogue, interval="2024-05-11")), "day")
    pixels = tmp_path / "pixels-2-nir.tif"
    content, waits = pixels.read_bytes(), []
    pixels.unlink()

    def restore(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            pixels.write_bytes(content)

    grid = plan_grid(group.items, tuple(bounding_box(100, 100, 100)), 10)
    compose_scene(group, SENSOR, grid, tmp_path / "scene.tif", wait=restore)
    assert waits == [1, 2]
    with rasterio.open(tmp_path / "scene.tif") as file:
        assert np.isfinite(file.read()).all()
    pixels.unlink()
    with pytest.raises(DataError, match="scene-2 cannot be read after 5 tries"):
        compose_scene(group, SENSOR, grid, tmp_path / "again.tif", wait=waits.append)
    assert not (tmp_path / "again.tif").exists()

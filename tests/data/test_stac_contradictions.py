"""What catalogues get wrong: each is read by what it means, or refused before the pixels are used."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from fabricated_catalogue import COLLECTION, bounding_box, reflectance, write_catalogue
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.sensors import get_sensor
from skyweave.data.stac import CatalogueQuery, compose_scene, group_items, match_assets, plan_grid, search_items

SENSOR = get_sensor("sentinel2-l2a").select(["red", "nir", "swir16"])
HERE: Any = tuple(bounding_box())


def rewrite(catalogue: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """Change every item of a catalogue."""
    for path in catalogue.parent.rglob("scene-*.json"):
        item = json.loads(path.read_text())
        change(item)
        path.write_text(json.dumps(item))
    return str(catalogue)


def each_band(**fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(item: dict[str, Any]) -> None:
        for asset in item["assets"].values():
            for band in asset.get("raster:bands", ()):
                band.update(fields)

    return change


def properties(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: item["properties"].update({name.replace("__", ":"): value for name, value in fields.items()})


def compose(catalogue: str, path: Path, **options: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the first day's scene over the ground of the first item, and the notes."""
    group = group_items(search_items(CatalogueQuery(catalogue)), "day")[0]
    notes = compose_scene(group, SENSOR, plan_grid(group.items, HERE, 10), path, **options)
    with rasterio.open(path) as file:
        return file.read(), notes


def test_a_unit_that_contradicts_the_catalogue(tmp_path: Path) -> None:
    """Twin of a file's tags: `dn` leaves out the offset of 1000 that the catalogue declares."""
    catalogue = str(write_catalogue(tmp_path))
    with pytest.raises(DataError, match=r"0\.0001 \* stored -0\.1; --unit dn is .*declare --unit dn_offset1000"):
        compose(catalogue, tmp_path / "a.tif", unit="dn")
    assert not (tmp_path / "a.tif").exists()
    values, _ = compose(catalogue, tmp_path / "b.tif", unit="dn_offset1000")
    assert np.nanmax(values[0]) == round((reflectance(1, 0) + 0.1) * 10_000)
    compose(catalogue, tmp_path / "c.tif", unit="dn", ignore_scale_tags=True)


def test_items_of_two_baselines_in_one_unit(tmp_path: Path) -> None:
    """One day holds an item with the offset and one without; no unit but the catalogue's fits both."""
    catalogue = write_catalogue(tmp_path)
    (path,) = tmp_path.rglob("scene-0.json")
    item = json.loads(path.read_text())
    each_band(offset=0)(item)
    path.write_text(json.dumps(item))
    for unit, offset in (("dn", "-0.1"), ("dn_offset1000", r"\+0")):
        with pytest.raises(DataError, match=rf"stored {offset}; --unit {unit}"):
            compose(str(catalogue), tmp_path / "a.tif", unit=unit)


def test_an_offset_that_the_pixels_have_already(tmp_path: Path) -> None:
    """Element84/earth-search#71: the catalogue says -0.1, and the pixels have it."""
    catalogue = write_catalogue(tmp_path, offset=0.0)
    for path in tmp_path.glob("pixels-*-red.tif"):
        with rasterio.open(path, "r+") as file:
            file.write(np.full(file.shape, 300, np.uint16), 1)
    rewrite(catalogue, each_band(offset=-0.1))
    with pytest.raises(DataError, match="the pixels have it already; leave it out with --unit dn --ignore-scale-tags"):
        compose(str(catalogue), tmp_path / "a.tif")
    assert not (tmp_path / "a.tif").exists()
    values, _ = compose(str(catalogue), tmp_path / "b.tif", unit="dn", ignore_scale_tags=True)
    assert np.nanmax(values[0]) == 300


def test_no_declared_nodata(tmp_path: Path) -> None:
    """opendatacube/odc-stac#235: zeros of the item on top hide what lies below, or count as -0.1."""
    catalogue = write_catalogue(tmp_path)
    rewrite(catalogue, lambda item: [band.pop("nodata", None) for asset in item["assets"].values()
                                     for band in asset.get("raster:bands", ())])  # fmt: skip
    for path in tmp_path.glob("pixels-*.tif"):
        if "scl" in path.name:
            continue
        with rasterio.open(path) as file:
            values, profile = file.read(), {**file.profile, "nodata": None}
        if "-1-" in path.name:  # the clearest item, which counts first
            values[:, :, : values.shape[2] // 4] = 0
        with rasterio.open(path, "w", **profile) as file:
            file.write(values)
    composed, notes = compose(str(catalogue), tmp_path / "a.tif")
    values = composed[0][np.isfinite(composed[0])]
    assert values.min() == pytest.approx(reflectance(0, 0), abs=1e-4)
    assert values.max() == pytest.approx(reflectance(1, 0), abs=1e-4)
    # From column 49 on the second item has pixels, the first quarter of which (24) hold zeros: there the first shows.
    assert composed[0, 50, 55] == pytest.approx(reflectance(0, 0), abs=1e-4)
    assert composed[0, 50, 85] == pytest.approx(reflectance(1, 0), abs=1e-4)
    assert any("0 counts as that, which" in note for note in notes)


def test_level_1_for_a_sensor_of_level_2(tmp_path: Path) -> None:
    catalogue = rewrite(write_catalogue(tmp_path), properties(processing__level="L1C"))
    with pytest.raises(DataError, match="is of level L1C, and sentinel2-l2a of level L2A: give --sensor sentinel2-l1c"):
        compose(catalogue, tmp_path / "a.tif")


def test_another_satellite_whose_bands_have_the_same_names(tmp_path: Path) -> None:
    catalogue = rewrite(write_catalogue(tmp_path), properties(platform="landsat-8", constellation="landsat"))
    assert any("scene-0 of landsat-8" in note for note in compose(catalogue, tmp_path / "a.tif")[1])
    catalogue = rewrite(tmp_path / "catalog.json", properties(platform="sentinel-2a", constellation="sentinel-2"))
    assert compose(catalogue, tmp_path / "b.tif")[1] == ()


def test_numbers_as_words_and_what_is_none(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path)
    rewrite(catalogue, each_band(scale="0.0001", offset="-0.1", nodata="0"))
    source = match_assets(search_items(CatalogueQuery(str(catalogue)))[0], SENSOR)["red"]
    assert (source.scale, source.offset, source.nodata) == (0.0001, -0.1, 0.0)
    rewrite(catalogue, each_band(offset=None, nodata="nan"))
    source = match_assets(search_items(CatalogueQuery(str(catalogue)))[0], SENSOR)["red"]
    assert source.offset == 0 and source.nodata is not None and np.isnan(source.nodata)
    rewrite(catalogue, each_band(scale="ten"))
    with pytest.raises(DataError, match="has the scale 'ten' for red, which is no number"):
        match_assets(search_items(CatalogueQuery(str(catalogue)))[0], SENSOR)


def test_an_offset_flag_that_is_a_word(tmp_path: Path) -> None:
    """``"false"`` is no empty word, and means that the offset is still to be applied."""
    catalogue = rewrite(write_catalogue(tmp_path), properties(earthsearch__boa_offset_applied="false"))
    assert match_assets(search_items(CatalogueQuery(catalogue))[0], SENSOR)["red"].offset == -0.1
    catalogue = rewrite(tmp_path / "catalog.json", properties(earthsearch__boa_offset_applied="true"))
    assert match_assets(search_items(CatalogueQuery(catalogue))[0], SENSOR)["red"].offset == 0


def test_a_reference_system_in_feet(tmp_path: Path) -> None:
    """10 would be 10 feet; the scene is composed in metres, in the place's UTM zone."""
    catalogue = rewrite(write_catalogue(tmp_path), properties(proj__code="EPSG:2263"))
    assert plan_grid(search_items(CatalogueQuery(catalogue)), HERE, 10).crs == "EPSG:32633"


def test_items_around_the_world_and_without_a_box(tmp_path: Path) -> None:
    """microsoft/PlanetaryComputer#71: a box from -180 to 180 belongs to an item that is cut at the antimeridian."""
    catalogue = write_catalogue(tmp_path)
    (path,) = tmp_path.rglob("scene-0.json")
    item = json.loads(path.read_text())
    east, west = ([[[s * 179, 52], [s * 180, 52], [s * 180, 53], [s * 179, 53], [s * 179, 52]]] for s in (1, -1))
    item |= {"bbox": [-180, 52, 180, 53], "geometry": {"type": "MultiPolygon", "coordinates": [east, west]}}
    path.write_text(json.dumps(item))
    assert [item.id for item in search_items(CatalogueQuery(str(catalogue), bbox=HERE))] == ["scene-1", "scene-2"]
    there = CatalogueQuery(str(catalogue), bbox=(179.5, 52.2, 179.9, 52.4))
    assert [item.id for item in search_items(there)] == ["scene-0"]
    item |= {"bbox": [-180.67, 52, -178.55, 53], "geometry": None}  # microsoft/PlanetaryComputer#296
    path.write_text(json.dumps(item))
    assert [item.id for item in search_items(there)] == ["scene-0"]
    item |= {"geometry": {"type": "MultiPolygon", "coordinates": [east, west]}}
    path.write_text(json.dumps(item))
    rewrite(catalogue, lambda item: item.pop("bbox", None))
    assert [item.id for item in search_items(CatalogueQuery(str(catalogue), bbox=HERE))] == ["scene-1", "scene-2"]
    rewrite(catalogue, lambda item: item.update(geometry=None))
    with pytest.raises(DataError, match="has neither bbox nor geometry"):
        search_items(CatalogueQuery(str(catalogue), bbox=HERE))


def test_the_saved_answer_of_an_api(tmp_path: Path) -> None:
    write_catalogue(tmp_path)
    features = [json.loads(path.read_text()) for path in tmp_path.rglob("scene-*.json")]
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    items = search_items(CatalogueQuery(str(tmp_path / "items.json"), (COLLECTION,), HERE))
    assert [item.id for item in items] == ["scene-0", "scene-1", "scene-2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bbox": (179, -18, -179, -16)}, "--bbox 179 -18 180 -16 and --bbox -180 -18 -179 -16"),
        ({"bbox": (370_000, 5_799_000, 371_000, 5_800_000)}, "no place on the Earth"),
        ({"bbox": (13, 52, 12, 53)}, "reaches over the antimeridian"),
        ({"bbox": (13, 53, 14, 52)}, "holds no area"),
        ({"interval": "2024-06/2024-05"}, "ends before it begins"),
        ({"max_cloud_percent": 150}, "give 0 to 100 percent"),
        ({"max_cloud_percent": float("nan")}, "give 0 to 100 percent"),
    ],
)
def test_queries_that_cannot_be_meant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CatalogueQuery("catalog.json", **arguments)


def test_what_is_asked_for_and_not_there(tmp_path: Path) -> None:
    catalogue = str(write_catalogue(tmp_path))
    with pytest.raises(DataError, match=f"its collections are {COLLECTION}, did you mean '{COLLECTION}'"):
        search_items(CatalogueQuery(catalogue, ("optical-l2",)))
    west, south, east, north = HERE
    with pytest.raises(DataError, match="longitude and latitude are exchanged: --bbox 13"):
        search_items(CatalogueQuery(catalogue, bbox=(south, west, north, east)))


def test_options_that_a_catalogue_does_not_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sensor", "sentinel2-l2a", "--unit", "catalogue", "--into", str(tmp_path / "o"), "--offset", "-1000"]
    assert main(["embed", "--stac", "x", *words]) == 2
    assert "--offset is for one scene, not for --stac" in capsys.readouterr().err


def test_other_libraries_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """odc-stac logs each failure to load, also of tries that are followed by one that works."""
    catalogue = write_catalogue(tmp_path)
    (tmp_path / "pixels-0-red.tif").unlink()
    group = group_items(search_items(CatalogueQuery(str(catalogue))), "day")[0]
    grid = plan_grid(group.items, HERE, 10)
    with pytest.raises(DataError, match="scene-0 cannot be read after 5 tries"):
        compose_scene(group, SENSOR, grid, tmp_path / "a.tif", wait=lambda seconds: None)
    assert "Failed to load" not in capfd.readouterr().err
    assert logging.getLogger("odc.loader").getEffectiveLevel() >= logging.CRITICAL

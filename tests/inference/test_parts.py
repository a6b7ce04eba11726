"""A part of a scene is what the whole scene has there: by pixels, by bounds in its reference system, by polygons."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform_geom

from fabricated_labels import write_raster
from skyweave.backbone import build_backbone, save_checkpoint
from skyweave.cli.main import main
from skyweave.core.sensors import get_sensor
from skyweave.inference import InferenceConfig, open_scene

WEST, NORTH, METRES = 4e5, 5e6, 0.1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(path, build_backbone("tiny", seed=0, width=24, depth=1, heads=3).eval(), "small")
    return str(path)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", np.random.default_rng(0).integers(1, 255, (3, 96, 120), np.uint8))


def embed(scene: Path, weights: str, *options: str) -> int:
    declared = ["--sensor", "rgb", "--unit", "uint8", "--bands", "sensor", "--dtype", "float32", "--tile", "8"]
    output = str(scene.with_name("out.tif"))
    return main(["embed", str(scene), "-o", output, "--weights", weights, *declared, "--overlap", "0", *options])


def read(scene: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    with rasterio.open(scene.with_name("out.tif")) as source:
        return source.read(), tuple(source.transform)[:6]


def test_a_window_and_bounds_are_the_part_of_the_whole(scene: Path, weights: str) -> None:
    assert embed(scene, weights) == 0
    whole, _ = read(scene)
    assert embed(scene, weights, "--window", "16", "24", "40", "48") == 0
    part, place = read(scene)
    np.testing.assert_array_equal(part, whole[:, 2:7, 3:9])
    assert place == pytest.approx((0.8, 0, WEST + 2.4, 0, -0.8, NORTH - 1.6))
    bounds = [WEST + 2.4, NORTH - 5.6, WEST + 7.2, NORTH - 1.6]
    assert embed(scene, weights, "--bounds", *map(str, bounds)) == 0
    again, same = read(scene)
    np.testing.assert_array_equal(again, part)
    assert same == pytest.approx(place)
    assert embed(scene, weights, "--bounds", *map(str, [WEST - 99, NORTH - 5.6, WEST + 7.2, NORTH + 99])) == 0
    np.testing.assert_array_equal(read(scene)[0], whole[:, :7, :9])


def test_an_area_is_what_its_polygons_touch(scene: Path, weights: str, tmp_path: Path) -> None:
    corners = [(2.5, 2.5), (5.5, 2.5), (2.5, 5.5), (2.5, 2.5)]  # a triangle, in patches
    ring = [(WEST + column * 0.8, NORTH - row * 0.8) for column, row in corners]
    polygon = transform_geom("EPSG:32633", "OGC:CRS84", {"type": "Polygon", "coordinates": [ring]})
    collection = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": polygon}]}
    (tmp_path / "area.geojson").write_text(json.dumps(collection))
    assert embed(scene, weights, "--area", str(tmp_path / "area.geojson")) == 0
    part, place = read(scene)
    row, column = round((NORTH - place[5]) / METRES), round((place[2] - WEST) / METRES)
    assert (row, column) == (20, 20)
    assert embed(scene, weights, "--window", "20", "20", *map(str, (24, 24))) == 0
    plain, _ = read(scene)
    inside = ~np.isnan(part[0])
    assert inside[0].all() and inside[:, 0].all() and not inside[-1, -1] and part.shape == (24, 3, 3)
    np.testing.assert_array_equal(part[:, inside], plain[:, inside])
    metres = {"type": "Polygon", "coordinates": [ring], "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}}
    (tmp_path / "area.geojson").write_text(json.dumps(metres))
    assert embed(scene, weights, "--area", str(tmp_path / "area.geojson")) == 0
    assert read(scene)[0].shape == part.shape and read(scene)[1] == pytest.approx(place)


def exchange(polygon: dict[str, Any]) -> dict[str, Any]:
    """Return a polygon with the other coordinate first."""
    return {**polygon, "coordinates": [[place[::-1] for place in ring] for ring in polygon["coordinates"]]}


def test_an_area_is_whole_across_the_antimeridian_and_within_collections(tmp_path: Path) -> None:
    """Of GeoJSON as it is found: each side a part, one ring over the edge, 0 to 360, and nested collections."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, 40, 100), np.uint8)
    scene = write_raster(tmp_path / "scene.tif", pixels)
    with rasterio.open(scene, "r+") as dataset:  # 179.5 to 180.5 east
        dataset.crs, dataset.transform = "EPSG:4326", Affine(0.01, 0, 179.5, 0, -0.01, 10)

    def box(west: float, east: float) -> dict[str, Any]:
        corners = [[west, 9.9], [east, 9.9], [east, 9.8], [west, 9.8], [west, 9.9]]
        return {"type": "Polygon", "coordinates": [corners]}

    def rows_of(*polygons: dict[str, Any]) -> tuple[int, ...]:
        nested = {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": polygons}]}
        features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in (nested, None)]
        (tmp_path / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        config = InferenceConfig(area=tmp_path / "area.geojson")
        part = open_scene([scene], [get_sensor("rgb")], 1, config, [{"unit": "uint8", "bands": "sensor"}]).pixels
        return part.row, part.column, part.rows, part.columns

    over_the_edge = (10, 40, 10, 20)
    assert rows_of(box(179.9, -179.9)) == rows_of(box(179.9, 180.1)) == over_the_edge
    assert rows_of(box(179.9, 180), box(-180, -179.9)) == over_the_edge


def test_what_cannot_be_a_part_is_said(
    scene: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        assert embed(scene, weights, *options) == 2
        return capsys.readouterr().err

    assert "lies outside" in refused("--window", "96", "0", "8", "8")
    assert "reaches beyond" in (beyond := refused("--window", "80", "8", "64", "8")) and "give --window 80 8 " in beyond
    assert "west, south, east, north" in refused("--bounds", "2", "1", "1", "2")
    assert "it covers 4" in (degrees := refused("--bounds", "13", "45", "14", "46")) and "of EPSG:32633" in degrees
    (tmp_path / "area.geojson").write_text('{"type": "Point", "coordinates": [1, 2]}')
    assert "holds no polygon" in refused("--area", str(tmp_path / "area.geojson"))
    ring = [[4e5, 4999990.0], [400010.0, 4999990.0], [400010.0, 5e6], [4e5, 4999990.0]]
    metres = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    unknown = {"crs": {"properties": {"name": "EPSG:99999"}}}
    for wrong, remedy in ((metres, "name their system in its"), (metres | unknown, "export it from your GIS")):
        (tmp_path / "area.geojson").write_text(json.dumps(wrong))
        assert remedy in refused("--area", str(tmp_path / "area.geojson"))
    exchanged = exchange(transform_geom("EPSG:32633", "OGC:CRS84", {"type": "Polygon", "coordinates": [ring]}))
    (tmp_path / "area.geojson").write_text(json.dumps(exchanged))
    assert "longitude comes first: exchange them" in refused("--area", str(tmp_path / "area.geojson"))
    (tmp_path / "area.geojson").write_text(json.dumps(exchange(exchanged)))  # the advice
    assert embed(scene, weights, "--tile", "128", "--area", str(tmp_path / "area.geojson")) == 0
    scene.with_name("out.tif").unlink()
    (tmp_path / "area.geojson").write_text("[]")
    assert "is no GeoJSON" in refused("--area", str(tmp_path / "area.geojson"))
    with rasterio.open(scene, "r+") as dataset:
        dataset.crs = rasterio.crs.CRS()
    assert "has no place on the Earth; give --window" in refused("--area", str(tmp_path / "area.geojson"))
    assert not scene.with_name("out.tif").exists()

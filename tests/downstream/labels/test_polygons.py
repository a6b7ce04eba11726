"""Polygons of a GeoJSON file: wherever their coordinates are from, they fall on the ground that they are of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from fabricated_labels import write_raster
from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import ImageSourceConfig, LabelConfig
from skyweave.downstream.labels.image_files import find_image_files
from skyweave.downstream.labels.readers.polygons import PolygonReader

WEST, EAST, SOUTH, NORTH = 4e5 + 0.8, 4e5 + 1.6, 5e6 - 1.6, 5e6
RING = [[WEST, NORTH], [EAST, NORTH], [EAST, SOUTH], [WEST, SOUTH], [WEST, NORTH]]


EMPTY: dict[str, Any] = {"type": "Polygon", "coordinates": []}


def reader(root: Path, ring: list[Any], crs: str | None = None, **labels: Any) -> PolygonReader:
    """Of two images of 16 x 16 pixels of 0.1 m, and a polygon whose ring is given."""
    for name in ("a", "b"):
        write_raster(root / f"images/{name}.tif", np.zeros((3, 16, 16), np.uint8))
    features = [
        {"geometry": {"type": "Polygon", "coordinates": [ring]}},
        {"geometry": {"type": "Point"}},
        {"geometry": EMPTY},
    ]
    content: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if crs is not None:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    (root / "polygons.geojson").write_text(json.dumps(content))
    images = find_image_files(ImageSourceConfig("rgb", "images/*.tif", "uint8"), root)
    return PolygonReader(LabelConfig("polygons", "polygons.geojson", classes={0: "no", 1: "yes"}, **labels), images)


def in_degrees(longitude_first: bool = True) -> list[list[float]]:
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    return [list(to_degrees.transform(*point))[:: 1 if longitude_first else -1] for point in RING]


def test_coordinates_of_any_declared_system(tmp_path: Path) -> None:
    expected = np.tile(np.arange(16) >= 8, (16, 1))
    for polygons in (
        reader(tmp_path, in_degrees()),
        reader(tmp_path, in_degrees(), "urn:ogc:def:crs:OGC:1.3:CRS84"),
        reader(tmp_path, RING, "urn:ogc:def:crs:EPSG::32633"),
        reader(tmp_path, RING, box_crs="EPSG:32633"),
    ):
        np.testing.assert_array_equal(polygons.read(polygons.images.paths[0], None, (16, 16)).values, expected)
        assert polygons.left_out()["features without a polygon"] == ["feature 1: Point", "feature 2: Polygon"]


def test_polygons_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no polygon lies in any image; .* they lie in 4000.*name their system"):
        reader(tmp_path, RING)
    with pytest.raises(DataError, match="x and y are exchanged: write the longitude"):
        reader(tmp_path, in_degrees(longitude_first=False))
    with pytest.raises(DataError, match="no polygon lies in any image"):
        reader(tmp_path, [[0, 0], [1, 0], [1, 1], [0, 0]])
    (tmp_path / "places.csv").write_text("file,xmin,ymin,xmax,ymax\na,13.8,45,13.7,46\n")
    with pytest.raises(DataError, match=r"places\.csv: images/a\.tif lies from 13\.8, 45, 13\.7, 46; give west, south"):
        reader(tmp_path, in_degrees(), bounds_files="places.csv")


def two_classes(root: Path, name: str, column: list[object], **labels: Any) -> PolygonReader:
    """The left half is of the first class, the lower half of the second; the file by the ending of its name."""
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    for image in ("a", "b"):
        write_raster(root / f"images/{image}.tif", np.zeros((3, 16, 16), np.uint8))
    places = [shapely.box(4e5, 5e6 - 1.6, 4e5 + 0.8, 5e6), shapely.box(4e5, 5e6 - 1.6, 4e5 + 1.6, 5e6 - 0.8)]
    frame = geopandas.GeoDataFrame({"use": column}, geometry=places, crs="EPSG:32633")
    if name.endswith(".parquet"):
        frame.to_parquet(root / name)
    else:
        frame.to_file(root / name)
    images = find_image_files(ImageSourceConfig("rgb", "images/*.tif", "uint8"), root)
    classes = {0: "none", 3: "field", 7: "wood"}
    return PolygonReader(LabelConfig("polygons", name, classes=classes, **labels), images)


@pytest.mark.parametrize(
    ("name", "column"),
    [("p.geojson", ["field", "wood"]), ("p.shp", [3, 7]), ("p.gpkg", [3.0, 7.0]), ("p.parquet", ["field", "wood"])],
)
def test_a_property_names_the_class_in_any_file(tmp_path: Path, name: str, column: list[object]) -> None:
    polygons = two_classes(tmp_path, name, column, label_column="use")
    stored = polygons.read(polygons.images.paths[0], None, (16, 16))
    assert stored.values[0, 0] == 3 and stored.values[15, 15] == 7 and stored.values[0, 15] == 0
    assert not stored.valid[8:, :8].any() and stored.valid.sum() == 256 - 64  # both classes
    assert polygons.left_out()["images in which polygons of two classes overlap (no label there)"] == ["images/a.tif"]


@pytest.mark.parametrize(
    ("column", "labels", "message"),
    [
        (["field", "lake"], {"label_column": "use"}, "feature 1 has use 'lake', which is none of the classes none, fi"),
        (
            ["field", "wood"],
            {"label_column": "kind"},
            r"feature 0 has no property 'kind' \(labels.label_column\); it has",
        ),
    ],
)
def test_properties_that_name_no_class_are_refused(
    tmp_path: Path, column: list[object], labels: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        two_classes(tmp_path, "p.gpkg", column, **labels)


def test_files_that_say_too_little_or_too_much(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    two_classes(tmp_path, "p.shp", ["field", "wood"], label_column="use")
    (tmp_path / "p.prj").unlink()
    with pytest.raises(DataError, match=r"of a shapefile, its \.prj is missing.*labels\.box_crs: EPSG:32633"):
        two_classes_of(tmp_path)
    assert two_classes_of(tmp_path, box_crs="EPSG:32633").read(tmp_path / "images/a.tif", None, (16, 16)).values.any()
    (tmp_path / "p.shx").unlink()
    (tmp_path / "p.shp").write_bytes((tmp_path / "p.shp").read_bytes()[:60])
    with pytest.raises(DataError, match=r"cannot be read as vectors .*save it as GeoJSON"):
        two_classes_of(tmp_path)
    two_classes(tmp_path, "p.gpkg", ["field", "wood"])
    geopandas.read_file(tmp_path / "p.gpkg").to_file(tmp_path / "p.gpkg", layer="more")
    with pytest.raises(DataError, match=r"has 2 layers \(p, more\); save the one with the labels"):
        two_classes_of(tmp_path, "p.gpkg")


def two_classes_of(root: Path, name: str = "p.shp", **labels: Any) -> PolygonReader:
    images = find_image_files(ImageSourceConfig("rgb", "images/*.tif", "uint8"), root)
    return PolygonReader(LabelConfig("polygons", name, classes={0: "none", 1: "some"}, **labels), images)

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

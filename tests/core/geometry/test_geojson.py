"""GeoJSON as GIS programs write it comes out as points, lines and polygons in degrees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.core.geometry.geojson import read_shapes

RING = [[11, 48], [12, 48], [12, 49], [11, 48]]


def system(name: str) -> dict[str, Any]:
    return {"crs": {"type": "name", "properties": {"name": name}}}


def written(folder: Path, content: Any, mark: str = "") -> Path:
    (folder / "shapes.geojson").write_text(mark + json.dumps(content), "utf-8")
    return folder / "shapes.geojson"


def test_parts_nesting_marks_and_encodings_are_read(tmp_path: Path) -> None:
    parts = {"type": "MultiPolygon", "coordinates": [[RING], [RING, RING]]}
    features = [
        {"type": "Feature", "properties": {"name": "a"}, "geometry": parts},
        {"type": "Feature", "properties": None, "geometry": {"type": "GeometryCollection", "geometries": [parts]}},
        {"type": "Feature", "properties": {}, "geometry": None},
    ]
    content = {"type": "FeatureCollection", "features": features, **system("urn:ogc:def:crs:OGC:1.3:CRS84")}
    shapes = read_shapes(written(tmp_path, content, "\ufeff"))
    assert [(shape.kind, len(shape.rings)) for shape in shapes] == [("Polygon", 1), ("Polygon", 2)] * 2
    assert shapes[0].properties == {"name": "a"} and shapes[0].rings[0].tolist() == RING
    path = written(tmp_path, content)
    path.write_bytes(path.read_text().encode("utf-16"))
    assert len(read_shapes(path)) == 4


def test_another_system_becomes_degrees(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [650_000, 5_330_000, 1.0], **system("urn:ogc:def:crs:EPSG::32632")}
    (shape,) = read_shapes(written(tmp_path, point))
    np.testing.assert_allclose(shape.rings[0], [[11.0150047, 48.1055900]], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "Point", "coordinates": [650_000, 5_330_000]}, "no longitude and latitude.* name their system in"),
        ({"type": "Point", "coordinates": [34, -118]}, "longitude comes first in GeoJSON: exchange them"),
        ({"type": "Point", "coordinates": [1, 2], **system("nonsense")}, "is no GeoJSON .Invalid projection"),
        ({"type": "FeatureCollection", "features": [None]}, "is no GeoJSON"),
        ({"type": "Polygon", "coordinates": []}, "a Polygon without coordinates"),
        ({"type": "Polygon", "coordinates": [[]]}, "a Polygon without coordinates"),
        ({"type": "Polygon", "coordinates": [[[11, 48], [12, 49], [11, 48]]]}, "3 points that encloses nothing"),
        ({"type": "Point", "coordinates": [float("nan"), 2]}, "holds nan, 2"),
        ([[[]]], "is no GeoJSON"),
    ],
)
def test_what_lies_nowhere_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_shapes(written(tmp_path, content))

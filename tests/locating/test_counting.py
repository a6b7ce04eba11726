"""Counts over lines and areas: who crossed which way, who was inside, and what only trembles."""

import json
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.locating.counting import CountShape, count_tracks, read_count_shapes
from skyweave.locating.track_table import TrackTable

CRS, ORIGIN = "EPSG:32633", np.array([412000.0, 5420000.0])
NORTHWARD = CountShape("gate", "line", ORIGIN + np.array([[0.0, -10], [0, 10]]))
SQUARE = CountShape("square", "area", ORIGIN + np.array([[0.0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]))


def table(number: int, category: str, path: list[tuple[float, float]]) -> TrackTable:
    """A track with a point a second."""
    points = ORIGIN + np.array(path)
    many, zeros = len(points), np.zeros(len(points))
    return TrackTable(
        number, category, 0.9, np.ones(3), np.ones(3), np.arange(many) * 10**9, unproject_lon_lat(points, CRS), zeros,
        points, np.tile(np.eye(2), (many, 1, 1)), np.zeros((many, 2)), np.tile(np.eye(2), (many, 1, 1)), zeros,
        zeros.astype(int), np.arange(many), zeros.astype(int),
    )  # fmt: skip


def test_a_line_knows_which_way_it_is_crossed() -> None:
    tables = [
        table(1, "car", [(-5, 0), (-1, 0), (3, 0)]),  # from its left to its right
        table(2, "car", [(5, 2), (-5, 2)]),
        table(3, "person", [(-5, 0), (5, 0), (-5, 0)]),  # there and back
        table(4, "car", [(-5, 20), (5, 20)]),  # beside its end
        table(5, "car", [(0.2, 1), (-0.3, 1), (0.2, 1), (-0.1, 1)]),  # parked on it
        table(6, "truck", [(-5, 3), (-0.3, 3), (0.2, 3), (-0.2, 3), (5, 3)]),  # hesitates, and goes
    ]
    (count,) = count_tracks(tables, [NORTHWARD])
    assert count.forward == {"car": 1, "person": 1, "truck": 1} and count.backward["person"] == 1
    assert count.backward["car"] == 1 and count.inside == {"car": 2, "person": 1, "truck": 1}


def test_a_line_with_a_corner_is_crossed_once() -> None:
    corner = CountShape("corner", "line", ORIGIN + np.array([[0.0, -10], [0, 0], [-10, 10]]))
    for height in (-3.0, -1e-9, 0.0, 1e-9, 3.0):
        (count,) = count_tracks([table(1, "car", [(-20, height), (20, height)])], [corner])
        assert count.forward.total() == 1, height


def test_an_area_counts_entries_exits_and_time() -> None:
    tables = [
        table(1, "car", [(-5, 5), (1, 5), (4, 5), (20, 5)]),
        table(2, "person", [(5, 5), (6, 5), (7, 5)]),  # was there all the time
        table(3, "car", [(20, 20), (30, 30)]),
    ]
    (count,) = count_tracks(tables, [SQUARE])
    assert (count.forward["car"], count.backward["car"], count.inside["car"]) == (1, 1, 1)
    assert (count.forward["person"], count.backward["person"], count.inside["person"]) == (0, 0, 1)
    assert count.seconds == {"car": 2.0, "person": 2.0}


def test_shapes_are_read_from_geojson(tmp_path: Path) -> None:
    ring = unproject_lon_lat(SQUARE.points, CRS).tolist()
    line = {"type": "LineString", "coordinates": ring[:2]}
    features = [
        {"type": "Feature", "properties": {"name": "yard"}, "geometry": {"type": "Polygon", "coordinates": [ring]}},
        {"type": "Feature", "properties": None, "geometry": line},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": ring[0]}},
    ]
    (tmp_path / "shapes.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    shapes = read_count_shapes(tmp_path / "shapes.geojson", CRS)
    assert [(shape.name, shape.kind) for shape in shapes] == [("yard", "area"), ("line 2", "line")]
    several = {"type": "MultiPolygon", "coordinates": [[ring], [ring]]}  # as QGIS exports each polygon
    (tmp_path / "several.geojson").write_text("\ufeff" + json.dumps(several), "utf-8")
    assert len(read_count_shapes(tmp_path / "several.geojson", CRS)) == 2
    assert np.allclose(shapes[0].points, SQUARE.points, atol=1e-4)
    (tmp_path / "line.geojson").write_text(json.dumps(line))
    assert read_count_shapes(tmp_path / "line.geojson", CRS)[0].kind == "line"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no GeoJSON"),
        ("[]", "is no GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "holds no LineString and no Polygon"),
        ('{"type": "FeatureCollection", "features": [null]}', "is no GeoJSON"),
        ('{"type": "LineString", "coordinates": [[412000, 5420000], [1, 2]]}', "in degrees"),
        ('{"type": "LineString", "coordinates": [[1, 2]]}', "line 1 has one point; draw a line"),
        (
            '{"type": "Polygon", "coordinates": [[[1, 2], [3, 2], [3, 3]], [[2, 2], [2.5, 2], [2, 2.1]]]}',
            "area 1 has holes, .* draw them as areas of their own",
        ),
        ('{"type": "LineString", "coordinates": [[1, "a"], [2, 3]]}', "is no GeoJSON"),
        ('{"type": "Polygon", "coordinates": []}', "is no GeoJSON"),
    ],
)
def test_what_is_no_shape_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "shapes.geojson").write_text(text)
    with pytest.raises(DataError, match=message):
        read_count_shapes(tmp_path / "shapes.geojson", CRS)

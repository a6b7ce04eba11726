"""Results as files: what a GIS and the nuScenes tools read back is what was found, where it was found."""

import json
import struct
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.export import write_geojson, write_geoparquet, write_geotiff
from skyweave.perception.nuscenes_json import read_nuscenes, write_nuscenes
from skyweave.perception.results import Detections, InstanceMap, Trajectories

CRS_NAME, TIME = "EPSG:32632", 1_700_000_000_123_456_789
PLACE = np.array([691_000.0, 5_334_000.0])


def detections(count: int = 2, crs: str | None = CRS_NAME, **options: Any) -> Detections:
    centres = np.column_stack([PLACE + 10 * np.arange(count)[:, None], np.ones(count)])
    boxes = Boxes(centres, np.tile([4.0, 2, 1.5], (count, 1)), np.linspace(0, 3, count))
    velocities = options.pop("velocities", np.tile([1.0, -2], (count, 1)))
    return Detections(boxes, velocities, ("car",) * count, np.linspace(1, 0.5, count), crs, TIME, **options)


def instances(crs: str | None = CRS_NAME) -> InstanceMap:
    """One with a hole, one in two parts."""
    grid = MapGrid.around(*PLACE, 10, 0.5, crs)
    cells = np.zeros(grid.shape, int)
    cells[2:9, 3:9] = 4
    cells[4:6, 4:6] = 0
    cells[15:17, 15:18] = cells[11:13, 1] = 2
    return InstanceMap(grid, cells, {4: "car", 2: "bus"}, {4: 0.5}, TIME)


def trajectories(crs: str | None = CRS_NAME, steps: int = 4) -> Trajectories:
    modes = PLACE + np.random.default_rng(0).normal(size=(2, 3, steps, 2))
    times = 0.5 * np.arange(1, steps + 1)
    return Trajectories(modes, np.full((2, 3), 1 / 3), times, ("car", "bus"), ("a", "b"), crs, TIME)


def test_geojson_is_where_things_are(tmp_path: Path) -> None:
    path = tmp_path / "found.geojson"
    write_geojson(path, [detections(), instances(), trajectories(), trajectories(steps=1)])
    content = json.loads(path.read_text())
    kinds = [feature["geometry"]["type"] for feature in content["features"]]
    assert kinds == ["Polygon"] * 2 + ["MultiPolygon", "Polygon"] + ["LineString"] * 12
    metres = Transformer.from_crs("OGC:CRS84", CRS_NAME, always_xy=True)
    first = content["features"][0]
    ring = np.array(first["geometry"]["coordinates"][0])
    assert np.abs(np.stack(metres.transform(*ring.T), 1)[:4] - detections().boxes.footprints()[0]).max() < 2e-3
    assert first["properties"]["time"] == "2023-11-14T22:13:20.123456789Z"
    assert first["properties"]["score"] == 1
    for feature in content["features"]:
        if feature["geometry"]["type"] != "LineString":
            check_rings(feature["geometry"])


def check_rings(geometry: dict[str, Any]) -> None:
    """RFC 7946, section 3.1.6: closed, the outer ring counter-clockwise, holes clockwise."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    for rings in polygons:
        for number, ring in enumerate(rings):
            points = np.array(ring)
            assert (points[0] == points[-1]).all()
            x, y = (points - points[0]).T
            assert (np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0) == (number == 0)


def test_unknown_velocities_are_null_in_geojson(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", detections(velocities=np.full((2, 2), np.nan)))
    properties = json.loads((tmp_path / "a.geojson").read_text())["features"][0]["properties"]
    assert properties["velocity_east"] is None


def test_a_local_frame_has_no_place_in_geojson(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local frame"):
        write_geojson(tmp_path / "a.geojson", detections(crs=None))
    assert not list(tmp_path.iterdir())


def test_a_box_across_the_antimeridian_is_cut(tmp_path: Path) -> None:
    x, y = Transformer.from_crs("OGC:CRS84", "EPSG:32660", always_xy=True).transform(180.0, -17.0)
    box = Boxes(np.array([[x + 5, y, 0]]), np.array([[40.0, 20, 1]]), np.zeros(1))
    write_geojson(tmp_path / "a.geojson", Detections(box, np.zeros((1, 2)), ("bus",), np.ones(1), "EPSG:32660"))
    geometry = json.loads((tmp_path / "a.geojson").read_text())["features"][0]["geometry"]
    assert geometry["type"] == "MultiPolygon" and len(geometry["coordinates"]) == 2
    to_map = Transformer.from_crs("OGC:CRS84", "EPSG:32660", always_xy=True)
    total = 0.0
    for (ring,), side in zip(geometry["coordinates"], (1, -1), strict=True):
        longitude, latitude = np.array(ring).T
        assert (np.sign(longitude) == side).all() and np.ptp(longitude) < 1e-3 and np.abs(longitude).max() <= 180
        east, north = to_map.transform(longitude, latitude)
        area = (east[:-1] * north[1:] - east[1:] * north[:-1]).sum() / 2
        assert area > 0 and ring[0] == ring[-1]  # counter-clockwise and closed
        total += area
    assert total == pytest.approx(40 * 20, abs=0.1)


@pytest.mark.parametrize("crs", [CRS_NAME, None])
def test_geoparquet_keeps_metres_and_says_which(tmp_path: Path, crs: str | None) -> None:
    path = tmp_path / "found.parquet"
    write_geoparquet(path, [detections(crs=crs), instances(crs), trajectories(crs)])
    table = parquet.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert column["geometry_types"] == ["LineString", "MultiPolygon", "Polygon"]
    assert column["crs"] is None if crs is None else CRS.from_json_dict(column["crs"]) == CRS(crs)
    assert table.num_rows == 2 + 2 + 6
    rows = table.to_pylist()
    order, kind, rings, count = struct.unpack("<BIII", rows[0]["geometry"][:13])
    assert (order, kind, rings, count) == (1, 3, 1, 5)
    ring = np.frombuffer(rows[0]["geometry"][13:], "<f8").reshape(5, 2)
    assert np.allclose(ring[:4], detections().boxes.footprints()[0])
    box = rows[0]["bbox"]
    assert [box["xmin"], box["ymin"]] == ring.min(0).tolist()
    assert column["bbox"][0] <= box["xmin"]
    assert rows[0]["time"] == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    multi = next(row for row in rows if struct.unpack("<BI", row["geometry"][:5])[1] == 6)
    assert struct.unpack("<I", multi["geometry"][5:9]) == (2,)
    assert multi["area"] == pytest.approx(8 * 0.25)


def test_geoparquet_of_nothing_is_an_empty_table(tmp_path: Path) -> None:
    write_geoparquet(tmp_path / "a.parquet", Detections.empty(CRS_NAME))
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == 0
    with pytest.raises(ValueError, match="one reference system"):
        write_geoparquet(tmp_path / "b.parquet", [detections(), detections(crs="EPSG:32633")])
    with pytest.raises(ValueError, match="no results"):
        write_geoparquet(tmp_path / "b.parquet", [])


def test_geotiff_has_a_band_a_moment(tmp_path: Path) -> None:
    one = instances()
    write_geotiff(tmp_path / "a.tif", [one, one])
    with rasterio.open(tmp_path / "a.tif") as source:
        assert source.count == 2
        assert (source.read(1) == one.identities).all()
        assert source.crs == rasterio.crs.CRS.from_string(CRS_NAME)
        assert tuple(source.transform)[:6] == one.grid.affine
        assert json.loads(source.tags(1)["categories"]) == {"4": "car", "2": "bus"}
    with pytest.raises(ValueError, match="maps of one grid"):
        write_geotiff(tmp_path / "b.tif", [])


def test_outlines_cover_the_cells() -> None:
    found = {feature.properties["instance"]: feature for feature in instances().features()}
    assert {name: feature.properties["area"] for name, feature in found.items()} == {"2": 2, "4": 9.5}
    assert [len(rings) for rings in found["4"].parts] == [2]  # with its hole


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(0.1, 50), st.floats(-10, 10), st.floats(0, 1), st.booleans()),
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_nuscenes_files_come_back(rows: list[tuple[float, float, float, float, bool]]) -> None:
    places = np.array([[r[0], -r[0], r[1]] for r in rows]).reshape(-1, 3)
    sizes = np.array([[r[1], 1.0, 2.0] for r in rows]).reshape(-1, 3)
    found = Detections(
        Boxes(places, sizes, np.array([r[2] for r in rows])),
        places[:, :2],
        tuple("van" if r[4] else "bus" for r in rows),
        np.array([r[3] for r in rows]),
        attributes=tuple("vehicle.moving" if r[4] else "" for r in rows),
    )
    with tempfile.TemporaryDirectory() as folder:
        write_nuscenes(Path(folder) / "a.json", {"one": found, "none": Detections.empty()})
        back = read_nuscenes(Path(folder) / "a.json")
    assert list(back) == ["one", "none"]
    assert len(back["none"]) == 0
    again = back["one"]
    assert np.allclose(again.boxes.centres, found.boxes.centres)
    assert np.allclose(again.boxes.sizes, found.boxes.sizes)
    assert np.allclose(np.exp(1j * again.boxes.yaws), np.exp(1j * found.boxes.yaws))
    assert np.allclose(again.velocities, found.velocities)
    assert again.categories == tuple("car" if r[4] else "bus" for r in rows)
    assert again.attributes == found.attributes
    assert (again.scores == found.scores).all()


def test_nuscenes_files_have_their_form(tmp_path: Path) -> None:
    write_nuscenes(tmp_path / "a.json", {"s": detections(instances=("a", "b"))}, modalities=("camera", "map"))
    content = json.loads((tmp_path / "a.json").read_text())
    used = {"use_camera": True, "use_lidar": False, "use_radar": False, "use_map": True, "use_external": False}
    assert content["meta"] == used
    first = content["results"]["s"][0]
    assert first["size"] == [2, 4, 1.5]  # width first
    assert first["rotation"] == [1, 0, 0, 0]
    assert (first["sample_token"], first["tracking_id"]) == ("s", "a")
    assert read_nuscenes(tmp_path / "a.json")["s"].instances == ("a", "b")


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (detections(501), {}, "501 boxes"),
        (detections(velocities=np.full((2, 2), np.nan)), {}, "unknown velocities"),
        (detections(), {"names": {}}, "no class 'car'"),
        (detections(), {"modalities": ("sonar",)}, "unknown modality 'sonar'"),
    ],
)
def test_what_the_benchmark_refuses_is_refused(
    tmp_path: Path, found: Detections, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_nuscenes(tmp_path / "a.json", {"s": found}, **options)
    assert not list(tmp_path.iterdir())


def test_unknown_velocities_may_be_said_to_be_nought(tmp_path: Path) -> None:
    still = detections(velocities=np.full((2, 2), np.nan))
    write_nuscenes(tmp_path / "a.json", {"s": still}, unknown_velocity=0.0)
    assert (read_nuscenes(tmp_path / "a.json")["s"].velocities == 0).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no nuScenes result file"),
        ("[]", "no nuScenes result file"),
        ('{"meta": {}}', "no nuScenes result file"),
        ('{"results": {"s": [{"translation": [0, 0, 0]}]}}', "sample s: a box without 'rotation'"),
    ],
)
def test_files_that_are_none_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_nuscenes(path)
    assert "bad.json" in str(error.value)

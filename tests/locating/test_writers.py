"""Tracks in every format, read back by libraries of others."""

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from locating_flight import ORIGIN, Drone, FlightConfig, World

from locating import track
from skyweave.locating.error_budget import error_budget
from skyweave.locating.track_table import tables_of
from skyweave.locating.writers.base import TRACK_WRITERS, TrackOutput
from skyweave.locating.writers.cursor_on_target import event_type

CONFIG = FlightConfig(60.0, 45.0, seconds=3.0, rate=2.5, objects=6)
START = 1_700_000_000 * 10**9  # 14 November 2023, 22:13:20 UTC


@pytest.fixture(scope="module")
def output() -> TrackOutput:
    stream = Drone(CONFIG, World(CONFIG, 3), 1030).stream()
    result = replace(track([replace(stream, start=START)], CONFIG), has_utc=True)
    return TrackOutput(result, tables_of(result), [])


def write(output: TrackOutput, name: str, folder: Path) -> Path:
    (path,) = TRACK_WRITERS[name](output, folder)
    return path


def test_geojson_is_a_line_a_track_with_its_ellipses(output: TrackOutput, tmp_path: Path) -> None:
    content = json.loads(write(output, "geojson", tmp_path).read_text())
    assert content["type"] == "FeatureCollection" and len(content["features"]) == len(output.tables) >= 3
    feature, table = content["features"][0], output.tables[0]
    assert feature["geometry"]["type"] == "LineString"
    longitude, latitude = feature["geometry"]["coordinates"][0]
    assert abs(longitude - 13.8) < 0.01 and abs(latitude - 48.926) < 0.01
    properties = feature["properties"]
    assert properties["times"][0].startswith("2023-11-14T22:13:2") and properties["times"][0].endswith("Z")
    assert len(properties["ellipse_semi_major"]) == len(table) == len(feature["geometry"]["coordinates"])
    variances = np.linalg.eigvalsh(table.covariances[-1])
    assert properties["ellipse_semi_major"][-1] == pytest.approx(np.sqrt(4.605 * variances[1]), rel=1e-3)


def test_geoparquet_keeps_covariances_and_says_its_reference_system(output: TrackOutput, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(write(output, "geoparquet", tmp_path))
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0" and geo["columns"]["geometry"]["crs"]["id"]["code"] == 32633
    point = np.frombuffer(table["geometry"][0].as_py()[5:], "<f8")
    assert np.allclose(point, [table["x"][0].as_py(), table["y"][0].as_py()]) and abs(point - ORIGIN).max() < 500
    assert table["variance_x"][0].as_py() == pytest.approx(output.tables[0].covariances[0, 0, 0])
    assert table["time"][0].as_py().timestamp() == pytest.approx(output.tables[0].times[0] / 1e9, abs=1e-3)


def test_csv_has_a_row_a_point(output: TrackOutput, tmp_path: Path) -> None:
    with write(output, "csv", tmp_path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(map(len, output.tables))
    assert rows[0]["category"] == output.tables[0].category and rows[0]["time"].endswith("Z")


def test_kml_plays_over_time(output: TrackOutput, tmp_path: Path) -> None:
    fastkml = pytest.importorskip("fastkml")
    document = fastkml.KML.parse(write(output, "kml", tmp_path), strict=False).features[0]
    places = list(document.features)
    assert len(places) == 2 * len(output.tables)  # a track and an ellipse each
    assert places[1].geometry.geom_type == "Polygon"
    text = (tmp_path / "tracks.kml").read_text()
    assert text.count("<when>") == text.count("<gx:coord>") == sum(map(len, output.tables))


def test_cursor_on_target_is_what_pytak_sends(output: TrackOutput, tmp_path: Path) -> None:
    import xml.etree.ElementTree as ElementTree

    pytak = pytest.importorskip("pytak")
    root = ElementTree.parse(write(output, "cot", tmp_path)).getroot()
    event, table = root[0], output.tables[0]
    theirs = pytak.gen_cot_xml(lat=1.0, lon=2.0, ce=3.0, uid="x", stale=30, cot_type="a-u-G")
    assert theirs is not None
    assert set(theirs.attrib) - {"access"} <= set(event.attrib)
    assert set(theirs.find("point").attrib) == set(event.find("point").attrib)  # type: ignore[union-attr]
    point = event.find("point")
    assert point is not None and float(point.attrib["lat"]) == pytest.approx(table.lon_lat[-1, 1], abs=1e-7)
    assert float(point.attrib["ce"]) == pytest.approx(np.sqrt(np.linalg.eigvalsh(table.covariances[-1])[1]), abs=0.01)
    assert event_type("car") == "a-u-G-E-V-C" and event_type("elephant") == "a-u-G"
    assert TRACK_WRITERS["cot"](replace(output, result=replace(output.result, has_utc=False)), tmp_path) == []


def test_mot_is_scored_by_motmetrics(output: TrackOutput, tmp_path: Path) -> None:
    motmetrics = pytest.importorskip("motmetrics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about motmetrics
        table = motmetrics.io.loadtxt(write(output, "mot", tmp_path), fmt=motmetrics.io.Format.MOT15_2D)
    assert len(table) == sum(map(len, output.tables))
    assert set(table.index.get_level_values(1)) == {one.number for one in output.tables}
    first = output.tables[0]
    box = output.result.located[0, int(first.frames[0])].detections.boxes[first.rows[0]]
    row = table.loc[(int(first.frames[0]) + 1, first.number)]
    assert row.Width == pytest.approx(box[2] - box[0], abs=0.01)


def test_the_report_needs_nothing_but_itself(output: TrackOutput, tmp_path: Path) -> None:
    page = write(output, "report", tmp_path).read_text()
    assert "http" not in page.replace("http-equiv", "") and page.count("<polyline") == len(output.tables)
    assert "heading" in page and "2023-11-14T22:13:20" in page


def test_the_budget_of_errors_adds_up(output: TrackOutput) -> None:
    budget = error_budget(output.result.located.values(), output.result.calibration)
    total = np.mean([
        np.trace(one.covariances(), axis1=1, axis2=2).mean() / 2 for one in output.result.located.values() if len(one)
    ])  # fmt: skip
    assert sum(np.square(list(budget.values()))) == pytest.approx(total, rel=0.15)
    assert max(budget, key=lambda name: budget[name]) in {"heading", "pitch", "up", "elevation"}

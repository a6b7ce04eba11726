"""Tracks in every format, read back by libraries of others."""

import csv
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from locating_flight import ORIGIN, Drone, FlightConfig, World

from locating import track
from skyweave.core.errors import DataError
from skyweave.core.geometry import camera_angles, rotation_from_quaternion, unproject_lon_lat
from skyweave.locating.error_budget import error_budget
from skyweave.locating.image_sequence import TimedImage
from skyweave.locating.track_table import TrackTable, tables_of, true_north_offset
from skyweave.locating.writers.base import TRACK_WRITERS, TrackOutput
from skyweave.locating.writers.cursor_on_target import event_type
from skyweave.recordings import load_recording
from skyweave.telemetry import read_telemetry
from skyweave.telemetry.formats.klv_encoding import encode_imapb

CONFIG = FlightConfig(60.0, 45.0, seconds=3.0, rate=2.5, objects=6)
START = 1_700_000_000 * 10**9  # 14 November 2023, 22:13:20 UTC


@pytest.fixture(scope="module")
def output() -> TrackOutput:
    stream = Drone(CONFIG, World(CONFIG, 3), 1030).stream()
    result = replace(track([replace(stream, start=START)], CONFIG), has_utc=True)
    return TrackOutput(result, tables_of(result), [])


class BlackImages:
    """As many black images as the flight has."""

    size = (CONFIG.rows, CONFIG.columns)

    def schedule(self) -> list[tuple[int, float, str]]:
        return [(frame, frame / CONFIG.rate, "") for frame in range(int(CONFIG.seconds * CONFIG.rate) + 1)]

    def images(self, start: int, with_pixels: bool) -> Iterator[TimedImage]:
        for frame, seconds, name in self.schedule()[start:]:
            yield TimedImage(frame, seconds, name, np.zeros((*self.size, 3), np.uint8))


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


def test_geopandas_reads_both(output: TrackOutput, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    lines = geopandas.read_file(write(output, "geojson", tmp_path))
    points = geopandas.read_parquet(write(output, "geoparquet", tmp_path))
    assert lines.crs == "EPSG:4326" and points.crs == output.result.crs and lines.is_valid.all()
    assert len(lines) == len(output.tables) and len(points) == sum(map(len, output.tables))
    table = output.tables[0]
    assert np.allclose(lines.to_crs(points.crs).geometry[0].coords, table.points, atol=0.02)
    assert points.geometry[0].distance(lines.to_crs(points.crs).geometry[0]) < 0.02


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
    path = write(output, "cot", tmp_path)
    root = ElementTree.parse(path).getroot()
    event, table = root[0], output.tables[0]
    theirs = pytak.gen_cot_xml(lat=1.0, lon=2.0, ce=3.0, uid="x", stale=30, cot_type="a-u-G")
    assert theirs is not None
    assert set(theirs.attrib) - {"access"} <= set(event.attrib)
    assert set(theirs.find("point").attrib) == set(event.find("point").attrib)  # type: ignore[union-attr]
    point = event.find("point")
    assert point is not None and float(point.attrib["lat"]) == pytest.approx(table.lon_lat[-1, 1], abs=1e-7)
    assert float(point.attrib["ce"]) == pytest.approx(np.sqrt(np.linalg.eigvalsh(table.covariances[-1])[1]), abs=0.01)
    assert event_type("car") == "a-u-G-E-V-C" and event_type("elephant") == "a-u-G"
    etree = pytest.importorskip("lxml.etree")
    etree.XMLSchema(file=Path(__file__).with_name("cursor_on_target.xsd")).assertValid(etree.parse(path))
    with pytest.raises(DataError, match="needs times in UTC; give the UTC time of the first image with --start"):
        TRACK_WRITERS["cot"](replace(output, result=replace(output.result, has_utc=False)), tmp_path)


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


def last_place(output: TrackOutput) -> tuple[TrackTable, int]:
    """A track and the last point of all, which the last message of formats over time holds, too."""
    table = max(output.tables, key=lambda one: int(one.times[-1]))
    return table, len(table) - 1


def test_mcap_says_what_its_json_holds(output: TrackOutput, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    reader = pytest.importorskip("mcap.reader")
    table, row = last_place(output)
    with write(output, "mcap", tmp_path).open("rb") as file:
        messages = [
            (s, c.topic, m.log_time, json.loads(m.data)) for s, c, m in reader.make_reader(file).iter_messages()
        ]
    tracks = [content for schema, topic, _, content in messages if topic == "/tracks"]
    for schema, _, _, content in messages:
        assert schema.encoding == "jsonschema"
        jsonschema.validate(content, json.loads(schema.data))
    assert sum(len(content["tracks"]) for content in tracks) == sum(map(len, output.tables))
    assert messages[-1][2] == table.times[row]
    (stated,) = [one for one in tracks[-1]["tracks"] if one["track"] == table.number]
    assert stated["covariance"] == pytest.approx(table.covariances[row].ravel())
    assert (stated["longitude"], stated["latitude"]) == pytest.approx(table.lon_lat[row], abs=1e-9)
    shown = json.loads(messages[-1][3]["geojson"])
    assert shown["type"] == "FeatureCollection" and len(shown["features"]) == len(tracks[-1]["tracks"])


def test_a_ros_bag_is_read_by_foxgloves_library_and_by_rosbags(output: TrackOutput, tmp_path: Path) -> None:
    rosbags = pytest.importorskip("rosbags.rosbag2")
    decoder = pytest.importorskip("mcap_ros2.decoder")
    reader = pytest.importorskip("mcap.reader")
    bag, (table, row) = write(output, "ros2", tmp_path), last_place(output)
    assert write(output, "ros2", tmp_path) == bag and sorted(path.name for path in tmp_path.iterdir()) == [bag.name]
    with rosbags.Reader(bag) as opened:
        assert [one.msgtype for one in opened.connections] == ["vision_msgs/msg/Detection3DArray"]
        assert opened.message_count == len({time for one in output.tables for time in one.times.tolist()})
    with next(bag.glob("*.mcap")).open("rb") as file:
        messages = [
            one
            for *_, one in reader.make_reader(
                file, decoder_factories=[decoder.DecoderFactory()]
            ).iter_decoded_messages()
        ]
    stamp = messages[-1].header.stamp
    assert stamp.sec * 10**9 + stamp.nanosec == table.times[row] and messages[-1].header.frame_id == "map"
    (seen,) = [one for one in messages[-1].detections if one.id == str(table.number)]
    centre, covariance = seen.bbox.center.position, np.array(seen.results[0].pose.covariance).reshape(6, 6)
    assert (centre.x, centre.y) == pytest.approx(table.points[row]) and seen.bbox.size.x == pytest.approx(table.size[0])
    assert np.allclose(covariance[:2, :2], table.covariances[row]) and covariance[2, 2] > 0 and covariance[5, 5] > 0
    assert seen.results[0].hypothesis.class_id == table.category


def test_rerun_reads_its_file(output: TrackOutput, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    program, path = Path(sys.executable).with_name("rerun"), write(output, "rerun", tmp_path)
    done = subprocess.run([program, "rrd", "print", "-v", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    images = len({time for table in output.tables for time in table.times.tolist()})
    for name in ("/world/objects", "/world/ellipses", "/map/objects"):
        assert re.search(rf"with {images} rows .* - {name} - ", done.stdout), done.stdout


def test_nuscenes_tables_hold_images_and_tracks(output: TrackOutput, tmp_path: Path) -> None:
    stream = output.result.streams[0]
    streams = [replace(stream, images=stream.images[-2:])]
    short = replace(output, result=replace(output.result, streams=streams), sequences=[BlackImages()])
    path = write(short, "nuscenes", tmp_path)
    (scene,) = load_recording(path).scenes
    assert len(scene.frames) == 2 and scene.crs == output.result.crs
    table, row = last_place(output)
    annotations = scene.frames[-1].annotations
    assert annotations is not None
    place = annotations.instances.index(str(table.number))
    assert np.allclose(annotations.boxes.centres[place, :2], table.points[row], atol=1e-3)
    assert np.allclose(annotations.velocities[place], table.velocities[row], atol=1e-6)
    assert next(iter(scene.frames[0].captures.values())).load().pixels.shape == (3, CONFIG.rows, CONFIG.columns)
    with pytest.raises(DataError, match="need images"):
        TRACK_WRITERS["nuscenes"](output, tmp_path)


def items_of(content: bytes, start: int = 0) -> dict[int, bytes]:
    """The items of a local set, tags and lengths in their long forms, too."""
    items = {}
    while start < len(content):
        tag = 0
        while content[start] & 0x80:
            tag, start = tag << 7 | content[start] & 0x7F, start + 1
        tag, start = tag << 7 | content[start], start + 1
        length, start = length_at(content, start)
        items[tag] = content[start : start + length]
        start += length
    return items


def length_at(content: bytes, start: int) -> tuple[int, int]:
    size = content[start] & 0x7F
    if content[start] < 0x80:
        return size, start + 1
    return int.from_bytes(content[start + 1 : start + 1 + size], "big"), start + 1 + size


def test_klv_holds_the_camera_and_its_targets(
    output: TrackOutput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    klvdata = pytest.importorskip("klvdata")
    parsers = klvdata.misb0601.UASLocalMetadataSet.parsers
    monkeypatch.delitem(parsers, b"\x4a")  # its class for VMTI is abstract, and fails where there is any
    path, (table, row) = write(output, "klv", tmp_path), last_place(output)
    packets: list[Any] = list(klvdata.StreamParser(path.read_bytes()))
    assert len(packets) == len(output.result.located)
    stated = packets[-1].MetadataList()
    stream = output.result.streams[0]
    (sample,) = stream.track.samples(np.array([stream.images[-1].time]), output.result.calibration.means[0])
    assert sample is not None
    place = unproject_lon_lat(sample.state.geometry.position[None, :2], output.result.crs)[0]
    assert (float(stated[14][-1]), float(stated[13][-1])) == pytest.approx(place, abs=1e-6)
    whole = items_of(bytes(packets[-1].value))
    assert int.from_bytes(whole[2], "big") == table.times[row] // 1000
    vmti = items_of(whole[74])
    assert vmti[8] == b"\x07\x80" and vmti[9] == b"\x04\x38" and int.from_bytes(vmti[7], "big") == table.frames[row]
    targets, start = {}, 0
    while start < len(vmti[101]):
        length, start = length_at(vmti[101], start)
        targets[vmti[101][start]] = items_of(vmti[101][: start + length], start + 1)
        start += length
    assert len(targets) == int.from_bytes(vmti[6], "big")
    target = targets[table.number]
    location = [int.from_bytes(target[17][k : k + 4], "big") for k in (0, 4)]
    assert (location[1] / 2**22 - 180, location[0] / 2**23 - 90) == pytest.approx(table.lon_lat[row], abs=3e-7)
    east, north, correlation = (int.from_bytes(target[17][k : k + 2], "big") for k in (10, 12, 16))
    variances = np.diag(table.covariances[row])  # of the grid, which is nearly true east and north here
    assert (east / 32, north / 32) == pytest.approx(np.sqrt(variances), rel=0.05, abs=0.1)
    expected = table.covariances[row][0, 1] / np.sqrt(variances.prod())
    assert correlation / 2**14 - 1 == pytest.approx(expected, abs=0.1)
    box = output.result.located[0, int(table.frames[row])].detections.boxes[table.rows[row]]
    corner = int.from_bytes(target[2], "big") - 1
    assert divmod(corner, CONFIG.columns) == (int(box[1]), int(box[0]))
    assert items_of(target[102])[2] == table.category.encode()
    tracker = items_of(target[104])
    speed = np.hypot(*(int.from_bytes(tracker[10][k : k + 2], "big") / 16 - 900 for k in (0, 2)))
    assert len(tracker[1]) == 16 and speed == pytest.approx(table.speeds[row], abs=0.15)
    with pytest.raises(DataError, match="needs times in UTC; give the UTC time of the first image with --start"):
        TRACK_WRITERS["klv"](replace(output, result=replace(output.result, has_utc=False)), tmp_path)


def test_the_camera_in_klv_is_read_as_telemetry(output: TrackOutput, tmp_path: Path) -> None:
    poses = read_telemetry(write(output, "klv", tmp_path))
    stream = output.result.streams[0]
    times = np.array([image.time for image in stream.images])
    for number, sample in enumerate(stream.track.samples(times, output.result.calibration.means[0])):
        assert sample is not None
        yaw, pitch, roll = camera_angles(sample.state.geometry.world_from_camera)
        read = camera_angles(rotation_from_quaternion(poses.enu_from_camera[number]))
        north = true_north_offset(output.result.crs, poses.places[number, ::-1])
        assert read == pytest.approx((yaw - north, pitch, roll), abs=2e-3)  # turns are of 16 bits
    assert "height" not in poses.heights or not poses.heights


def test_locations_are_as_other_encoders_write_them() -> None:
    """Numbers and bytes of the tests of an independent implementation of ST 0903 (jMISB)."""
    values = [(-10.5423886331461, -90, 90, 4), (29.157890122923, -180, 180, 4), (3216.0, -900, 19_000, 2)]
    values += [
        (0.1, 0, 650, 2),
        (3.0, 0, 650, 2),
        (649.9, 0, 650, 2),
        (-1.0, -1, 1, 2),
        (0.0, -1, 1, 2),
        (0.5, -1, 1, 2),
    ]
    written = b"".join(encode_imapb(*value) for value in values)
    assert written.hex() == "27ba9302344a1adf1014" + "00030060513c" + "000040006000"

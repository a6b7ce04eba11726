"""The one command, from a log, a list of images and boxes in files to tracks on the map."""

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from locating_flight import CRS, ORIGIN, Drone, FlightConfig, World, write_flight
from PIL import Image

from fabricated_photo import DOWN, RELATIVE, write_photo, xmp_of
from skyweave.cli.main import main
from skyweave.core.geometry.geodesy import project_lon_lat, unproject_lon_lat
from skyweave.locating.image_sequence import open_sequence
from skyweave.telemetry.log_completion import parse_utc, read_camera

CONFIG = FlightConfig(60.0, 45.0, seconds=4.0, rate=2.5, objects=6, moving=0.0)


@pytest.fixture
def flight(tmp_path: Path) -> dict[str, Path]:
    return write_flight(Drone(CONFIG, World(CONFIG, 3), 1030), tmp_path)


def run(flight: dict[str, Path], folder: Path, *options: str) -> int:
    return main([
        "locate", str(flight["images"]), "--telemetry", str(flight["log"]), "--detector", str(flight["boxes"]),
        "--camera", str(flight["camera"]), "-o", str(folder), *options,
    ])  # fmt: skip


def test_tracks_lie_where_the_objects_are(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flight, tmp_path / "out", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tracks"] >= 4 and report["files"][0].endswith("tracks.geojson")
    places = World(CONFIG, 3).at(0.0)[0][:, :2] + ORIGIN
    content = json.loads((tmp_path / "out/tracks.geojson").read_text())
    for feature in content["features"]:
        last = project_lon_lat(np.array(feature["geometry"]["coordinates"][-1:]), "EPSG:32633")[0]
        distance = np.linalg.norm(places - last, axis=1).min()
        assert distance < 3 * feature["properties"]["ellipse_semi_major"][-1]


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, whole = tmp_path / "out", tmp_path / "whole"
    options = ["--formats", "csv", "geojson", "mot", "--no-calibration"]
    for output in (folder, whole):
        assert run(flight, output, *options) == 0
    boxes = (folder / "boxes-1.jsonl").read_text().splitlines(keepends=True)
    (folder / "boxes-1.jsonl").write_text("".join(boxes[:4]) + boxes[4][:30])  # as a kill leaves it
    (folder / "tracks.csv").unlink()
    flight["boxes"].write_text("".join(flight["boxes"].read_text().splitlines(keepends=True)[4:]))  # the first are gone
    assert run(flight, folder, *options, "--resume") == 0
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in folder.iterdir())
    assert all((folder / name).read_bytes() == (whole / name).read_bytes() for name in names)
    assert run(flight, folder, "--formats", "csv", "--resume", "--min-score", "0.9") == 2
    assert "start anew without --resume" in capsys.readouterr().err


def test_two_drones_share_their_tracks_and_have_files_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(CONFIG, 3)
    options: dict[str, list[str]] = {"log": [], "images": [], "boxes": [], "camera": []}
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, path in write_flight(Drone(CONFIG, world, 1030 + number, number), folder).items():
            options[name].append(str(path))
    arguments = ["locate", *options["images"], "--telemetry", *options["log"], "--detector", *options["boxes"]]
    arguments += [
        "--camera",
        options["camera"][0],
        "-o",
        str(tmp_path / "out"),
        "--formats",
        "geojson",
        "mot",
        "--json",
    ]
    assert main(arguments) == 2
    assert "--start" in capsys.readouterr().err
    assert main([*arguments, "--start", "2026-11-30T12:00:00Z"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(set(report["files"])) == 3 and report["tracks"] <= len(world.categories) + 1
    content = json.loads((tmp_path / "out/tracks.geojson").read_text())
    assert any(feature["properties"]["cameras"] == [0, 1] for feature in content["features"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "noon"], "--start noon is no time"),
        (["--formats", "csv", "kmz"], "no format of tracks 'kmz', did you mean 'kml'"),
        (["--count-lines", "lines.geojson"], "lines.geojson"),
        (["--start", "2026"], "--start 2026 is no time"),
        (["--start", "2026-11-30"], "--start 2026-11-30 has no time of day"),
        (["--pitch", "-45"], "no camera sees the ground"),
        (["--formats", "csv", "video"], "an annotated video needs images"),
        (["--rate", "0"], "--rate 0 must be above 0"),
        (["--min-score", "50"], "--min-score 50 must be between 0 and 1"),
        (["--classes", "cat"], "has no class 'cat', did you mean 'car'?; choose among"),
        (["--slice", "640"], "--slice is for a model, and"),
        (["--heading-std", "-3"], "--heading-std -3 must not be negative"),
        (["--telemetry", "log.csv", "log.csv"], "1 videos and 2 logs"),
    ],
)
def test_mistakes_are_answered_in_a_line(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    options = [str(tmp_path / option) if option == "log.csv" else option for option in options]
    assert run(flight, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    at_once = {"--start", "--count-lines", "--rate", "--telemetry", "kmz"}
    assert not (at_once & set(options) and (tmp_path / "out").exists())


def test_lines_and_areas_are_counted(flight: dict[str, Path], tmp_path: Path) -> None:
    ring = unproject_lon_lat(ORIGIN + np.array([[-400, -400], [400, -400], [400, 400], [-400, 400], [-400, -400]]), CRS)
    (tmp_path / "areas.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring.tolist()]}))
    assert run(flight, tmp_path / "out", "--count-lines", str(tmp_path / "areas.geojson"), "--formats", "report") == 0
    rows = (tmp_path / "out/counts.csv").read_text().splitlines()
    assert rows[0].startswith("name,kind,class") and rows[-1].startswith("area 1,area,all,0,0,")
    assert int(rows[-1].split(",")[5]) >= 4 and "<h2>Counts</h2>" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("column", "message"),
    [("altitude(m)", "does not say what its heights count from"), ("amsl(m)", "heights above the sea level only")],
)
def test_heights_that_are_not_above_the_ground_need_it(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, message: str
) -> None:
    flight["log"].write_text(flight["log"].read_text().replace("height_above_ground(m)", column))
    assert run(flight, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and "--height" in error
    assert run(flight, tmp_path / "out", "--height", "60", "--formats", "geojson") == 0


@pytest.mark.parametrize("column", ["amsl(m)", "height_above_takeoff(m)"])
def test_an_elevation_model_carries_heights_of_either_zero(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str
) -> None:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", width=60, height=60, count=1, dtype="float32", crs="EPSG:32633",
        transform=rasterio.Affine(50, 0, ORIGIN[0] - 1500, 0, -50, ORIGIN[1] + 1500),
    ) as raster:  # fmt: skip
        raster.write(np.full((1, 60, 60), 300, np.float32))
    assert run(flight, tmp_path / "level", "--formats", "geojson") == 0
    header, *rows = flight["log"].read_text().splitlines()
    if column.startswith("amsl"):
        cells = [row.split(",") for row in rows]
        rows = [",".join([*row[:3], str(float(row[3]) + 300), *row[4:]]) for row in cells]
    flight["log"].write_text("\n".join([header.replace("height_above_ground(m)", column), *rows]))
    assert run(flight, tmp_path / "model", "--dem", str(tmp_path / "dem.tif"), "--formats", "geojson") == 0
    level, model = (
        json.loads((tmp_path / name / "tracks.geojson").read_text())["features"] for name in ("level", "model")
    )
    assert len(level) == len(model) >= 4
    ends = [[feature["geometry"]["coordinates"][-1] for feature in features] for features in (level, model)]
    places = [project_lon_lat(np.array(end), "EPSG:32633") for end in ends]
    assert np.abs(places[0] - places[1]).max() < 2.0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("frame,seconds\n0,1000\n1,1001\n", "none of its images has a pose: they are of 1000.0 to 1001.0 s"),
        ("frame,seconds\n0,1\n1,1\n", "seconds must grow"),
    ],
)
def test_images_at_other_times_than_the_log(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, message: str
) -> None:
    flight["images"].write_text(table)
    assert run(flight, tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_a_log_without_angles_names_the_option(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",")[:4] for line in flight["log"].read_text().splitlines()]
    flight["log"].write_text("\n".join(",".join(row) for row in rows))
    assert run(flight, tmp_path / "out") == 2
    assert "--pitch" in capsys.readouterr().err
    assert run(flight, tmp_path / "out", "--pitch", "45", "--formats", "geojson") == 0
    assert "where the drone flies" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"distortion": [0.1, 0, 0, 0, 0, 0.1, 0, 0]}, "8 distortion coefficients, and only k1 k2 p1 p2 k3"),
        ({"distortion": [0.1, 0, 0, 0], "distortion_model": "equidistant"}, "the lens model 'equidistant'"),
        ({"intrinsics": [[600, 0, 480], [0, 600, 270], [0, 0, 1]]}, "far from the middle of its image of 1920 x 1080"),
        ({"intrinsics": [[2400, 0, 1920], [0, 2400, 1080], [0, 0, 1]]}, "outside its image of 1920 x 1080"),
        ({"distortion": [-3, 0, 0, 0, 0]}, "folds most of the image over"),
    ],
)
def test_lenses_that_are_not_read_are_refused(
    flight: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: dict[str, object],
    message: str,
) -> None:
    flight["camera"].write_text(json.dumps(json.loads(flight["camera"].read_text()) | content))
    assert run(flight, tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_calibrations_of_ros_count_pixels_from_their_centres(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text(
        "image_width: 1920\nimage_height: 1080\ncamera_matrix: {data: [1400, 0, 959.5, 0, 1400, 539.5, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\ndistortion_coefficients: {data: [0.1, 0, 0, 0, 0]}\n"
    )
    camera = read_camera(tmp_path / "camera.yaml")
    assert camera.intrinsics[:2, 2].tolist() == [960, 540] and camera.distortion[0] == 0.1


def test_images_of_a_folder_go_by_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        Image.new("RGB", (4, 4)).save(tmp_path / f"f{number}.png")
    assert [name for *_, name in open_sequence(tmp_path).schedule()] == ["f2.png", "f9.png", "f10.png"]


def test_photographs_are_of_the_times_and_places_that_they_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Straight down, what is in the middle of a photograph is where the photograph was taken."""
    fastkml = pytest.importorskip("fastkml")
    folder, latitudes = tmp_path / "photos", (46.5, 46.52, 46.54)
    for number, latitude in enumerate(latitudes):  # names say another order than times
        taken = {36867: f"2026:11:30 10:00:{7 * number:02}"}
        xmp = xmp_of("drone-dji", DOWN | RELATIVE)
        write_photo(folder / f"{9 - number}.jpg", latitude, xmp=xmp, camera=taken | {41989: 24})
    line = {"boxes": [[28, 19, 32, 21]], "scores": [0.8], "categories": ["car"]}
    boxes = tmp_path / "boxes.jsonl"
    boxes.write_text("".join(json.dumps(line | {"frame": number}) + "\n" for number in range(3)))
    command = ["locate", str(folder), "--telemetry", str(folder), "--detector", str(boxes)]
    assert main([*command, "--formats", "geojson", "kml", "-o", str(tmp_path / "out"), "--json"]) == 0
    assert not [note for note in json.loads(capsys.readouterr().out)["notes"] if "first pose" in note]
    features = json.loads((tmp_path / "out/tracks.geojson").read_text())["features"]
    assert main([*command, "--formats", "cot", "-o", str(tmp_path / "cot")]) == 2  # of a camera's local time
    assert "needs times in UTC" in capsys.readouterr().err
    start = ["--start", "2026-11-30T08:00:00Z"]
    assert main([*command, "--formats", "cot", "-o", str(tmp_path / "cot"), *start]) == 0
    assert 'start="2026-11-30T08:00:14.000' in (tmp_path / "cot/tracks.cot.xml").read_text()
    assert [feature["geometry"]["type"] for feature in features] == ["Point"] * 3
    for feature, latitude in zip(features, latitudes, strict=True):
        np.testing.assert_allclose(feature["geometry"]["coordinates"], [7.5, latitude], atol=2e-5)
    document = fastkml.KML.parse(tmp_path / "out/tracks.kml", strict=False).features[0]
    assert [place.geometry.geom_type for place in document.features] == ["Point", "Polygon"] * 3


def test_objects_are_followed_however_slowly_images_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = dataclasses.replace(CONFIG, seconds=12.0, rate=0.4)
    assert run(write_flight(Drone(slow, World(slow, 3), 1030), tmp_path), tmp_path / "out", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tracks"] >= 4 and report["points"] >= 2 * report["tracks"]


def test_images_of_a_video_have_their_own_times(tmp_path: Path) -> None:
    """Phones and drones drop images: the number of an image times a rate is not when it was taken."""
    path, times = tmp_path / "a.mp4", [0, 1, 2, 3, 14, 15, 16, 29]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for number, ticks in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sequence = open_sequence(path)
    assert [seconds for _, seconds, _ in sequence.schedule()] == pytest.approx([ticks / 10 for ticks in times])
    for image in sequence.images(0, True):
        assert image.pixels is not None and image.pixels.mean() == pytest.approx(20 * image.frame, abs=4)
    seconds = [image.seconds for image in sequence.images(0, False)]
    assert seconds == [image.seconds for image in sequence.images(0, True)]


@pytest.mark.parametrize(("start", "seconds"), [("2026-11-30T12:00:00.5+02:00", 36000.5), ("2026-11-30 10:00Z", 36000)])
def test_times_of_users_have_zones(start: str, seconds: float) -> None:
    assert parse_utc(start) == round((1_795_996_800 + seconds) * 1e9)


def test_classes_and_scores_choose_among_the_boxes_of_a_file(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flight, tmp_path / "out", "--classes", "car", "--formats", "csv", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["categories"]) == {"car"}
    assert run(flight, tmp_path / "none", "--min-score", "0.95", "--formats", "csv") == 0
    assert "no image has a box" in capsys.readouterr().err


def test_what_is_read_is_not_overwritten(
    flight: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight["boxes"] = flight["boxes"].rename(tmp_path / "boxes-1.jsonl")
    before = flight["boxes"].read_bytes()
    assert run(flight, tmp_path) == 2 and "which is read; choose another folder" in capsys.readouterr().err
    assert flight["boxes"].read_bytes() == before

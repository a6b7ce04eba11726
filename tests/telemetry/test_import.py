"""Videos and logs to recordings: the command as a user types it, held against the flight that was rendered."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from fabricated_video import COLUMNS, CRS, EAST, NORTH, RATE, ROWS, Flight, write_subtitles, write_video
from skyweave.cli.main import main
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.frames import camera_angles
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.recordings import RecordedScene, load_recording
from waiting import until

FLIGHT = Flight(seconds=8.0, delay=0.6, boresight=(0.02, -0.03, 0.01), car=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flight")
    write_video(folder / "a.mp4", FLIGHT)
    write_subtitles(folder / "a.srt", FLIGHT)
    write_subtitles(folder / "plain.srt", FLIGHT, gimbal=False)
    return folder


def run(folder: Path, capsys: pytest.CaptureFixture[str], *options: str, images: str = "a.mp4") -> dict[str, Any]:
    output = folder / f"recording-{len(list(folder.iterdir()))}"
    arguments = [*options, "--fov", "70"] if images.endswith(".mp4") else list(options)
    assert main(["import", str(folder / images), "-o", str(output), "--json", *arguments]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    return summary


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *options: str, images: str = "a.mp4") -> str:
    assert main(["import", str(folder / images), "-o", str(folder / "refused"), *options]) == 2
    return capsys.readouterr().err


def scene_of(summary: dict[str, Any]) -> RecordedScene:
    return load_recording(summary["path"]).scenes[0]


def box_of_car(time: float) -> tuple[float, float, float, float]:
    """Left, top, width and height of the car's outline in the image of a time."""
    flat = Boxes(np.array([[*FLIGHT.car_at(time), 0.0]]), np.array([[4.6, 1.94, 1e-3]]), np.zeros(1))
    pixels, _ = FLIGHT.geometry(time).project(flat.corners()[0])
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    return left, top, right - left, bottom - top


def test_delay_and_boresight_are_found_from_motion_and_labels_become_objects(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{number + 1},7,{','.join(f'{value:.2f}' for value in box_of_car(number / RATE))},1,3,1"
        for number in range(0, 80, 5)
    ]
    (folder / "gt.txt").write_text("\n".join(rows))
    summary = run(folder, capsys, "--telemetry", str(folder / "a.srt"), "--labels", str(folder / "gt.txt"))
    assert summary["frames"] == summary["objects"] == 16 and summary["captures"] == {"UAV_1": 16}
    (note,) = [note for note in summary["notes"]["UAV_1"] if note.startswith("from the motion")]
    assert "the log is +0.6" in note
    scene = scene_of(summary)
    assert scene.crs == CRS
    for frame in scene.frames[::5]:
        capture = frame.captures["UAV_1"]
        truth = FLIGHT.geometry(capture.time / 1e9)
        assert np.linalg.norm(capture.geometry.position - truth.position) < 0.2  # 4 m without the delay
        between = capture.geometry.world_from_camera[:3, :3].T @ truth.world_from_camera[:3, :3]
        assert np.degrees(np.arccos((np.trace(between) - 1) / 2)) < 1.0  # 2.1 degrees without the boresight
        assert capture.load().pixels.shape == (3, ROWS, COLUMNS)
        objects = frame.annotations
        assert objects is not None and objects.categories == ("car",) and objects.instances == ("UAV_1-7",)
        assert np.linalg.norm(objects.boxes.centres[0, :2] - FLIGHT.car_at(frame.time / 1e9)) < 1.5
        assert objects.boxes.yaws[0] == pytest.approx(0, abs=0.1)
        assert objects.velocities[0] == pytest.approx([8, 0], abs=1.0)
    assert json.loads((Path(summary["tables"]) / "skyweave.json").read_text())["world"]["imported"]["UAV_1"][
        "delay"
    ] == pytest.approx(0.6, abs=0.05)


def test_what_the_user_says_is_believed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--telemetry", str(folder / "a.srt"), "--offset", "0.6", "--interval", "1", "--scene", "one"]
    summary = run(folder, capsys, *options, "--split", "val", "--start", "2026-11-30T14:00:00", "--platform", "kite")
    recording = load_recording(summary["path"])
    (scene,) = recording.split("val")
    times = [frame.time for frame in scene.frames]
    assert times[0] == 1_796_047_200 * 10**9 and np.diff(times).tolist() == [10**9] * 7
    position = scene.frames[3].captures["kite"].geometry.position
    np.testing.assert_allclose(position, FLIGHT.geometry(3.0).position, atol=0.05)


def test_a_log_without_a_gimbal_is_completed_or_refused_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ["--telemetry", str(folder / "plain.srt")]
    assert "hold no gimbal angles; give the camera's pitch with --pitch" in refused(folder, capsys, *log, "--fov", "70")
    assert "says nothing of the lens; give the horizontal field of view in degrees with --fov" in refused(
        folder, capsys, *log, "--pitch", "55"
    )
    options = [*log, "--pitch", "55", "--heading", "90", "--no-alignment", "--interval", "4"]
    pose = scene_of(run(folder, capsys, *options)).frames[0].captures["UAV_1"].geometry.world_from_camera
    assert np.degrees(camera_angles(pose)) == pytest.approx([0, 55, 0], abs=2)


def test_a_drone_and_a_fixed_camera_are_one_recording(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    longitude, latitude = unproject_lon_lat(FLIGHT.position(4.0)[None], CRS)[0]
    (folder / "cameras.yaml").write_text(
        f"""scene: yard
interval: 1.0
cameras:
  - {{images: {folder}/a.mp4, telemetry: {folder}/a.srt, field_of_view: 70, start: "2026-11-30T14:00:00", offset: 0.6}}
  - {{images: {folder}/a.mp4, platform: mast, latitude: {latitude}, longitude: {longitude}, height: 12, heading: 45,
      pitch: 20, field_of_view: 60, start: "2026-11-30T14:00:02"}}
"""
    )
    scene = scene_of(run(folder, capsys, images="cameras.yaml"))
    seen = ["/".join(sorted(frame.captures)) for frame in scene.frames]
    assert seen == ["UAV_1"] * 2 + ["UAV_1/mast"] * 6 + ["mast"] * 2
    mast = scene.frames[4].captures["mast"].geometry
    np.testing.assert_allclose(mast.position, [*FLIGHT.position(4.0)[:2], 12], atol=0.01)
    assert np.degrees(camera_angles(mast.world_from_camera)) == pytest.approx([45 + 1.5, 20, 0], abs=0.2)
    message = refused(folder, capsys, "--height", "3", images="cameras.yaml")
    assert "take --height away" in message
    without = (folder / "cameras.yaml").read_text().replace(' start: "2026-11-30T14:00:00",', "")
    (folder / "clocks.yaml").write_text(without)
    assert "give the UTC time of the first image with --start" in refused(folder, capsys, images="clocks.yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--telemetry", "none.srt"], "there is no log"),
        ([], "carries no telemetry; give its log with --telemetry"),
        (["--telemetry", "a.srt", "--interval", "0"], "interval 0.0 must be seconds above 0"),
        (["--telemetry", "a.srt", "--offset", "900"], "every 0.2 s; check --start and --offset"),
        (["--telemetry", "a.srt", "--labels", "a.mp4", "--labels-format", "coco"], "holds no labels of COCO"),
        (["--telemetry", "a.srt", "--labels-format", "yolo", "--labels", "a.srt"], "no label format 'yolo'"),
        (["--telemetry", "a.srt", "--telemetry-format", "px4-ulog"], "is no ULog"),
        (["--telemetry", "log.csv"], "with --height"),
        (["--telemetry", "a.srt", "--max-columns", "0"], "max_columns 0 must be pixels"),
        (["--telemetry", "a.srt", "--pitch", "-55", "--heading", "90"], "no camera sees the ground"),
    ],
)
def test_what_cannot_be_imported_is_said_in_one_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    Path("log.csv").write_text(
        "time,lat,lon,altitude,gimbal_heading,gimbal_pitch\n0,48,11,500,0,-60\n9,48,11,500,0,-60\n"
    )
    error = refused(folder, capsys, "--fov", "70", *options)
    assert message in error and error.count("\n") == 1
    assert not (folder / "refused").exists() or not list((folder / "refused").glob("v1.0*"))


def test_over_an_elevation_model_heights_are_those_above_the_sea(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with rasterio.open(
        folder / "dem.tif",
        "w",
        driver="GTiff",
        width=50,
        height=50,
        count=1,
        dtype="float32",
        crs=CRS,
        transform=rasterio.transform.from_origin(EAST - 2500, NORTH + 2500, 100, 100),
    ) as raster:
        raster.write(np.full((1, 50, 50), 520, np.float32))
    options = ["--telemetry", str(folder / "a.srt"), "--dem", str(folder / "dem.tif"), "--no-alignment"]
    scene = scene_of(run(folder, capsys, *options, "--interval", "4"))
    assert scene.ground.height(np.array([[EAST, NORTH]])) == pytest.approx(520)
    assert scene.frames[0].captures["UAV_1"].geometry.position[2] == pytest.approx(580)  # abs_alt of the subtitles


def test_a_log_on_another_clock_needs_the_start_of_the_video(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{1_796_047_200 + k},48.1,11.0,60,{90},-55,0\n" for k in range(10))
    (folder / "utc.csv").write_text(
        "timestamp,latitude,longitude,height_above_takeoff(m),gimbal_heading,gimbal_pitch,gimbal_roll\n" + rows
    )
    options = ["--telemetry", str(folder / "utc.csv"), "--no-alignment", "--interval", "2"]
    assert "clock of its own (utc)" in refused(folder, capsys, *options, "--fov", "70")
    assert run(folder, capsys, *options, "--start", "2026-11-30T14:00:01")["frames"] == 4


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_import_that_was_killed_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    arguments = ["import", str(folder / "a.mp4"), "--telemetry", str(folder / "a.srt"), "--fov", "70"]
    arguments += ["--no-alignment", "--interval", "0.2", "--png"]
    killed, whole = tmp_path / "killed" / "a", tmp_path / "whole" / "a"
    journal = killed / "fragments" / "scene-1.captures.jsonl"

    def lines() -> int:
        return len(journal.read_bytes().splitlines()) if journal.exists() else 0

    process = subprocess.Popen([sys.executable, "-m", "skyweave", *arguments, "-o", str(killed)])
    until(lambda: lines() >= 3, seconds=90)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    first = sorted((killed / "samples").rglob("*.png"))[0]
    written = first.stat().st_mtime_ns
    assert main([*arguments, "-o", str(whole)]) == 0
    assert main([*arguments, "-o", str(killed), "--resume"]) == 0
    assert first.stat().st_mtime_ns == written  # it was reused
    assert files_of(killed) == files_of(whole)


def test_an_import_of_other_options_is_not_gone_on_with(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "a" / "fragments" / "scene-1.captures.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"image": "samples/UAV_1/a.jpg", "made_from": "others"}\n')
    arguments = ["import", str(folder / "a.mp4"), "--telemetry", str(folder / "a.srt"), "--fov", "70", "--resume"]
    assert main([*arguments, "--no-alignment", "-o", str(tmp_path / "a")]) == 2
    assert "start anew without --resume" in capsys.readouterr().err


def test_keyframes_without_a_pose_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "a.srt").read_text()
    (folder / "short.srt").write_text(text[: text.index("00:00:02,000 -->")])
    summary = run(folder, capsys, "--telemetry", str(folder / "short.srt"), "--no-alignment")
    assert summary["frames"] == 6  # the last pose is held for a second
    assert any(note.startswith("10 of 16 keyframes have no pose at their time") for note in summary["notes"]["UAV_1"])


def test_a_height_above_the_ground_needs_level_ground(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--telemetry", str(folder / "a.srt"), "--height", "60", "--fov", "70"]
    error = refused(folder, capsys, *options, "--dem", "dem.tif")
    assert "states heights above the ground only; leave --dem away" in error
    assert run(folder, capsys, *options[:4], "--no-alignment")["frames"] == 16

"""What is written comes back, the same files each time, and a broken run goes on where it stopped."""

import json
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_recordings import CATEGORIES, CRS, SURFACES, scene
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, GroundPlane
from skyweave.core.sensors import get_sensor
from skyweave.recordings.nuscenes import (
    finish_recording,
    load_recording,
    rasters,
    recording_layout,
    scene_is_written,
    write_scene,
)
from skyweave.recordings.nuscenes.rows import level_body
from skyweave.recordings.nuscenes.tables import TABLES
from skyweave.recordings.recording import RecordedScene


def write(folder: Path, *scenes: RecordedScene) -> Path:
    for one in scenes:
        write_scene(folder, one, CATEGORIES)
    splits = {"train": [scenes[0].name], "val": [one.name for one in scenes[1:]]}
    finish_recording(folder, "fabricated", splits, surfaces=SURFACES, world={"seed": 1})
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_everything_comes_back(tmp_path: Path) -> None:
    made = scene(noise=0.5, distortion=(-0.1, 0.01, 0.001, -0.002, 0.0))
    recording = load_recording(write(tmp_path, made, scene("other", frames=1)))
    assert recording_layout(tmp_path) == "skyweave"
    assert (recording.name, recording.categories, recording.surfaces) == ("fabricated", CATEGORIES, SURFACES)
    assert recording.splits == {"train": ("crossing-0",), "val": ("other",)} and recording.notes == ()
    (back,) = recording.split("train")
    assert (back.name, back.crs, back.description, back.location) == (made.name, CRS, made.description, made.location)
    for expected, frame in zip(made.frames, back.frames, strict=True):
        assert frame.time == expected.time and list(frame.captures) == list(expected.captures)
        for channel, theirs in expected.captures.items():
            ours = frame.captures[channel]
            assert (ours.platform, ours.time, ours.true_time) == (theirs.platform, theirs.time, theirs.true_time)
            assert ours.geometry.crs == CRS and ours.geometry.camera.distortion == theirs.geometry.camera.distortion
            assert ours.true_geometry is not None and theirs.true_geometry is not None
            for got, wanted in ((ours.geometry, theirs.geometry), (ours.true_geometry, theirs.true_geometry)):
                np.testing.assert_allclose(got.world_from_camera, wanted.world_from_camera, rtol=0, atol=1e-8)
                np.testing.assert_array_equal(got.camera.intrinsics, wanted.camera.intrinsics)
            seen, known = ours.load(), theirs.load()
            np.testing.assert_array_equal(seen.pixels, known.pixels)
            assert (seen.sensor, seen.time) == (known.sensor, ours.time)
            assert seen.ground_sample_distance == known.ground_sample_distance
            for ours_load, theirs_load in (
                (ours.load_instances, theirs.load_instances),
                (ours.load_classes, theirs.load_classes),
            ):
                assert ours_load is not None and theirs_load is not None
                np.testing.assert_array_equal(ours_load(), theirs_load())
            assert ours.load_depth is not None and theirs.load_depth is not None
            np.testing.assert_allclose(ours.load_depth(), theirs.load_depth(), atol=0.002)
        objects, truth = frame.annotations, expected.annotations
        assert objects is not None and truth is not None
        np.testing.assert_allclose(objects.boxes.corners(), truth.boxes.corners(), atol=1e-8)
        np.testing.assert_array_equal(objects.velocities, truth.velocities)
        assert (objects.categories, objects.instances) == (truth.categories, truth.instances)
        assert objects.visibility.keys() == truth.visibility.keys()
        for channel, shares in truth.visibility.items():
            np.testing.assert_array_equal(objects.visibility[channel], shares)


def test_other_sensors_are_stored_exactly_beside_a_preview(tmp_path: Path) -> None:
    sensor = get_sensor("naip") if len(get_sensor("naip")) == 4 else get_sensor("sentinel2-l2a")
    made = scene(sensor=sensor, frames=1)
    (back,) = load_recording(write(tmp_path, made)).scenes
    capture = back.frames[0].captures["UAV_2"]
    ours, theirs = capture.load(), made.frames[0].captures["UAV_2"].load()
    np.testing.assert_array_equal(ours.pixels, theirs.pixels)
    np.testing.assert_array_equal(ours.valid, theirs.valid)
    assert not ours.valid.all() and ours.sensor == sensor and ours.notes == ("made up",)
    assert rasters.read_image(tmp_path / "samples/UAV_2/crossing-0__UAV_2__00000.png")[0].shape == (60, 100, 3)


def test_the_ground_comes_back(tmp_path: Path) -> None:
    grid = MapGrid.around(691_000, 5_334_000, 80, 4.0, CRS)
    heights = np.random.default_rng(0).uniform(400, 420, grid.shape)
    hills = replace(scene("hills", frames=1), ground=ElevationModel(heights, grid))
    level = replace(scene("level", frames=1), ground=GroundPlane(12.5))
    first, second = load_recording(write(tmp_path, hills, level)).scenes
    assert isinstance(first.ground, ElevationModel) and first.ground.grid == grid
    np.testing.assert_array_equal(first.ground.heights, heights)
    assert second.ground == GroundPlane(12.5)
    (tmp_path / "truth/ground/hills.npz").unlink()
    with pytest.raises(ValueError, match=r"hills\.npz is missing"):
        load_recording(tmp_path)


def test_the_same_scenes_give_the_same_bytes(tmp_path: Path) -> None:
    first = files(write(tmp_path / "a", scene(), scene("b", frames=1)))
    write_scene(tmp_path / "b", scene("b", frames=1), CATEGORIES)  # in another order, as parallel processes do
    second = files(write(tmp_path / "b", scene(), scene("b", frames=1)))
    assert first == second and not [name for name in first if "/." in name or name.startswith(".")]


def test_a_run_that_broke_goes_on(tmp_path: Path) -> None:
    write_scene(tmp_path, scene(), CATEGORIES, fingerprint="config 1")
    assert scene_is_written(tmp_path, "crossing-0", "config 1")
    assert not scene_is_written(tmp_path, "crossing-0", "config 2") and not scene_is_written(tmp_path, "other")

    def broken() -> np.ndarray:
        raise OSError("the disk is full")

    bad = scene("other")
    frames = list(bad.frames)
    frames[1] = replace(frames[1], captures={"UAV_1": replace(frames[1].captures["UAV_1"], load_depth=broken)})
    with pytest.raises(OSError, match="disk is full"):
        write_scene(tmp_path, replace(bad, frames=frames), CATEGORIES)
    assert not scene_is_written(tmp_path, "other")
    with pytest.raises(ValueError, match=r"lacks 1 of 2 scenes \(other"):
        finish_recording(tmp_path, "x", {"train": ["crossing-0", "other"]})
    assert not (tmp_path / "v1.0-trainval").exists()
    finish_recording(tmp_path, "x", {"train": ["crossing-0"]})
    assert [one.name for one in load_recording(tmp_path).scenes] == ["crossing-0"]


def test_finishing_again_replaces_the_tables(tmp_path: Path) -> None:
    write(tmp_path, scene())
    write_scene(tmp_path, scene("more", frames=1), CATEGORIES)
    finish_recording(tmp_path, "larger", {"train": ["crossing-0", "more"]})
    recording = load_recording(tmp_path)
    assert recording.name == "larger" and len(recording.scenes) == 2
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_tables_hold_what_the_schema_asks(tmp_path: Path) -> None:
    write(tmp_path, scene(frames=4), scene("b", frames=2))
    tables = {t: json.loads((tmp_path / "v1.0-trainval" / f"{t}.json").read_text()) for t in TABLES}
    tokens = {table: {row["token"] for row in rows} for table, rows in tables.items()}
    for table, rows in tables.items():
        assert len(tokens[table]) == len(rows) > 0
        for row in rows:
            for key, value in row.items():  # every foreign key leads somewhere
                if key.endswith("_token") and key != "visibility_token":
                    other = key.removesuffix("_token").removeprefix("first_").removeprefix("last_")
                    assert value in tokens[{"annotation": "sample_annotation"}.get(other, other)]
                if key in ("prev", "next") and value:
                    assert value in tokens[table]
    scenes = {row["name"]: row for row in tables["scene"]}
    assert scenes["crossing-0"]["nbr_samples"] == 4
    by_token = {row["token"]: row for row in tables["sample_data"]}
    walk = [row for row in tables["sample_data"] if not row["prev"]]
    assert len(walk) == 4  # two channels, two scenes
    steps = 0
    for row in walk:
        while row["next"]:
            after = by_token[row["next"]]
            assert after["timestamp"] > row["timestamp"] and after["prev"] == row["token"]
            row, steps = after, steps + 1
    assert steps == 2 * 3 + 2 * 1
    annotations = tables["sample_annotation"]
    assert {row["visibility_token"] for row in annotations} <= {"1", "2", "3", "4"}
    truck = next(row for row in annotations if row["size"][1] == 9)
    assert truck["size"] == [2.5, 9.0, 3.2] and truck["num_lidar_pts"] > 0 and truck["attribute_tokens"]
    assert {row["name"] for row in tables["category"]} == {"vehicle.car", "vehicle.truck", "human.pedestrian.adult"}
    (mask,) = tables["map"]
    assert set(mask["log_tokens"]) == tokens["log"] and (tmp_path / mask["filename"]).exists()
    starts = [next(s for s in tables["sample"] if s["scene_token"] == row["token"]) for row in tables["scene"]]
    assert len({row["timestamp"] for row in starts}) == 2  # the devkit cannot list two that start together


def test_platforms_that_missed_a_frame_and_frames_that_nobody_annotated(tmp_path: Path) -> None:
    made = scene()
    frames = list(made.frames)
    frames[1] = replace(frames[1], captures={"UAV_2": frames[1].captures["UAV_2"]})
    blind = {c: replace(x, load_instances=None, load_depth=None) for c, x in frames[2].captures.items()}
    frames[2] = replace(frames[2], captures=blind, annotations=None)
    (back,) = load_recording(write(tmp_path, replace(made, frames=frames))).scenes
    assert [sorted(frame.captures) for frame in back.frames] == [["UAV_1", "UAV_2"], ["UAV_2"], ["UAV_1", "UAV_2"]]
    assert back.frames[2].annotations is None and back.frames[2].captures["UAV_1"].load_depth is None


def test_a_recording_travels_to_other_processes(tmp_path: Path) -> None:
    recording = pickle.loads(pickle.dumps(load_recording(write(tmp_path, scene()))))
    assert recording.scenes[0].frames[-1].captures["UAV_1"].load().shape == (60, 100)
    assert len(recording.scenes[0].frames[1:]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, name="a/b"), "cannot be part of a file name"),
        (lambda s: replace(s, frames=[]), "has no frames"),
        (lambda s: replace(s, crs=None), "camera is in EPSG:32632, not in None"),
        (lambda s: replace(s, frames=[s.frames[1], s.frames[0]]), "not after the frame before it"),
        (lambda s: replace(s, frames=[replace(s.frames[0], annotations=None)]), "but 0 objects are annotated"),
    ],
)
def test_scenes_that_cannot_be_written(change: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_scene(tmp_path, change(scene()), CATEGORIES)  # type: ignore[operator]
    with pytest.raises(ValueError, match="'truck' is none of the categories car, pedestrian"):
        write_scene(tmp_path, scene(), ["car", "pedestrian"])
    assert not list(tmp_path.glob("fragments/*"))


def test_scenes_that_do_not_go_together(tmp_path: Path) -> None:
    write_scene(tmp_path, scene("a"), CATEGORIES)
    write_scene(tmp_path, scene("b"), [*CATEGORIES, "bus"])
    with pytest.raises(ValueError, match="scene b has the categories"):
        finish_recording(tmp_path, "x", {"train": ["a", "b"]})
    write_scene(tmp_path, scene("b", sensor=replace(get_sensor("rgb"), ground_sample_distance=3.0)), CATEGORIES)
    with pytest.raises(ValueError, match="another sensor called 'rgb'"):
        finish_recording(tmp_path, "x", {"train": ["a", "b"]})
    with pytest.raises(ValueError, match="name no scene"):
        finish_recording(tmp_path, "x", {})


@given(st.floats(0.01, 5000), st.floats(0.0, 1.0))
@settings(max_examples=30)
def test_depth_is_kept_to_its_step(largest: float, share: float) -> None:
    depth = np.array([[largest, largest * share + 0.001], [np.inf, 0.005]], np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "depth.png"
        rasters.write_depth(path, depth)
        back = rasters.read_depth(path)
    assert np.isinf(back[1, 0])
    finite = np.isfinite(depth)
    assert np.abs(back[finite] - depth[finite]).max() <= max(0.0006, float(depth[finite].max()) / 65534 * 1.01)


@given(st.floats(-3.1, 3.1), st.floats(0.0, np.pi / 2), st.floats(-0.2, 0.2))
@settings(max_examples=50)
def test_the_body_is_level_and_heads_where_the_picture_does(yaw: float, pitch: float, roll: float) -> None:
    camera = PinholeCamera.from_field_of_view(1.2, 30, 40)
    body = level_body(CameraGeometry(camera, camera_pose(np.array([1.0, 2.0, 3.0]), yaw, pitch, roll)))
    np.testing.assert_allclose(body[2], (0, 0, 1, 3), atol=1e-12)
    heading = np.arctan2(body[1, 0], body[0, 0])
    assert abs((heading - yaw + np.pi) % (2 * np.pi) - np.pi) < 0.21  # roll turns the picture's top aside
    if roll == 0:
        assert heading == pytest.approx(yaw)

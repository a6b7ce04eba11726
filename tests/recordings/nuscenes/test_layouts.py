"""The conventions of the public recordings, on miniatures in their exact layouts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fabricated_layouts import CAR_CAMERAS, air_co_pred, nuscenes, uav3d
from skyweave.core.geometry.ground import GroundPlane
from skyweave.recordings.nuscenes import load_recording, recording_layout
from skyweave.recordings.nuscenes.splits import air_co_pred_splits, nuscenes_splits, uav3d_splits
from skyweave.recordings.recording import RecordedScene


@pytest.mark.parametrize(
    ("write", "layout", "split"), [(nuscenes, "nuscenes", "val"), (air_co_pred, "air-co-pred", "test")]
)
def test_geometry_and_objects_are_those_that_were_recorded(
    write: Callable[[Path], RecordedScene], layout: str, split: str, tmp_path: Path
) -> None:
    truth = write(tmp_path)
    recording = load_recording(tmp_path)
    assert recording_layout(tmp_path) == layout
    assert recording.categories == ("car", "truck", "pedestrian")
    assert "vehicle.car is car" in " ".join(recording.notes)
    (scene,) = recording.split(split)
    assert scene.name == truth.name and scene.location == "town" and scene.crs is None
    for expected, frame in zip(truth.frames, scene.frames, strict=True):
        assert frame.time == expected.time // 1000 * 1000
        assert len(frame.captures) == len(expected.captures)
        for (_, theirs), (channel, ours) in zip(
            sorted(expected.captures.items(), key=lambda pair: _place(layout, pair[0])),
            sorted(frame.captures.items()),
            strict=True,
        ):
            np.testing.assert_allclose(ours.geometry.world_from_camera, theirs.geometry.world_from_camera, atol=1e-9)
            assert ours.channel == channel and ours.true_geometry is None
            observation = ours.load()
            assert observation.shape == (60, 100) and observation.geometry is ours.geometry
            assert np.abs(observation.pixels - theirs.load().pixels).mean() < 8  # JPEG
        objects, known = frame.annotations, expected.annotations
        assert objects is not None and known is not None
        np.testing.assert_allclose(objects.boxes.corners(), known.boxes.corners(), atol=1e-9)
        np.testing.assert_allclose(objects.velocities, known.velocities, atol=1e-6)
        assert objects.instances == known.instances and objects.categories == known.categories
        np.testing.assert_array_equal(objects.visibility["any"][:4], [0.2, 0.5, 0.7, 0.9])
        assert frame.world_from_ego is not None
        np.testing.assert_allclose(np.arctan2(frame.world_from_ego[1, 0], frame.world_from_ego[0, 0]), 0.4)
        np.testing.assert_allclose(frame.world_from_ego[2, :3], (0, 0, 1))


def _place(layout: str, channel: str) -> str:
    return CAR_CAMERAS[int(channel[-1]) - 1] if layout == "nuscenes" else channel


def test_plain_nuscenes_leaves_out_lidar_and_sweeps_and_says_so(tmp_path: Path) -> None:
    nuscenes(tmp_path)
    recording = load_recording(tmp_path)
    assert recording.splits == {"val": ("scene-0103",)}
    assert set(recording.scenes[0].frames[0].captures) == set(CAR_CAMERAS)
    assert {c.platform for c in recording.scenes[0].frames[0].captures.values()} == {"n008"}
    notes = " ".join(recording.notes)
    assert "LIDAR_TOP" in notes and "1 x sample_data between key frames" in notes


def test_air_co_pred_says_what_its_splits_are_worth(tmp_path: Path) -> None:
    air_co_pred(tmp_path)
    recording = load_recording(tmp_path, version="v1.0-trainval")
    assert recording.splits == {"val": ("scene-0-9",), "test": ("scene-0-9",)}
    assert any("same 30 scenes" in note for note in recording.notes)
    frame = recording.scenes[0].frames[1]
    assert {c.platform for c in frame.captures.values()} == {"UAV_1", "UAV_2", "UAV_3", "UAV_4"}
    assert frame.world_from_ego is not None
    np.testing.assert_allclose(frame.world_from_ego[:3, 3], (1, 0, 50))
    assert recording.scenes[0].ground == GroundPlane(0.0)
    low = frame.captures["UAV_1"]  # flies 40 m above the ground, focal length 90 pixels
    assert low.load().ground_sample_distance == pytest.approx(40 / 90)


def test_uav3d_boxes_are_drawn_where_its_visualiser_draws_them(tmp_path: Path) -> None:
    seen = uav3d(tmp_path)
    recording = load_recording(tmp_path)
    assert recording_layout(tmp_path) == "uav3d" and recording.categories == ("car",)
    frame = recording.scenes[0].frames[0]
    assert frame.annotations is not None and len(frame.captures) == 25
    visible = 0
    for channel, capture in frame.captures.items():
        pixels, _ = capture.geometry.project(frame.annotations.boxes.corners())
        for ours, theirs in zip(pixels, seen[channel], strict=True):
            both = np.isfinite(theirs).all(-1)
            assert np.array_equal(both.sum(), np.isfinite(ours).all(-1).sum())
            visible += capture.geometry.camera.inside(ours).all()
            for pixel in theirs[both]:
                assert np.nanmin(np.linalg.norm(ours - pixel, axis=1)) < 1e-6
    assert visible > 10
    np.testing.assert_allclose(frame.annotations.boxes.sizes[0], (4.6, 1.9, 1.5))
    np.testing.assert_allclose(frame.annotations.velocities, np.tile([2.0, 0.0], (3, 1)), atol=1e-6)
    assert frame.time == 1_701_672_639_377_349_888
    down = frame.captures["CAMERA_BOTTOM_id_3"]
    assert down.platform == "UAV_3" and down.load().ground_sample_distance == pytest.approx(60 / 40)
    np.testing.assert_allclose(down.geometry.world_from_camera[:3, 2], (0, 0, -1), atol=1e-9)
    assert frame.world_from_ego is not None
    np.testing.assert_allclose(frame.world_from_ego[:3, 3], (-20, 0, 0), atol=1e-9)


def test_uav3d_needs_no_ego_pose(tmp_path: Path) -> None:
    uav3d(tmp_path)
    (tmp_path / "v1.0-trainval" / "ego_pose.json").unlink()
    recording = load_recording(tmp_path)
    assert len(recording.scenes[0].frames[0].captures) == 25 and "there is no ego_pose.json" in recording.notes


def test_published_splits() -> None:
    scenes = [f"scene_{n:04d}" for n in range(1000)]
    splits = uav3d_splits("v1.0-trainval", scenes)
    assert [len(splits[k]) for k in ("train", "val", "test")] == [700, 150, 150]
    assert splits["val"][:4] == ("scene_0001", "scene_0003", "scene_0005", "scene_0021")
    assert splits["test"][0] == "scene_0011"
    assert uav3d_splits("v1.0-mini", ["scene_01", "scene_13"]) == {"train": ("scene_13",), "val": ("scene_01",)}
    splits = air_co_pred_splits("v1.0-trainval", [f"scene-0-{n}" for n in range(1, 201)])
    assert [len(splits[k]) for k in ("train", "val", "test")] == [170, 30, 30] and splits["val"] == splits["test"]
    splits = nuscenes_splits("v1.0-trainval", [f"scene-{n:04d}" for n in range(1, 1111)])
    assert len(splits["val"]) == 150 and splits["val"][-1] == "scene-1073" and "scene-0916" in splits["val"]
    assert nuscenes_splits("v1.0-test", ["scene-0077"]) == {"test": ("scene-0077",)}
    assert nuscenes_splits("v1.0-trainval", ["mine"]) == {}

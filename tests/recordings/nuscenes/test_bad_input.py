"""Broken recordings: named, explained, and the rest still usable."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fabricated_layouts import air_co_pred, nuscenes
from fabricated_recordings import CATEGORIES, scene
from skyweave.recordings.nuscenes import finish_recording, load_recording, write_scene
from skyweave.recordings.recording import Recording

VERSION = "v1.0-trainval"
Rows = list[dict[str, Any]]


def edit(folder: Path, table: str, change: Callable[[Rows], object], version: str = VERSION) -> None:
    path = folder / version / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    air_co_pred(tmp_path)
    return tmp_path


def note(recording: Recording, text: str) -> str:
    (found,) = [note for note in recording.notes if text in note]
    return found


def pictures(recording: Recording) -> int:
    return sum(len(frame.captures) for one in recording.scenes for frame in one.frames)


@pytest.mark.parametrize(
    ("table", "change", "text", "lost"),
    [
        ("sample_data", lambda r: r[0].update(sample_token="x"), "sample_data of a sample that is not there", 1),
        ("sample_data", lambda r: r[0].update(filename="/etc/x.jpg"), "file lies outside the recording", 1),
        ("sample_data", lambda r: r[0].update(filename="../../x.jpg"), "file lies outside the recording", 1),
        ("sample_data", lambda r: r[0].update(calibrated_sensor_token="x"), "calibrated_sensor is not in", 1),
        ("sample_data", lambda r: r[0].update(ego_pose_token="x"), "ego_pose is not in its table", 1),
        ("calibrated_sensor", lambda r: r[0].update(sensor_token="x"), "sensor is not in its table", 1),
        ("ego_pose", lambda r: r[0].update(translation=[0, float("nan"), 0]), "ego_pose holds NaN", 1),
        ("ego_pose", lambda r: r[0].update(rotation=[0, 0, 0, 0]), "ego_pose holds NaN or no rotation", 1),
        ("ego_pose", lambda r: r[0].update(translation=[0, None, 0]), "ego_pose holds NaN", 1),
        ("calibrated_sensor", lambda r: r[0].update(camera_intrinsic=[]), "no camera matrix", 1),
        ("calibrated_sensor", lambda r: r[0]["camera_intrinsic"][0].__setitem__(0, float("nan")), "holds NaN", 1),
        ("sample", lambda r: r[0].update(scene_token="x"), "sample of a scene that is not in its table", 4),
        ("sample", lambda r: r.append(dict(r[0])), "sample whose token an earlier row has", 0),
        ("sample_data", lambda r: r.append(dict(r[0])), "sample_data whose token an earlier row has", 0),
    ],
)
def test_rows_that_lead_nowhere_are_left_out_and_named(
    folder: Path, table: str, change: Callable[[Rows], object], text: str, lost: int
) -> None:
    edit(folder, table, change)
    recording = load_recording(folder)
    assert "first: " in note(recording, text)
    assert pictures(recording) == 12 - lost
    for frame in recording.scenes[0].frames:
        for capture in frame.captures.values():
            capture.load()


@pytest.mark.parametrize(
    ("table", "change", "text"),
    [
        ("sample_annotation", lambda r: r[0].update(sample_token="x"), "sample_annotation of a sample"),
        ("sample_annotation", lambda r: r[0].update(instance_token="x"), "instance is not in its table"),
        ("instance", lambda r: r[0].update(category_token="x"), "category is not in its table"),
        ("sample_annotation", lambda r: r[0].update(size=[1, 0, 1]), "box holds NaN or no size"),
        ("sample_annotation", lambda r: r[0].update(translation=[float("nan")] * 3), "box holds NaN"),
    ],
)
def test_annotations_that_lead_nowhere(folder: Path, table: str, change: Callable[[Rows], object], text: str) -> None:
    edit(folder, table, change)
    recording = load_recording(folder)
    assert text in note(recording, text)
    annotations = recording.scenes[0].frames[0].annotations
    assert annotations is not None and len(annotations.boxes) == 5 and pictures(recording) == 12


def test_missing_and_damaged_pictures_are_named_when_they_are_loaded(folder: Path) -> None:
    first, second, third, _ = sorted((folder / "samples").glob("*/*.jpg"))[::3]
    first.unlink()
    second.write_bytes(b"no picture")
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(third)
    captures = load_recording(folder).scenes[0].frames[0].captures
    with pytest.raises(ValueError, match=f"{first.name} is missing"):
        captures["UAV_1"].load()
    with pytest.raises(ValueError, match=f"{second.name} cannot be read"):
        captures["UAV_2"].load()
    with pytest.raises(ValueError, match="has 10 x 20 pixels, but its table says 60 x 100"):
        captures["UAV_3"].load()
    assert captures["UAV_4"].load().shape == (60, 100)


def test_pictures_of_several_sizes_each_have_their_own_camera(folder: Path) -> None:
    def smaller(rows: Rows) -> None:
        for row in rows:
            if "UAV_2" in row["filename"]:
                Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(folder / row["filename"])
                row.update(height=30, width=50)
            else:
                row.update(height=0, width=None)  # not stated: the file tells

    edit(folder, "sample_data", smaller)
    captures = load_recording(folder).scenes[0].frames[0].captures
    assert [captures[c].load().shape for c in sorted(captures)] == [(60, 100), (30, 50), (60, 100), (60, 100)]
    next((folder / "samples" / "UAV_1").iterdir()).unlink()
    assert "size neither table nor file tells" in note(load_recording(folder), "size neither")


def test_pictures_reduced_without_their_matrices_are_left_out(folder: Path) -> None:
    edit(folder, "sample_data", lambda rows: [row.update(height=0, width=0) for row in rows])
    for path in (folder / "samples" / "UAV_2").iterdir():
        Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(path)
    recording = load_recording(folder)
    assert "UAV_2" not in recording.scenes[0].frames[0].captures and pictures(recording) == 9
    assert "3 x picture" in note(recording, "smaller than its camera matrix")


def test_scenes_without_pictures_are_left_out(folder: Path) -> None:
    edit(folder, "scene", lambda rows: rows.append(dict(rows[0], token="empty", name="scene-0-2")))
    recording = load_recording(folder)
    assert len(recording.scenes) == 1 and "scene-0-2" in note(recording, "scene without a picture")
    assert "scene-0-2" not in recording.splits.get("train", ())


def test_recordings_without_annotations_or_optional_tables(folder: Path) -> None:
    for table in ("sample_annotation", "instance", "category", "log", "visibility", "attribute", "map"):
        (folder / VERSION / f"{table}.json").unlink()
    recording = load_recording(folder)
    assert recording.scenes[0].frames[0].annotations is None and recording.categories == ()
    assert "there is no sample_annotation.json" in recording.notes and pictures(recording) == 12


def test_a_frame_without_objects_is_annotated_as_empty(folder: Path) -> None:
    edit(folder, "sample_annotation", lambda rows: rows.__delitem__(slice(0, 6)))
    frames = load_recording(folder).scenes[0].frames
    assert [len(f.annotations.boxes) for f in frames if f.annotations is not None] == [0, 6, 6]


@pytest.mark.parametrize("table", ["scene", "sample", "sample_data", "calibrated_sensor", "sensor", "ego_pose"])
def test_tables_that_nothing_goes_without(folder: Path, table: str) -> None:
    (folder / VERSION / f"{table}.json").unlink()
    with pytest.raises(FileNotFoundError, match=f"no {table}.json|no recording"):
        load_recording(folder)


def test_damaged_tables_are_named(folder: Path) -> None:
    path = folder / VERSION / "sample.json"
    path.write_text("[{]")
    with pytest.raises(ValueError, match=r"sample\.json is no such table"):
        load_recording(folder)
    path.write_text('[{"token": "a"}]')
    with pytest.raises(ValueError, match=r"missing required field `timestamp`"):
        load_recording(folder)


def test_versions_and_splits_that_are_not_there(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no version 'v1.0-mini'; there are v1.0-trainval"):
        load_recording(folder, "v1.0-mini")
    with pytest.raises(ValueError, match=r"no split 'train'; it has val, test"):
        load_recording(folder, split="train")
    assert len(load_recording(folder, split="val").scenes) == 1
    assert len(load_recording(folder / VERSION).scenes) == 1
    nuscenes(folder)
    with pytest.raises(ValueError, match=r"has the versions v1.0-mini, v1.0-trainval; choose"):
        load_recording(folder)
    with pytest.raises(FileNotFoundError, match="did you mean"):
        load_recording(folder.parent)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_recording(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"one has a folder v1\.0"):
        load_recording(folder / "empty")


def test_objects_that_were_left_out_keep_the_others_pixels(tmp_path: Path) -> None:
    made = scene(frames=1)
    write_scene(tmp_path, made, CATEGORIES)
    finish_recording(tmp_path, "x", {"train": [made.name]})
    edit(tmp_path, "sample_annotation", lambda rows: rows.pop(2))
    frame = load_recording(tmp_path).scenes[0].frames[0]
    assert frame.annotations is not None and frame.annotations.instances == ("a", "b", "d", "e", "f")
    load, truth = frame.captures["UAV_1"].load_instances, made.frames[0].captures["UAV_1"].load_instances
    assert load is not None and truth is not None
    np.testing.assert_array_equal(load(), np.array([0, 1, -1, 2, 3, 4, -1])[truth()])


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    write_scene(tmp_path, scene(frames=1), CATEGORIES)
    finish_recording(tmp_path, "x", {"train": ["crossing-0"]})
    path = tmp_path / VERSION / "skyweave.json"
    path.write_text(path.read_text().replace('"format":1', '"format":99'))
    with pytest.raises(ValueError, match="format 99"):
        load_recording(tmp_path)
    for fragment in tmp_path.glob("fragments/*"):
        fragment.write_bytes(fragment.read_bytes()[:50])
    with pytest.raises(ValueError, match="is damaged"):
        finish_recording(tmp_path, "x", {"train": ["crossing-0"]})


def test_pixels_that_cannot_be_read(tmp_path: Path) -> None:
    made = scene(frames=1)
    write_scene(tmp_path, made, CATEGORIES)
    finish_recording(tmp_path, "x", {"train": [made.name]})
    capture = load_recording(tmp_path).scenes[0].frames[0].captures["UAV_1"]
    (tmp_path / "truth/depth/UAV_1/crossing-0__UAV_1__00000.png").unlink()
    plain = tmp_path / "truth/instances/UAV_1/crossing-0__UAV_1__00000.png"
    plain.write_bytes(plain.read_bytes()[:60])
    assert capture.load_depth is not None and capture.load_instances is not None
    with pytest.raises(ValueError, match="is missing"):
        capture.load_depth()
    with pytest.raises(ValueError, match="cannot be read"):
        capture.load_instances()

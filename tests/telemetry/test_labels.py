"""Labels in the formats of tools and benchmarks, in miniature, and hostile ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.recordings.recording import Capture
from skyweave.telemetry.importing.labels import ImageLabels, read_labels
from skyweave.telemetry.importing.placed_labels import GroundObject, Keyframe, merge_objects, place_labels

CAMERA = PinholeCamera.from_field_of_view(1.2, 720, 1280)
COCO = {
    "images": [{"id": 5, "file_name": "a/frame_000003.jpg", "width": 1280, "height": 720}],
    "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
    "annotations": [
        {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 20, 30, 40], "iscrowd": 0, "track_id": 9},
        {"id": 2, "image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1},
    ],
}
CVAT_VIDEO = """<annotations><version>1.1</version>
<track id="4" label="Car"><box frame="2" outside="0" occluded="0" keyframe="1" xtl="10" ytl="20" xbr="40" ybr="60"/>
<box frame="3" outside="1" occluded="0" keyframe="1" xtl="10" ytl="20" xbr="40" ybr="60"/></track></annotations>"""
CVAT_IMAGES = """<annotations><image id="2" name="x/b.png" width="64" height="48">
<box label="motorbike" xtl="10" ytl="20" xbr="40" ybr="60" occluded="0"/></image></annotations>"""
MOT = "3,4,10,20,30,40,1,3,0.9\n3,5,1,2,3,4,0,3,1\n3,6,1,2,3,4,1,8,1\n4,-1,10,20,30,40,0.8,-1,-1,-1\n"
KITTI = """Car 0.00 0 -1.58 10.0 20.0 40.0 60.0 1.5 1.6 3.9 2.0 1.6 20.0 0.1
DontCare -1 -1 -10 0 0 9 9 -1 -1 -1 -1000 -1000 -1000 -10
"""


def labels(folder: Path, name: str, text: str) -> ImageLabels:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return read_labels(folder / name)


@pytest.mark.parametrize(
    ("name", "text", "number", "file", "category", "track"),
    [
        ("a.json", json.dumps(COCO), 3, "frame_000003.jpg", "car", "9"),
        ("a.xml", CVAT_VIDEO, 2, "", "car", "4"),
        ("a.xml", CVAT_IMAGES, 2, "b.png", "motorcycle", ""),
        ("gt.txt", MOT, 2, "", "car", "4"),
        ("0000.txt", "2 7 " + KITTI.replace("\nDontCare", "\n2 -1 DontCare"), 2, "", "car", "7"),
    ],
)
def test_every_format_gives_the_same_box(
    tmp_path: Path, name: str, text: str, number: int, file: str, category: str, track: str
) -> None:
    read = labels(tmp_path, name, text)
    for key in {(number, ""), (number, file), (99, file) if file else (number, "")}:
        (label,) = read.of_image(*key) or []
        assert label.box is not None and label.box.tolist() == [10, 20, 40, 60]
        assert (label.category, label.track) == (category, track)
    assert read.of_image(77, "other.png") is None


def test_a_folder_of_kitti_has_a_file_an_image(tmp_path: Path) -> None:
    (tmp_path / "000004.txt").write_text(KITTI)
    read = read_labels(tmp_path)
    (label,) = read.of_image(4, "") or []
    assert label.camera_box is not None and label.camera_box.size.tolist() == [3.9, 1.6, 1.5]
    assert read.of_image(0, "000004.png") == [label]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "no labels of COCO"),
        ("a.json", json.dumps(COCO | {"annotations": [{"image_id": 1, "bbox": [1, 2]}]}), "no labels of COCO"),
        ("a.json", json.dumps(COCO).replace("30, 40", "NaN, 40"), "no labels of COCO"),
        ("a.xml", "<a", "no labels of CVAT"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        ("a.txt", "1,2,3,4,-5,6\n", "line 1 is no row of MOT"),
        ("a.txt", "1,2,x,4,5,6\n", "line 1 is no row of MOT"),
        ("a.txt", KITTI.replace("3.9", "x"), r"'Car' is no number of an image"),
        ("a.txt", "hello\n", "looks like no labels"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels(tmp_path, name, text)
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.txt files"):
        read_labels(tmp_path / "empty")


def keyframe(number: int, pitch: float = 0.9, platform: str = "UAV_1") -> Keyframe:
    geometry = CameraGeometry(CAMERA, camera_pose(np.array([0.0, 0.0, 40.0]), 0.0, pitch), None, platform)
    capture = Capture(platform, platform, number * 10**9, geometry, lambda: pytest.fail("nothing is loaded"))
    return Keyframe(capture, number, "", 1.0)


def test_a_box_stands_where_an_object_of_its_class_fills_it(tmp_path: Path) -> None:
    from skyweave.core.geometry.boxes import Boxes

    truth = [np.array([30.0 + 5 * k, 4.0, 0.865]) for k in range(3)]
    rows = []
    for k, centre in enumerate(truth):
        corners = Boxes(centre[None], np.array([[4.6, 1.95, 1.73]]), np.zeros(1)).corners()[0]
        pixels, _ = keyframe(k).capture.geometry.project(corners)
        (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
        rows.append(f"{k + 1},1,{left},{top},{right - left},{bottom - top},1,3,1")
    read = labels(tmp_path, "gt.txt", "\n".join(rows))
    placed = place_labels([keyframe(k) for k in range(3)], read, GroundPlane(0.0))
    assert placed is not None
    for (one,), centre in zip(placed, truth, strict=True):
        np.testing.assert_allclose(one.centre, centre, atol=0.02)
        assert one.yaw == pytest.approx(0, abs=0.02) and one.velocity == pytest.approx([5, 0], abs=0.05)


def test_boxes_of_kitti_are_placed_by_the_camera(tmp_path: Path) -> None:
    read = labels(tmp_path, "0.txt", "0 7 Car 0 0 0 10 20 40 60 1.5 1.6 3.9 2.0 1.6 20.0 0.0\n")
    placed = place_labels([keyframe(0, pitch=0.0)], read, GroundPlane(0.0))
    assert placed is not None
    (one,) = placed[0]
    # looking east: forward is x, right is -y, down is -z; turn 0 heads right, which is south
    np.testing.assert_allclose(one.centre, [20, -2, 40 - 1.6 + 0.75])
    assert one.yaw == pytest.approx(-np.pi / 2) and one.size.tolist() == [3.9, 1.6, 1.5]


def test_boxes_above_the_horizon_are_nowhere(tmp_path: Path) -> None:
    read = labels(tmp_path, "gt.txt", "1,1,600,10,30,20,1,3,1\n")
    assert place_labels([keyframe(0, pitch=0.0)], read, GroundPlane(0.0)) == [[]]
    assert place_labels([keyframe(0)], None, GroundPlane(0.0)) is None


def test_what_two_cameras_see_at_one_place_is_one_object() -> None:
    def at(x: float, instance: str) -> GroundObject:
        return GroundObject("car", instance, np.array([x, 0, 0.8]), np.array([4.6, 2, 1.7]), 0.0, np.zeros(2))

    merged = merge_objects([at(0, "a-1"), at(2, "b-1"), at(2, "a-2"), at(9, "b-2")])
    assert merged.instances == ("a-1", "a-2", "b-2")
    assert len(merge_objects([]).boxes) == 0


@pytest.mark.parametrize(
    ("name", "text", "names", "message"),
    [
        ("a.json", json.dumps(COCO), ["img_3.jpg"], "names none of the images: it has a/frame_000003, they are called"),
        ("a.xml", CVAT_IMAGES, ["b.png"], "x/b.png is of 64 x 48 pixels, the images have 1280 x 720"),
        (
            "gt.txt",
            "90,4,10,20,30,40,1,3,0.9\n",
            ["", ""],
            "labels of images 89 to 89, counted from 0, and there are 2",
        ),
        ("gt.txt", "1,4,1900,20,30,40,1,3,0.9\n", [""], "the box 1900, 20, 1930, 60 .* lies outside of its 1280 x 720"),
        ("gt.txt", "1,4,0.1,0.2,0.3,0.4,1,3,0.9\n", [""], "shares of the image"),
    ],
)
def test_labels_of_other_images_are_refused(
    tmp_path: Path, name: str, text: str, names: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        labels(tmp_path, name, text).check_images(names, (720, 1280))


def test_images_of_one_name_in_two_folders_have_labels_of_their_own(tmp_path: Path) -> None:
    two = {**COCO, "images": [{"id": 5, "file_name": "a/0.jpg"}, {"id": 6, "file_name": "b/0.jpg"}]}
    read = labels(tmp_path, "a.json", json.dumps(two))
    assert len(read.of_image(0, "a/0.jpg") or []) == 1 and read.of_image(1, "b/0.jpg") == []
    with pytest.raises(DataError, match="may be a/0 or b/0"):
        read.of_image(0, "0.jpg")


def test_classes_of_mot_are_not_made_up_or_lost(tmp_path: Path) -> None:
    plain = labels(tmp_path, "plain.txt", "1,4,10,20,30,40,1\n")
    assert [label.category for label in plain.of_image(0, "") or []] == ["object"]
    assert (
        "1 boxes of class 8 are left out" in labels(tmp_path, "gt.txt", MOT).check_images(["", "", ""], (720, 1280))[0]
    )
    with pytest.raises(DataError, match="VisDrone's classes have other numbers"):
        labels(tmp_path, "drone.txt", "1,4,10,20,30,40,1,4,0,0\n")


def test_cvat_turned_boxes_and_polygons_have_the_box_around_them(tmp_path: Path) -> None:
    shapes = """<annotations>
    <meta><task><original_size><width>64</width><height>48</height></original_size></task></meta>
    <image id="2" name="b.png" width="64" height="48"><polygon label="car" points="10.0,20.0;40,25;30,60"/>
    <box label="car" xtl="10" ytl="20" xbr="30" ybr="60" rotation="90"/><points label="car" points="1,2"/></image>
    <track id="0" label="car"><box frame="3" outside="1" xtl="1" ytl="2" xbr="3" ybr="4"/></track></annotations>"""
    read = labels(tmp_path, "a.xml", "\ufeff" + shapes)
    boxes = [label.box for label in read.of_image(2, "b.png") or []]
    np.testing.assert_allclose(boxes, [[0, 30, 40, 50], [10, 20, 40, 60]], atol=1e-9)
    assert read.of_image(3, "") == [] and "left out are 1 of kind points" in read.notes[0]
    assert read.sizes == {"b.png": (48, 64), "its video": (48, 64)}


def test_marks_are_read_away_and_frames_from_zero_refused(tmp_path: Path) -> None:
    for name, text in (("a.json", json.dumps(COCO)), ("gt.txt", MOT)):
        assert labels(tmp_path, name, "\ufeff" + text).by_number.keys() == labels(tmp_path, name, text).by_number.keys()
    with pytest.raises(DataError, match="line 1 is no row of MOT: its frames count from 1; add 1"):
        labels(tmp_path, "gt.txt", "0,4,10,20,30,40,1,3,0.9\n" + MOT)


def test_exchanged_lengths_and_degrees_in_kitti_do_not_pass(tmp_path: Path) -> None:
    row = "0 7 Car 0 0 0 10 20 40 60 1.5 {} 2.0 1.6 20.0 {}\n"
    notes = labels(tmp_path, "0.txt", row.format("3.9 1.6", 0.5)).notes
    assert notes == ["0.txt: 1 of 1 vehicles are wider than long: KITTI's order is height, width, length"]
    assert not labels(tmp_path, "0.txt", row.format("1.6 3.9", -10)).notes
    with pytest.raises(DataError, match="rotation_y 90 must be radians"):
        labels(tmp_path, "0.txt", row.format("1.6 3.9", 90))

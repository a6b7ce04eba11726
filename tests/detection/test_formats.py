"""Files of boxes that other programs write, and what is no such file."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.detection.formats.box_file import BoxFile, read_boxes
from skyweave.detection.formats.json_lines import write_json_lines
from skyweave.detection.image_detections import ImageDetections


def test_coco_data_sets_count_images_by_their_names(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "b/0002.jpg"}, {"id": 3, "file_name": "a/0001.jpg"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40], "track_id": 5},
            {"image_id": 3, "category_id": 1, "segmentation": [[1, 2, 5, 2, 5, 9]], "track_id": 6},
        ],
    }
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    boxes = read_boxes(path)
    assert boxes.detect(None, 1).boxes.tolist() == [[10, 20, 40, 60]]
    assert boxes.detect(None, 0).boxes.tolist() == [[1, 2, 5, 9]]
    assert boxes.detect(None, 99, "0002.png").identities == ("5",)
    assert len(boxes.detect(None, 99, "0003.png")) == 0


def test_coco_results_are_a_list(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"image_id": 4, "category_id": 3, "bbox": [0, 0, 2, 2], "score": 0.5}]))
    detections = read_boxes(path).detect(None, 4)
    assert detections.categories == ("car",) and detections.scores.tolist() == [0.5]


def test_mot_counts_from_one(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("1,-1,794,247,71,174,0.9,-1,-1,-1\n3,12,10,20,5,6,1,3,1\n")
    boxes = read_boxes(path)
    assert boxes.detect(None, 0).boxes.tolist() == [[794, 247, 865, 421]]
    assert boxes.detect(None, 0).identities is None
    assert boxes.detect(None, 2).categories == ("car",) and boxes.detect(None, 2).identities == ("12",)


def test_json_lines_come_back(tmp_path: Path) -> None:
    detections = ImageDetections(np.array([[1.25, 2, 3, 4]]), np.array([0.75]), ("cow",), ("a",))
    write_json_lines(tmp_path / "boxes.jsonl", [(3, detections), (4, ImageDetections.empty())])
    boxes = read_boxes(tmp_path / "boxes.jsonl")
    read = boxes.detect(None, 3)
    assert read.boxes.tolist() == [[1.25, 2, 3, 4]] and read.categories == ("cow",) and read.identities == ("a",)
    assert len(boxes.detect(None, 4)) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("boxes.json", "{", "is no JSON"),
        ("boxes.json", '{"images": []}', "is no COCO: KeyError 'annotations'"),
        ("boxes.json", '[{"image_id": 0, "category_id": 1, "bbox": [1]}]', "is no COCO"),
        ("boxes.txt", "0,1,2,3,4,5,1\n", r"line 1: '0,1,2.*frame \(from 1\)"),
        ("boxes.txt", "1,1,nan,3,4,5,1\n", "line 1"),
        ("boxes.txt", "1,1,2,3,4,5,90\n", "line 1: score 90 is not between 0 and 1"),
        ("boxes.txt", "1,1,2,3,4,5,1,0,1\n", "line 1: class 0 is none of MOT's"),
        ("boxes.txt", "1,1,2,3,4,5,1,1,3\n", "line 1: column 9 is a share"),
        ("boxes.txt", "1,1,2,3,4,5,1,4,0,0\n", "line 1: it has ten columns.*--boxes-format visdrone"),
        ("boxes.jsonl", '{"frame": 0, "boxes": [[3, 0, 1, 2]]}', "line 1: DataError boxes must be left, top"),
        ("boxes.jsonl", '{"frame": 0, "boxes": [[0, 0, 1, 2]], "scores": []}', "1 boxes, 0 scores"),
        ("boxes.jsonl", '{"frame": 0, "boxes": [[0, 0, 1, 2]], "scores": [55]}', "a score is 55; scale them to 0 to 1"),
        ("boxes.jsonl", '{"frame": 3, "boxes": []}\n{"frame": 3, "boxes": []}', "image 3 is in line 1 and in line 2"),
        (
            "boxes.json",
            '[{"image_id": 0, "category_id": 1, "segmentation": {"counts": "a"}}]',
            "run lengths and no box",
        ),
        ("boxes.json", '[{"image_id": 0, "category_id": 1, "bbox": [NaN, 1, 2, 3]}]', "hold NaN or infinity"),
        ("boxes.xml", "", "--boxes-format"),
    ],
)
def test_what_is_no_file_of_boxes_says_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_boxes(path)


def coco(names: list[str], **stated: int) -> dict[str, Any]:
    images = [{"id": number, "file_name": name, **stated} for number, name in enumerate(names)]
    boxes = [{"image_id": number, "category_id": 1, "bbox": [number, 0, 9, 9]} for number in range(len(names))]
    return {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}


def frames(count: int, step: int = 1, name: str = "") -> list[tuple[int, float, str]]:
    return [(number, number / 10, name and name.format(number)) for number in range(0, count * step, step)]


def read(folder: Path, name: str, content: object) -> BoxFile:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_boxes(path, "visdrone" if "visdrone" in name else None)


def test_names_count_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    boxes = read(tmp_path, "boxes.json", coco([f"f{number}.jpg" for number in range(8, 12)]))
    assert [boxes.detect(None, number).boxes[0, 0] for number in range(4)] == [0, 1, 2, 3]
    assert boxes.check_images(frames(4), (100, 100)) == []


def test_boxes_belong_to_the_image_of_their_path(tmp_path: Path) -> None:
    boxes = read(tmp_path, "boxes.json", coco(["a/0.jpg", "b\\0.jpg", "c/1.v2"]))
    assert boxes.detect(None, 0, "x/b/0.png").boxes[0, 0] == 1 and boxes.detect(None, 0, "1.v2.tif").boxes[0, 0] == 2
    with pytest.raises(DataError, match=r"0\.jpg may be a/0 or b/0"):
        boxes.detect(None, 0, "0.jpg")


@pytest.mark.parametrize(
    ("content", "images", "message"),
    [
        (coco(["a.jpg"]), frames(1, name="b{}.jpg"), "names none of the images: it has a, they are called b0.jpg"),
        (coco(["0.jpg"], width=50, height=50), frames(1), "0.jpg is of 50 x 50 pixels, the images have 100 x 100"),
        (coco(["0.jpg", "2.jpg"]), frames(4), "lists 2 images without their numbers, the sequence has 4"),
        ('{"frame": 9, "boxes": [[0, 0, 1, 2]]}', frames(4), "boxes of images 9 to 9, the images are 0 to 3"),
        (
            "".join(f'{{"frame": {n}, "boxes": []}}\n' for n in (1, 2, 3, 4)),
            frames(4),
            "from 1 to 4, and the first one",
        ),
        (
            '{"frame": 0, "boxes": [[0.1, 0.2, 0.3, 1]]}',
            frames(4),
            "they are shares of the image; multiply them by its",
        ),
        ('{"frame": 0, "boxes": [[150, 1, 160, 9]]}', frames(4), "the box 150, 1, 160, 9 .* lies outside of its 100 x"),
    ],
)
def test_boxes_of_other_images_are_refused(
    tmp_path: Path, content: object, images: list[tuple[int, float, str]], message: str
) -> None:
    boxes = read(tmp_path, "boxes.json" if isinstance(content, dict) else "boxes.jsonl", content)
    with pytest.raises(DataError, match=message):
        boxes.check_images(images, (100, 100))


def test_what_was_assumed_of_boxes_is_noted(tmp_path: Path) -> None:
    results = read(tmp_path, "list.json", [{"image_id": 0, "category_id": 3, "bbox": [0, 0, 2, 2]}])
    assert "taken as those of COCO" in results.check_images(frames(2), (100, 100))[0]
    mot = read(tmp_path, "mot.txt", "1,1,2,3,4,5,1,3,1\n")
    assert "by the numbers of MOT16 (car)" in mot.check_images(frames(2), (100, 100))[0]
    visdrone = read(tmp_path, "visdrone.txt", "1,1,2,3,4,5,1,4,0,0\n1,2,2,3,4,5,0,0,0,0\n")
    assert visdrone.detect(None, 0).categories == ("car",)
    part = read(tmp_path, "part.json", coco(["f0.jpg", "f9.jpg"])).check_images(frames(3, name="f{}.jpg"), (100, 100))
    assert part[0].endswith("2 of 3 images are not in it")


def test_columns_that_are_left_out_leave_a_file_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "ten.txt").write_text("1,1,2,3,4,5,1,4,0,0\n")
    with pytest.raises(DataError, match="`cut -d, -f1-7`"):
        read_boxes(tmp_path / "ten.txt")
    text = subprocess.run(["cut", "-d,", "-f1-7", "ten.txt"], cwd=tmp_path, capture_output=True, check=True, text=True)
    assert read(tmp_path, "seven.txt", text.stdout).detect(None, 0).categories == ("object",)


def test_text_of_another_encoding_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "boxes.txt").write_bytes("1,1,2,3,4,5\n".encode("utf-16"))
    with pytest.raises(DataError, match="iconv -f UTF-16 -t UTF-8"):
        read_boxes(tmp_path / "boxes.txt")
    (tmp_path / "boxes.txt").write_bytes("1,1,2,3,4,5\n".encode("utf-8-sig"))
    assert len(read_boxes(tmp_path / "boxes.txt").detect(None, 0)) == 1


def test_supervision_in_and_out() -> None:
    supervision = pytest.importorskip("supervision")
    from skyweave.detection.supervision import detections_from_supervision, detections_to_supervision

    detections = ImageDetections(np.array([[1, 2, 3, 4], [5, 6, 9, 9.0]]), np.array([0.5, 0.25]), ("dog", "car"))
    converted = detections_to_supervision(detections)
    assert isinstance(converted, supervision.Detections) and len(converted) == 2
    back = detections_from_supervision(converted)
    assert back.categories == ("dog", "car") and np.allclose(back.boxes, detections.boxes)
    plain = supervision.Detections(xyxy=np.array([[0, 0, 1, 1.0]]), class_id=np.array([2]), tracker_id=np.array([9]))
    assert detections_from_supervision(plain, {2: "car"}).categories == ("car",)
    assert detections_from_supervision(plain).identities == ("9",)


def test_empty_cells_and_decimal_commas_of_mot_keep_their_columns(tmp_path: Path) -> None:
    for text in ("3,,10.5,20,30,40,0.5,,\n", "3;;10,5;20;30;40;0,5\n", "3;-1;10,5;20;30;40;0,5;-1\n"):
        (tmp_path / "boxes.txt").write_text(text)
        boxes = read_boxes(tmp_path / "boxes.txt").by_frame[2]
        assert boxes.boxes.tolist() == [[10.5, 20, 40.5, 60]] and boxes.scores.tolist() == [0.5]
        assert boxes.identities is None and boxes.categories == ("object",)


def test_crowds_are_no_boxes_and_negative_widths_none(tmp_path: Path) -> None:
    crowd = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "iscrowd": 1}
    box = {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}
    content = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "car"}], "annotations": [crowd, box]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    assert len(read_boxes(tmp_path / "boxes.json").by_frame[0]) == 1
    box["bbox"] = [40, 20, -30, 40]
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="one ends before it begins"):
        read_boxes(tmp_path / "boxes.json")

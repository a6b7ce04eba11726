"""Files of boxes that other programs write, and what is no such file."""

import json
from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.detection.formats.box_file import read_boxes
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
        ("boxes.jsonl", '{"frame": 0, "boxes": [[3, 0, 1, 2]]}', "line 1: DataError boxes must be left, top"),
        ("boxes.jsonl", '{"frame": 0, "boxes": [[0, 0, 1, 2]], "scores": []}', "1 boxes, 0 scores"),
        ("boxes.xml", "", "--boxes-format"),
    ],
)
def test_what_is_no_file_of_boxes_says_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_boxes(path)


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

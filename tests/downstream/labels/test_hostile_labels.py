"""Labels that other tools write or that hide a mistake: read as what they are, or refused with what helps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fabricated_labels import write_raster
from skyweave.core.config import config_from_dict
from skyweave.core.errors import ConfigError, DataError
from skyweave.downstream.finetuning.dataset import LabelledData, load_labelled_dataset
from skyweave.downstream.finetuning.remarks import check_any_label
from skyweave.downstream.finetuning.tasks.base import TASKS, make_task
from skyweave.downstream.labels import LabelledDataConfig

SOURCE = {"sensor": "rgb", "files": "images/*.tif", "bands": "sensor", "unit": "uint8", "nodata": None}
LAND = {"classes": {0: "no", 1: "yes"}}
BOXES = {"classes": ["tree", "car"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images of 16 columns x 8 rows at 0.1 m, from (400000, 5000000)."""
    for number in range(4):
        write_raster(tmp_path / f"images/t{number}.tif", np.full((3, 8, 16), 40, np.uint8))
        write_raster(tmp_path / f"masks/t{number}.tif", np.zeros((1, 8, 16), np.uint8))
    return tmp_path


def load(folder: Path, task: str, labels: dict[str, Any], **content: Any) -> LabelledData:
    config = config_from_dict({"source": SOURCE, "labels": labels, **content}, LabelledDataConfig)
    TASKS[task].check_data(config)
    return load_labelled_dataset(config, make_task(task, "mine", config.labels.class_names), folder)


def label_of(data: LabelledData, name: str) -> Any:
    samples = [sample for part in (data.train, data.validation, data.test) for sample in part]
    return next(np.asarray(s.label).tolist() for s in samples if s.observations[0].source.endswith(f"{name}.tif"))


def write_each(folder: Path, name: str, *texts: str) -> None:
    for number in range(4):
        path = folder / name.format(number)
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts[min(number, len(texts) - 1)])


def test_a_second_date_or_a_mask_that_is_the_image_itself(folder: Path) -> None:
    masks = {"kind": "mask", "files": "masks/{name}.tif", **LAND}
    with pytest.raises(DataError, match=r"second 'images/\{name\}\.tif' names the image itself, images/t0\.tif"):
        load(folder, "change", masks, second="images/{name}.tif")
    with pytest.raises(DataError, match=r"labels\.files 'images/\{name\}\.tif' names the image itself"):
        load(folder, "segmentation", masks | {"files": "images/{name}.tif", "band": 1})


def test_a_mask_that_viewers_turn_and_its_image_not(folder: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    for number in range(4):
        Image.fromarray(np.zeros((8, 16), np.uint8)).save(folder / f"masks/t{number}.png", exif=exif)
    with pytest.raises(DataError, match=r"t0\.png has the orientation 3 and .*t0\.tif 1: .*exif_transpose"):
        load(folder, "segmentation", {"kind": "mask", "files": "masks/{name}.png", **LAND})
    for number in range(4):
        Image.fromarray(np.zeros((8, 16), np.uint8)).save(folder / f"masks/t{number}.tiff", tiffinfo={274: 3})
    with pytest.raises(DataError, match=r"t0\.tiff has the orientation 3"):
        load(folder, "segmentation", {"kind": "mask", "files": "masks/{name}.tiff", **LAND})


@pytest.mark.parametrize(
    ("task", "labels", "key"),
    [
        ("segmentation", {"kind": "polygons", "files": "p.geojson", "band": 1, **LAND}, "band"),
        ("detection", {"kind": "coco", "files": "c.json", "box_crs": "EPSG:4326", **BOXES}, "box_crs"),
        ("classification", {"kind": "folder", "files": "labels.csv", **BOXES}, "files"),
    ],
)
def test_keys_that_would_change_nothing(folder: Path, task: str, labels: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"have no use for '{key}'.*remove it, or choose another kind: folder, "):
        load(folder, task, labels)


def test_columns_of_widths_are_no_right_sides(folder: Path) -> None:
    labels = {"kind": "boxes", "files": "labels.csv", "box_columns": ["x", "y", "bbox_w", "bbox_h"], "classes": ["a"]}
    with pytest.raises(ConfigError, match=r"'bbox_w' is called like a width.*add those"):
        load(folder, "detection", labels)


def coco(folder: Path, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "images": [{"id": number, "file_name": f"t{number}.tif"} for number in range(4)],
        "categories": [{"id": 1, "name": "tree"}, {"id": 2, "name": "car"}],
        "annotations": [{"category_id": 2, **annotation} for annotation in annotations],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    return {"kind": "coco", "files": "coco.json", **BOXES}


def test_corners_in_a_coco_file(folder: Path) -> None:
    corners = [{"image_id": number, "bbox": [1 + number, 1, 12 + number, 5]} for number in range(4)]
    labels = coco(folder, corners)
    with pytest.raises(DataError, match=r"annotation 0: 1 boxes leave.*subtract left and top"):
        load(folder, "detection", labels)
    boxes = [{"image_id": number, "bbox": [1 + number, 1, 11, 4]} for number in range(4)]
    assert label_of(load(folder, "detection", coco(folder, boxes)), "t3") == [[4, 1, 15, 5, 1]]


def test_outlines_without_boxes_in_a_coco_file(folder: Path) -> None:
    outline = {"image_id": 0, "segmentation": [[1, 2, 5, 2, 5, 6], [3, 1, 4, 1, 4, 2]]}
    assert label_of(load(folder, "detection", coco(folder, [outline])), "t0") == [[1, 1, 5, 6, 1]]
    both = coco(folder, [outline | {"bbox": [1.2, 1, 4, 5]}])
    assert label_of(load(folder, "detection", both), "t0")[0][0] == pytest.approx(1.2)
    with pytest.raises(DataError, match=r"its box \[9.0, 1.0, 4.0, 5.0\] and the box around its outlines \[1.0, 1.0"):
        load(folder, "detection", coco(folder, [outline | {"bbox": [9, 1, 4, 5]}]))
    for wrong in ([[1, 2, 5]], [["a", 2]]):
        with pytest.raises(DataError, match=r"annotation 0: its segmentation is no list"):
            load(folder, "detection", coco(folder, [outline | {"segmentation": wrong}]))
    with pytest.raises(DataError, match=r"annotation 0: the box \[nan, 2.*is none"):
        load(folder, "detection", coco(folder, [{"image_id": 0, "bbox": [float("nan"), 2, 3, 4]}]))


def test_training_without_any_object_is_refused() -> None:
    with pytest.raises(DataError, match=r"no training sample shows any of the classes tree, car"):
        check_any_label({"train": {"tree": 0, "car": 0}, "test": {"tree": 3, "car": 0}})
    check_any_label({"train": {"tree": 0, "car": 1}, "test": {"tree": 3, "car": 0}})


def polygons(folder: Path, content: Any) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "p.geojson").write_text(text)
    return {"kind": "polygons", "files": "p.geojson", "box_crs": "EPSG:32633", **LAND}


def square(left: float, top: float, side: float) -> dict[str, Any]:
    """A feature whose sides are in pixels of the images."""
    points = [(left, top), (left + side, top), (left + side, top + side), (left, top + side), (left, top)]
    ring = [[4e5 + x / 10, 5e6 - y / 10, 12.5] for x, y in points]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}


def test_geojson_in_its_other_forms(folder: Path) -> None:
    feature = square(0, 0, 4)
    collected = {"features": [{"geometry": {"type": "GeometryCollection", "geometries": [feature["geometry"]]}}]}
    lines = "\n".join(map(json.dumps, [feature, square(0, 0, 1)]))
    for content in (feature, collected, lines, lines.replace("\n", "\n\x1e")):
        assert np.sum(label_of(load(folder, "segmentation", polygons(folder, content)), "t0")) == 16
    with pytest.raises(DataError, match=r"is no GeoJSON.*in QGIS by Export"):
        load(folder, "segmentation", polygons(folder, "SQLite format 3"))


def test_polygons_that_no_pixel_shows_are_counted(folder: Path) -> None:
    features = [square(0, 0, 4), square(8.1, 2.1, 0.3), square(8.1, 2.1, 0.8), square(90, 2.1, 0.3)]
    data = load(folder, "segmentation", polygons(folder, {"features": features}))
    assert np.sum(label_of(data, "t0")) == 17
    assert "between the centres of its pixels: 4 (polygon 1 in images/t0.tif, " in data.notes[0]


def test_yolo_files(folder: Path) -> None:
    labels = {"kind": "yolo", "files": "labels/{name}.txt", **BOXES}
    write_each(folder, "labels/t{}.txt", "1 0.5 0.5 0.25 0.5\n\n", "0 0.25 0.25 0.5 0.25 0.5 0.75\n", "")
    (folder / "labels/t9.txt").write_text("")
    data = load(folder, "detection", labels)
    assert label_of(data, "t0") == [[6, 2, 10, 6, 1]] and label_of(data, "t1") == [[4, 2, 8, 6, 0]]
    assert label_of(data, "t2") == [] and "files of labels without an image: 1 (labels/t9.txt)" in data.notes[0]
    named = load(folder, "detection", labels | {"classes": {1: "car", 0: "tree"}})
    assert label_of(named, "t0") == [[6, 2, 10, 6, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 0.5 0.5 0.2 0.2", "line 1: there is no class 2 among tree, car"),
        ("0 8 4 2 2", "must be shares of the image"),
        ("0 0.5 0.5 0.2", "is no box; a line must be"),
        ("0 0.5 0.5 0.2 0.2 0.9", "is no box; a line must be"),
        ("car 0.5 0.5 0.2 0.2", "is no box; a line must be"),
        ("0 0.5 nan 0.2 0.2", "is no box; a line must be"),
        ("0.5 0.5 0.5 0.2 0.2", "all but the class number"),
    ],
)
def test_yolo_files_that_cannot_be(folder: Path, text: str, message: str) -> None:
    write_each(folder, "labels/t{}.txt", text)
    with pytest.raises(DataError, match=message):
        load(folder, "detection", {"kind": "yolo", "files": "labels/{name}.txt", **BOXES})


VOC = """<annotation>{size}<object><name>car</name><bndbox><xmin>{xmin}</xmin><ymin>1</ymin><xmax>4</xmax><ymax>8</ymax>
</bndbox></object></annotation>"""


def test_voc_files(folder: Path) -> None:
    labels = {"kind": "voc", "files": "labels/{name}.xml", **BOXES}
    size = "<size><width>16</width><height>8</height></size>"
    write_each(folder, "labels/t{}.xml", VOC.format(size=size, xmin=3), "<annotation/>")
    data = load(folder, "detection", labels)
    assert label_of(data, "t0") == [[2, 0, 4, 8, 1]] and label_of(data, "t1") == []
    for text, message in (
        (VOC.format(size=size.replace("16", "32"), xmin=3), r"32 x 8 pixels, and .*t0\.tif has 16 x 8"),
        (VOC.format(size="", xmin="left"), "object 0: its bndbox has left, 1, 4, 8; give xmin"),
        (VOC.format(size="", xmin=3)[:60], "is no XML of Pascal VOC"),
    ):
        write_each(folder, "labels/t{}.xml", text)
        with pytest.raises(DataError, match=message):
            load(folder, "detection", labels)
    with pytest.raises(ConfigError, match=r"one an image; write \{name\}"):
        load(folder, "detection", labels | {"files": "labels.xml"})

"""Tables of classes and boxes, and COCO files: what is read, what is refused, and what a note says is left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_labels import write_raster
from skyweave.core.config import config_from_dict
from skyweave.core.errors import ConfigError, DataError
from skyweave.downstream.finetuning.dataset import LabelledData, load_labelled_dataset
from skyweave.downstream.finetuning.tasks.base import TASKS, make_task
from skyweave.downstream.labels import LabelConfig, LabelledDataConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.readers.boxes import BoxReader
from skyweave.downstream.probing import prepare_probe
from skyweave.downstream.probing.config import probe_config_from_dict

SOURCE = {"sensor": "rgb", "files": "images/**/*.tif", "bands": "sensor", "unit": "uint8", "nodata": None}
CSV = {"kind": "csv", "files": "labels.csv", "classes": ["dry", "wet"]}
BOXES = {"kind": "boxes", "files": "labels.csv", "label_column": "label", "classes": ["tree", "car"]}
HEADER = "file,xmin,ymin,xmax,ymax,label\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images of 16 x 16 pixels at 0.1 m, two of each name."""
    for number in range(4):
        for part, value in (("a", 40), ("b", 200)):
            write_raster(tmp_path / f"images/{part}/t{number}.tif", np.full((3, 16, 16), value, np.uint8))
    return tmp_path


def load(folder: Path, task: str, labels: dict[str, Any], text: str | None = None, **content: Any) -> LabelledData:
    if text is not None:
        (folder / "labels.csv").write_text(text)
    config = config_from_dict({"source": SOURCE, "labels": labels, **content}, LabelledDataConfig)
    TASKS[task].check_data(config)
    return load_labelled_dataset(config, make_task(task, "mine", config.labels.class_names), folder)


def labels_by_image(data: LabelledData) -> dict[str, Any]:
    samples = [sample for part in (data.train, data.validation, data.test) for sample in part]
    return {
        "/".join(Path(sample.observations[0].source).parts[-2:]): np.asarray(sample.label).tolist()
        for sample in samples
    }


def rows(**labels: str) -> str:
    """A table of all images, wet in folder b, but for those that are given by name (``a_t0``)."""
    names = [f"{part}/t{number}.tif" for part in "ab" for number in range(4)]
    default = {name: "wet" if name.startswith("b") else "dry" for name in names}
    changed = {name.replace("_", "/") + ".tif": label for name, label in labels.items()}
    return "file,label\n" + "".join(f"{name},{label}\n" for name, label in (default | changed).items())


def test_images_of_one_name_have_labels_of_their_own(folder: Path) -> None:
    data = load(folder, "classification", CSV, rows())
    assert labels_by_image(data) == {f"{part}/t{i}.tif": int(part == "b") for part in "ab" for i in range(4)}
    assert data.notes == ()
    probe = {"name": "p", "data": {"source": SOURCE, "labels": CSV}, "patch_size": 8, "seeds": 1, "metric": "accuracy"}
    samples = prepare_probe(probe_config_from_dict(probe), folder).samples
    assert [samples.images[i].pixels.mean() for i in samples.image[samples.target == 1]] == [200] * 4
    assert len(np.unique(samples.group)) == 8


def test_names_that_do_not_say_which_image_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv: 't0\.tif' may be images/a/t0\.tif or images/b/t0\.tif"):
        load(folder, "classification", CSV, rows().replace("a/", "").replace("b/", ""))
    with pytest.raises(DataError, match=r"no row names an image; it names 'x1', and an image is 'images/a/t0\.tif'"):
        load(folder, "classification", CSV, "file,label\nx1,dry\n")
    with pytest.raises(DataError, match="has a header and no row"):
        load(folder, "classification", CSV, "file,label\n")


def test_one_note_says_what_is_left_out(folder: Path) -> None:
    text = rows(a_t0="wet", b_t0="", b_t1="NaN") + "a/t0.tif,dry\na/t1.tif,dry\nb/t9.tif,wet\n,wet\n"
    data = load(folder, "classification", CSV, text)
    assert data.notes == (
        "labels: images without a label: 2 (images/b/t0.tif, images/b/t1.tif); "
        "names in labels.csv without an image: 1 (b/t9.tif); rows of labels.csv without a file name: 1 (line 13); "
        "images left out, as their rows contradict each other: 1 (images/a/t0.tif: wet and dry); "
        "images with several rows that say the same: 1 (images/a/t1.tif)",
    )
    assert set(labels_by_image(data)) == {"a/t1.tif", "a/t2.tif", "a/t3.tif", "b/t2.tif", "b/t3.tif"}
    probe = {"name": "p", "data": {"source": SOURCE, "labels": CSV}, "patch_size": 8, "seeds": 1, "metric": "accuracy"}
    assert prepare_probe(probe_config_from_dict(probe), folder).samples.notes == list(data.notes)


def test_several_rows_are_several_classes_where_there_may_be(folder: Path) -> None:
    text = rows(a_t0="dry;wet", a_t1="", a_t2="nan") + "a/t3.tif,wet\n"
    labels = labels_by_image(load(folder, "multilabel", CSV, text))
    assert labels["a/t0.tif"] == labels["a/t3.tif"] == [True, True]
    assert labels["a/t1.tif"] == [False, False]
    assert "a/t2.tif" not in labels


def test_numbers_and_blanks_name_classes(folder: Path) -> None:
    text = rows().replace("wet", "1.0").replace("dry", "0")
    data = load(folder, "classification", {**CSV, "classes": {0: "dry ", 1: "wet"}}, text)
    assert labels_by_image(data)["b/t0.tif"] == 1
    with pytest.raises(
        DataError, match=r"line 2\): label '0' is none of .*say which number is which class, such as classes: {0:"
    ):
        load(folder, "classification", CSV, text)
    with pytest.raises(DataError, match=r"label 'Dry' is none of the classes dry, wet; .*did you mean 'dry'"):
        load(folder, "classification", CSV, rows(a_t0="Dry"))


def test_given_parts_that_contradict_each_other(folder: Path) -> None:
    text = (
        rows().replace("file,label", "file,label,part").replace("dry\n", "dry,train\n").replace("wet\n", "wet,test\n")
    )
    split = {"kind": "given", "column": "part"}
    data = load(folder, "classification", CSV, text, split=split)
    assert (len(data.train), len(data.validation), len(data.test)) == (4, 0, 4)
    with pytest.raises(ConfigError, match=r"split\.pattern '\(\?P<part>' is no regular expression"):
        load(folder, "classification", CSV, text, split={"kind": "given", "pattern": "(?P<part>"})
    with pytest.raises(DataError, match=r"'part' of images/a/t0\.tif is 'test' and 'train' in lines 2, 10"):
        load(folder, "classification", CSV, f"{text}a/t0.tif,dry,test\n", split=split)


def test_classes_that_are_named_twice() -> None:
    with pytest.raises(ConfigError, match="2 classes are called 'a'"):
        LabelConfig("mask", "{name}.tif", classes={0: "a", 1: "a "})
    with pytest.raises(ConfigError, match=r"\[1\] are classes and ignored"):
        LabelConfig("mask", "{name}.tif", classes={0: "a", 1: "b"}, ignore=[1])
    with pytest.raises(ConfigError, match=r"labels\.files 'm/{id}\.tif' holds {id}; write {name}"):
        config = {"source": SOURCE, "labels": {"kind": "mask", "files": "m/{id}.tif", "classes": {0: "a", 1: "b"}}}
        TASKS["segmentation"].check_data(config_from_dict(config, LabelledDataConfig))


def boxes(folder: Path, text: str, **labels: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    plenty = "".join(f"b/t{number}.tif,1,1,3,3,car\n" for number in range(4))
    data = load(folder, "detection", BOXES | labels, HEADER + text + plenty)
    return labels_by_image(data), data.notes


def test_boxes_are_cleaned_and_counted(folder: Path) -> None:
    text = "a/t0.tif,2,3,10,20,tree\na/t0.tif,2,3,10,20,tree\na/t0.tif,4,4,4,9,tree\n"
    text += "a/t1.tif,,,,,\na/t2.tif,nan,nan,,nan,\n"
    labels, notes = boxes(folder, text)
    assert labels["a/t0.tif"] == [[2, 3, 10, 16, 0]]
    assert labels["a/t1.tif"] == labels["a/t2.tif"] == []
    assert "a/t3.tif" not in labels
    (note,) = notes
    assert "boxes that are given twice: 1 " in note and "boxes without an area: 1 " in note
    assert "boxes cut at the edge of their image: 1 " in note and "images without a label: 1 (images/a/t3.tif)" in note


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a/t0.tif,9,9,5,4,tree", r"labels\.csv, line 2: no box goes from x 9 to 5 .*add a width and a height"),
        (
            "a/t0.tif,90,90,99,99,tree",
            r"line 2: the box 90, 90, 99, 99 .* lies outside images/a/t0\.tif, 16 x 16 pixels",
        ),
        (
            "a/t0.tif,400000.2,4999999,400000.8,4999999.6,tree",
            r"coordinates of its map: declare labels\.box_crs: 'EPSG:",
        ),
        ("a/t0.tif,1,x,3,4,tree", r"line 2: the side 'x' of a box is no number"),
        ("a/t0.tif,1,,3,4,tree", r"line 2: the side '' of a box is no number"),
        ("a/t0.tif,1,inf,3,4,tree", "the side 'inf' of a box is no number"),
        ("a/t0.tif,1,1,3,4,house", r"box: label 'house' is none of the classes tree, car"),
    ],
)
def test_boxes_that_cannot_be(row: str, message: str, folder: Path) -> None:
    with pytest.raises(DataError, match=message):
        boxes(folder, f"{row}\n")


def test_shares_are_no_pixels(folder: Path) -> None:
    with pytest.raises(DataError, match="shares of the image, not pixels; multiply"):
        load(folder, "detection", BOXES, f"{HEADER}a/t0.tif,0.1,0.2,0.5,0.6,tree\nb/t0.tif,0,0,1,1,tree\n")
    with pytest.raises(ConfigError, match="boxes of 2 classes need `label_column`"):
        load(folder, "detection", BOXES | {"label_column": None}, f"{HEADER}a/t0.tif,1,2,5,6,tree\n")
    with pytest.raises(ConfigError, match="name four"):
        load(folder, "detection", BOXES | {"box_columns": ["x", "y"]}, f"{HEADER}a/t0.tif,1,2,5,6,tree\n")


def test_boxes_in_coordinates_of_a_map(folder: Path) -> None:
    text = HEADER + "".join(
        f"{part}/t{i}.tif,400000.2,4999999,400000.8,4999999.6,tree\n" for part in "ab" for i in range(4)
    )
    labels = labels_by_image(load(folder, "detection", BOXES | {"box_crs": "EPSG:32633"}, text))
    assert np.round(labels["a/t0.tif"], 2).tolist() == [[2, 4, 8, 10, 0]]
    with pytest.raises(DataError, match="lies outside"):
        load(folder, "detection", BOXES | {"box_crs": "EPSG:32634"}, text)
    columns = ["ymin", "xmin", "ymax", "xmax"]
    with pytest.raises(DataError, match=r"exchanged.*declare labels\.box_columns: \[xmin, ymin, xmax, ymax\]"):
        load(folder, "detection", BOXES | {"box_crs": "EPSG:32633", "box_columns": columns}, text)
    with pytest.raises(DataError, match=r"line 2: its box in EPSG:99999 cannot be placed"):
        load(folder, "detection", BOXES | {"box_crs": "EPSG:99999"}, text)


def coco(folder: Path, **changes: Any) -> dict[str, Any]:
    names = [f"{part}/t{number}.tif" for part in "ab" for number in range(4)]
    content = {
        "images": [{"id": i, "file_name": name, "width": 16, "height": 16} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "tree"}, {"id": 7, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"id": 2, "image_id": 4, "category_id": 1, "bbox": [0, 0, 16, 16]},
        ],
    }
    content |= changes
    (folder / "coco.json").write_text(json.dumps(content))
    return content


COCO = {"kind": "coco", "files": "coco.json", "classes": ["tree", "car"]}


def test_a_coco_file(folder: Path) -> None:
    content = coco(folder)
    labels = labels_by_image(load(folder, "detection", COCO))
    assert labels["a/t0.tif"] == [[1, 2, 4, 6, 1]] and labels["b/t0.tif"] == [[0, 0, 16, 16, 0]]
    assert labels["a/t1.tif"] == []
    more = [
        {"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "iscrowd": 1},
        {"image_id": 1, "category_id": 1, "bbox": []},
        {"image_id": 99, "category_id": 1, "bbox": [1, 1, 4, 4]},
        {"image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 4]},
    ]
    coco(
        folder, annotations=content["annotations"] + more, images=[*content["images"], {"id": 50, "file_name": "x.tif"}]
    )
    data = load(folder, "detection", COCO)
    assert labels_by_image(data) == labels
    for part in (
        "images of coco.json without a file: 1 (x.tif)",
        "crowds: 1",
        "without a box: 1",
        "without an area: 1",
    ):
        assert part in data.notes[0]
    assert "annotations of no image in the file: 1" in data.notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": [{"id": 0, "file_name": "a/t0.tif", "width": 32, "height": 16}]},
            r"32 x 16 pixels, and .* 16 x 16",
        ),
        ({"images": [{"id": 0, "file_name": "t0.tif"}]}, r"'t0\.tif' may be images/a/t0\.tif or images/b/t0\.tif"),
        ({"categories": [{"id": 0, "name": "tree"}]}, r"annotation 0 has category 7, and there are 0"),
        ({"categories": [{"id": 1, "name": "tree"}, {"id": 1, "name": "car"}]}, "the category id 1 is given twice"),
        (
            {"annotations": [{"image_id": 0, "category_id": 1, "bbox": [1, 2, -3, 4]}]},
            r"the box \[1.0, 2.0, -3.0, 4.0\]",
        ),
        ({"annotations": {}}, "is no COCO file .*lists of images, categories and annotations"),
    ],
)
def test_coco_files_that_cannot_be(changes: dict[str, Any], message: str, folder: Path) -> None:
    coco(folder, **changes)
    with pytest.raises(DataError, match=message):
        load(folder, "detection", COCO)


def test_masks_without_an_image_and_values_without_a_class(folder: Path) -> None:
    for part in "ab":
        for number in range(4):
            mask = np.array([[0.0, 1.0, np.nan, 9.0]], np.float32).repeat(4, 0).repeat(4, 0).repeat(4, 1)[None, :16]
            write_raster(folder / f"masks/{part}/t{number}.tif", mask, nodata=9)
    write_raster(folder / "masks/c/t7.tif", np.zeros((1, 16, 16), np.uint8))
    labels = {"kind": "mask", "files": "masks/{name}.tif", "classes": {0: "no", 1: "yes"}}
    data = load(folder, "segmentation", labels)
    assert data.notes == ("labels: masks without an image: 1 (masks/c/t7.tif)",)
    assert labels_by_image(data)["a/t0.tif"][0] == [0] * 4 + [1] * 4 + [-1] * 8
    write_raster(folder / "masks/a/t0.tif", np.full((1, 16, 16), 0.5, np.float32))
    with pytest.raises(DataError, match=r"a/t0\.tif: values \[0\.5\] are neither classes"):
        load(folder, "segmentation", labels)


@pytest.mark.parametrize("south_up", [False, True])
def test_a_second_date_lies_on_the_grid_of_the_first(south_up: bool, tmp_path: Path) -> None:
    pixels = np.arange(3 * 256, dtype=np.uint8).reshape(3, 16, 16)
    for number in range(3):
        write_raster(tmp_path / f"images/t{number}.tif", pixels)
        write_raster(tmp_path / f"masks/t{number}.tif", np.eye(16, dtype=np.uint8)[None])
        second = write_raster(tmp_path / f"second/t{number}.tif", pixels[:, ::-1].copy() if south_up else pixels)
        if south_up:
            move(second, Affine(0.1, 0, 4e5, 0, 0.1, 5e6 - 1.6))
    labels = {"kind": "mask", "files": "masks/{name}.tif", "classes": {0: "same", 1: "changed"}}
    source = {**SOURCE, "files": "images/*.tif"}
    first, other = load(tmp_path, "change", labels, source=source, second="second/{name}.tif").train[0].observations
    np.testing.assert_array_equal(first.pixels, other.pixels)
    assert first.geometry == other.geometry
    move(second, Affine(0.1, 0, 4e5 + 5000, 0, -0.1, 5e6))
    with pytest.raises(DataError, match=r"second/t2\.tif does not lie on the grid .*share no ground"):
        load(tmp_path, "change", labels, source=source, second="second/{name}.tif")
    second.unlink()
    with pytest.raises(FileNotFoundError, match=r"no image .*second/t2\.tif; check `second`"):
        load(tmp_path, "change", labels, source=source, second="second/{name}.tif")


def move(path: Path, affine: Affine) -> None:
    with rasterio.open(path, "r+") as target:
        target.transform = affine


@settings(max_examples=30, deadline=None)
@given(
    sides=st.tuples(*[st.integers(0, 7)] * 2, *[st.integers(9, 16)] * 2),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 2),
    crs=st.sampled_from(["EPSG:32633", "EPSG:25833"]),
)
def test_a_box_of_the_map_lies_where_the_transform_puts_it(
    sides: tuple[int, ...], signs: tuple[int, int], crs: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    affine = Affine(0.1 * signs[0], 0, 4e5, 0, 0.1 * signs[1], 5e6)
    move(write_raster(folder / "images/t.tif", np.zeros((3, 16, 16), np.uint8)), affine)
    left, top, right, bottom = sides
    x0, x1 = (affine.c + affine.a * column for column in (left, right))
    y0, y1 = (affine.f + affine.e * row for row in (top, bottom))
    text = f"t.tif,{min(x0, x1)},{min(y0, y1)},{max(x0, x1)},{max(y0, y1)},tree\n"
    (folder / "labels.csv").write_text(HEADER + text)
    images = ImageFiles([folder / "images/t.tif"], folder)
    config = config_from_dict(BOXES | {"box_crs": crs}, LabelConfig)
    corners = BoxReader(config, images).read(images.paths[0], None, (16, 16)).corners
    np.testing.assert_allclose(corners, [sides], atol=1e-2)

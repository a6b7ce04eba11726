"""Anybody's own data: every kind of labels, every way to split, and what is said of files that do not fit."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fabricated_labels import write_raster
from skyweave.core.config import config_from_dict
from skyweave.downstream.finetuning.dataset import LabelledData, load_labelled_dataset
from skyweave.downstream.finetuning.tasks.base import TASKS, make_task
from skyweave.downstream.labels import IGNORE_INDEX, LabelledDataConfig

SOURCE = {"sensor": "rgb", "files": "images/*.tif", "bands": "sensor", "unit": "uint8", "nodata": None}


def image(folder: Path, name: str, side: int = 16, value: int = 90) -> None:
    write_raster(folder / "images" / f"{name}.tif", np.full((3, side, side), value, np.uint8))


def declared(task: str, **content: Any) -> LabelledDataConfig:
    config = config_from_dict({"source": SOURCE, **content}, LabelledDataConfig)
    TASKS[task].check_data(config)
    return config


def own(folder: Path, task: str, **content: Any) -> LabelledData:
    config = declared(task, **content)
    return load_labelled_dataset(config, make_task(task, "mine", config.labels.class_names), folder)


def table(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def masks(folder: Path, count: int = 6, side: int = 16) -> None:
    for number in range(count):
        image(folder, f"p{number}", side)
        mask = np.full((1, side, side), 5, np.uint8)
        mask[0, : side // 2] = 9
        mask[0, 0, 0] = 255
        write_raster(folder / "masks" / f"p{number}.tif", mask)


LAND = {"kind": "mask", "files": "masks/{name}.tif", "classes": {5: "field", 9: "forest"}, "ignore": [255]}


def test_masks_are_read_by_their_values(tmp_path: Path) -> None:
    masks(tmp_path)
    data = own(tmp_path, task="segmentation", labels=LAND)
    assert (len(data.train), len(data.validation), len(data.test)) == (4, 1, 1)
    label = np.asarray(data.train[0].label)
    assert label[0, 0] == IGNORE_INDEX
    assert label[0, 1] == 1
    assert label[-1, -1] == 0
    assert data.train[0].observations[0].ground_sample_distance == pytest.approx(0.1)


def test_large_rasters_are_cut_into_tiles_and_blocks_do_not_leak(tmp_path: Path) -> None:
    masks(tmp_path, count=1, side=64)
    split = {"kind": "blocks", "block": 16, "gap": 3}
    data = own(tmp_path, task="segmentation", labels=LAND, tiles={"size": 8}, split=split)
    parts = {name: getattr(data, name) for name in ("train", "validation", "test")}
    assert sum(len(part) for part in parts.values()) == 64
    owner = np.full((64, 64), -1)
    for number, part in enumerate(parts.values()):
        for place in part.tiles:
            owner[place.window[0] : place.window[0] + 8, place.window[1] : place.window[1] + 8] = number
    blocks = owner.reshape(4, 16, 4, 16).transpose(0, 2, 1, 3).reshape(16, -1)
    assert all(len(set(block)) == 1 for block in blocks)  # a block is of one part
    for number in range(len(parts["train"])):
        place, label = parts["train"].tiles[number], np.asarray(parts["train"][number].label)
        for row, column in np.argwhere(label != IGNORE_INDEX):
            y, x = place.window[0] + row, place.window[1] + column
            assert (owner[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] <= 0).all()


def test_values_for_regression(tmp_path: Path) -> None:
    for number in range(4):
        image(tmp_path, f"p{number}")
        values = np.full((1, 16, 16), float(number), np.float32)
        values[0, 0, :3] = [np.nan, -999, -1]
        write_raster(tmp_path / "masks" / f"p{number}.tif", values, nodata=-999)
    data = own(tmp_path, task="regression", labels={"kind": "mask", "files": "masks/{name}.tif", "nodata": -1})
    label = np.asarray(data.test[0].label)
    assert np.isnan(label[0, :3]).all()
    assert np.isfinite(label).sum() == 253


def test_folders_of_classes_and_given_parts(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for kind in ("a", "b"):
            name = tmp_path / part / kind / f"{part}{kind}.tif"
            write_raster(name, np.zeros((3, 8, 8), np.uint8))
    data = own(
        tmp_path,
        task="classification",
        source={**SOURCE, "files": "*/*/*.tif"},
        labels={"kind": "folder", "classes": ["a", "b"]},
        split={"kind": "given", "pattern": "^(?P<part>[a-z]+)/"},
    )
    assert [own.label for own in data.test] == [0, 1]
    assert len(data.train) == len(data.validation) == 2


def test_tables_of_one_and_of_several_classes(tmp_path: Path) -> None:
    for number in range(6):
        image(tmp_path, f"p{number}")
    rows = [{"file": f"p{i}.tif", "label": "a;c" if i % 2 else "b", "part": p} for i, p in enumerate(["train"] * 4)]
    rows += [{"file": "p4.tif", "label": "c", "part": "val"}, {"file": "p5.tif", "label": "", "part": "test"}]
    table(tmp_path / "labels.csv", rows)
    labels = {"kind": "csv", "files": "labels.csv", "label_column": "label", "classes": ["a", "b", "c"]}
    data = own(tmp_path, task="multilabel", labels=labels, split={"kind": "given", "column": "part"})
    assert np.asarray(data.train[1].label).tolist() == [True, False, True]
    assert not np.asarray(data.test[0].label).any()
    with pytest.raises(ValueError, match=r"p1.tif.*'a;c' is none of the classes a, b, c"):
        own(tmp_path, task="classification", labels=labels, split={"kind": "given", "column": "part"}).train[1]
    with pytest.raises(ValueError, match=r"labels.csv: no column 'klass'; it has file, label, part"):
        own(tmp_path, task="multilabel", labels={**labels, "label_column": "klass"})


def test_boxes_are_cut_with_their_tiles(tmp_path: Path) -> None:
    for number in range(3):
        image(tmp_path, f"p{number}", 32)
    rows = [dict(file=f"p{i}", xmin=2, ymin=3, xmax=10, ymax=20, label="tree") for i in range(3)]
    rows += [dict(file="p0", xmin=14, ymin=1, xmax=22, ymax=9, label="tree")]
    table(tmp_path / "boxes.csv", rows)
    labels = {"kind": "boxes", "files": "boxes.csv", "label_column": "label", "classes": ["tree"]}
    data = own(tmp_path, task="detection", labels=labels, tiles={"size": 16})
    every = [sample for part in (data.train, data.validation, data.test) for sample in part]
    by_name = {own.name: np.asarray(own.label) for own in every}
    assert by_name["p1.tif[0:0]"].tolist() == [[2, 3, 10, 16, 0]]  # its centre is in the upper tile
    assert by_name["p0.tif[0:16]"].tolist() == [[0, 1, 6, 9, 0]]
    assert len(by_name["p2.tif[16:16]"]) == 0


def test_two_dates_are_paired_by_name(tmp_path: Path) -> None:
    for number in range(3):
        image(tmp_path, f"p{number}_before", value=10)
        image(tmp_path, f"p{number}_after", value=200)
        write_raster(tmp_path / "masks" / f"p{number}.tif", np.eye(16, dtype=np.uint8)[None])
    content = dict(
        task="change",
        source={**SOURCE, "files": "images/*_before.tif"},
        name="^(p[0-9])",
        second="images/{name}_after.tif",
        labels={"kind": "mask", "files": "masks/{name}.tif", "classes": {0: "same", 1: "changed"}},
    )
    data = own(tmp_path, **content)
    before, after = data.train[0].observations
    assert (before.pixels.max(), after.pixels.max()) == (10, 200)
    (tmp_path / "images" / "p1_after.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"p1_after.tif; check `second` and `name`"):
        (
            list(own(tmp_path, **content).train),
            list(own(tmp_path, **content).validation),
            list(own(tmp_path, **content).test),
        )


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    masks(tmp_path, 4)
    with pytest.raises(ValueError, match=r"p0.tif: values \[255\] are neither classes \[5, 9\] nor ignored \[\]"):
        own(tmp_path, task="segmentation", labels={**LAND, "ignore": []})
    write_raster(tmp_path / "masks" / "p2.tif", np.full((1, 8, 16), 5, np.uint8))
    with pytest.raises(ValueError, match=r"p2.tif does not lie on the grid of .*by 8 x 16 pixels of 0.1 .*rio warp"):
        own(tmp_path, task="segmentation", labels=LAND)
    with pytest.raises(ValueError, match=r"none of the images \(4\) has a label: images/p0.tif has none in .*p0"):
        own(tmp_path, task="segmentation", labels={**LAND, "files": "elsewhere/{name}.tif"})
    with pytest.raises(FileNotFoundError, match=r"no table of labels .*none.csv; check labels.files"):
        own(tmp_path, task="classification", labels={"kind": "csv", "files": "none.csv", "classes": ["a", "b"]})


def test_rare_classes_are_left_out_with_a_note(tmp_path: Path) -> None:
    masks(tmp_path, 5)
    mask = np.full((1, 16, 16), 5, np.uint8)
    mask[0, :, 3] = 7
    write_raster(tmp_path / "masks" / "p3.tif", mask)
    labels = {**LAND, "classes": {5: "field", 9: "forest", 7: "road"}}
    data = own(tmp_path, task="segmentation", labels=labels, split={"minimum_groups": 3})
    assert data.notes == ("class 'road' left out: 1 groups show it, fewer than 3",)
    parts = [*data.train, *data.validation, *data.test]
    assert data.task.class_counts(parts)[2] == 0
    assert sum(int((np.asarray(own.label) == IGNORE_INDEX).sum()) for own in parts) == 4 + 16


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"task": "segmentation", "labels": {"kind": "folder"}}, "segmentation cannot have labels of kind 'folder'"),
        ({"task": "classification", "labels": LAND}, "classification cannot have labels of kind 'mask'"),
        ({"task": "change", "labels": LAND}, "`second`, the second date's file"),
        ({"task": "segmentation", "labels": {**LAND, "classes": ["a", "b"]}}, "a mapping from stored value to name"),
        (
            {"task": "segmentation", "labels": LAND, "split": {"kind": "blocks"}},
            "needs `tiles` whose size divides them",
        ),
        ({"task": "segmentation", "labels": LAND, "split": {"kind": "given"}}, "needs a `column` of the table"),
    ],
)
def test_configurations_that_cannot_work(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declared(**content)

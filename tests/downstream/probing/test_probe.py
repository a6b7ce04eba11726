"""A probe from files to table, on small images written here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine

from skyweave.backbone import build_backbone
from skyweave.core.errors import ConfigError, DataError
from skyweave.downstream.baselines.cell_features import random_convolution_maps, statistics_maps
from skyweave.downstream.baselines.texture import texture_maps
from skyweave.downstream.labels.readers.stored_boxes import StoredBoxes
from skyweave.downstream.probing import ProbeConfig, load_probe_config, prepare_probe, run_probe
from skyweave.downstream.probing.blocks import FeatureBlocks, split_blocks
from skyweave.downstream.probing.cells import box_classes, majority_classes, positive_shares
from skyweave.downstream.probing.config import probe_config_from_dict
from skyweave.downstream.probing.features import Candidate, encode_probe_samples

DENSE: dict[str, Any] = {
    "name": "dense",
    "data": {
        "source": {"sensor": "rgb", "files": "images/*.tif", "bands": "sensor", "unit": "uint8"},
        "labels": {"kind": "mask", "files": "labels/{name}.tif", "classes": {1: "dark", 2: "bright"}, "ignore": [0]},
        "split": {"kind": "blocks", "block": 16, "gap": 8, "folds": 2},
    },
    "cell": 8,
    "patch_size": 8,
    "seeds": 2,
    "random_filters": 16,
}
WHOLE: dict[str, Any] = {
    **{key: DENSE[key] for key in ("patch_size", "seeds", "random_filters")},
    "name": "whole",
    "data": {
        "source": DENSE["data"]["source"],
        "labels": {"kind": "pattern", "pattern": "^(?P<label>[a-z]+)_", "classes": ["dark", "bright"]},
        "tiles": {"size": 32},
        "split": {"kind": "groups", "folds": 2},
    },
    "readout": ["normed"],
}


def write(path: Path, pixels: np.ndarray, nodata: float | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=height,
        width=width,
        dtype=pixels.dtype,
        nodata=nodata,
        crs="EPSG:32633",
        transform=Affine(0.1, 0, 5e5, 0, -0.1, 5e6),
    ) as target:
        target.write(pixels)


def make(root: Path, names: tuple[str, ...] = ("dark_1", "dark_2", "bright_1", "bright_2"), seed: int = 0) -> Path:
    """Images whose halves are dark and bright (dense), on a level that follows the name (whole)."""
    random = np.random.default_rng(seed)
    for name in names:
        labels = np.ones((1, 64, 64), np.uint8)
        labels[:, 32:] = 2
        level = 60 + 60 * (labels == 2) + 40 * name.startswith("bright")
        pixels = np.clip(level + random.normal(0, 15, (3, 64, 64)), 0, 255).astype(np.uint8)
        write(root / f"images/{name}.tif", pixels)
        write(root / f"labels/{name}.tif", labels)
    return root


def changed(raw: dict[str, Any], **changes: Any) -> ProbeConfig:
    """With other keys; those of the data are put there."""
    of_data = {key: changes.pop(key) for key in ("source", "labels", "split", "tiles") if key in changes}
    return probe_config_from_dict({**raw, "data": {**raw["data"], **of_data}, **changes})


def test_dense_probe_holds_blocks_out_and_keeps_the_gap(tmp_path: Path) -> None:
    prepared = prepare_probe(probe_config_from_dict(DENSE), make(tmp_path))
    samples = prepared.samples
    assert len(samples) == 4 * 64
    for folds in prepared.folds:
        assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(samples)))
        for fold in folds:
            for place in np.unique(samples.place):
                test = samples.position[fold.test[samples.place[fold.test] == place]]
                train = samples.position[fold.train[samples.place[fold.train] == place]]
                assert len(train) and len(test)
                apart = np.abs(train[:, None] - test[None]).max(axis=-1)
                assert apart.min() >= 16  # upper left corners: 8 pixels of cell and 8 pixels of gap


def test_rows_share_samples_and_easy_classes_are_solved(tmp_path: Path) -> None:
    backbone = build_backbone("tiny", seed=0, depth=1)
    result = run_probe(probe_config_from_dict(DENSE), make(tmp_path), backbone)
    names = {row.name for row in result.rows}
    assert {"backbone, linear", "statistics, knn", "statistics, forest", "statistics+, linear"} <= names
    assert {"random convolutions, knn", "random initialisation, linear", "statistics 3x3 cells, linear"} <= names
    tested = {row.name: np.isfinite(row.predictions) for row in result.rows}
    assert all((seen == tested["backbone, knn"]).all() for seen in tested.values())
    assert len({row.name: row for row in result.rows}["statistics, linear"].per_seed["accuracy"]) == 2
    assert next(row for row in result.rows if row.name == "statistics, linear").scores["accuracy"].mean > 0.95
    assert len(result.comparisons) == sum(row.baseline for row in result.rows)
    assert not result.above_all  # nothing is above a solved baseline
    assert result.to_dict()["fingerprint"]


def test_earlier_baseline_rows_can_be_reused(tmp_path: Path) -> None:
    prepared = prepare_probe(changed(WHOLE, baselines=["random convolutions"]), make(tmp_path))
    first = run_probe(prepared)
    again = run_probe(prepared, backbone=build_backbone("tiny", seed=0, depth=1), baseline_rows=first.rows)
    assert [row.name for row in again.rows if row.baseline] == [row.name for row in first.rows]
    assert len(again.comparisons) == len(first.rows)


def test_results_repeat_exactly(tmp_path: Path) -> None:
    config = changed(WHOLE, baselines=["random convolutions"])
    make(tmp_path)
    first, second = run_probe(config, tmp_path), run_probe(config, tmp_path)
    for one, other in zip(first.rows, second.rows, strict=True):
        np.testing.assert_array_equal(one.predictions, other.predictions)
        assert one.scores == other.scores


def test_groups_stay_together_by_pattern(tmp_path: Path) -> None:
    make(tmp_path, ("dark_1_a", "dark_1_b", "dark_2_a", "bright_1_a", "bright_1_b", "bright_2_a"))
    config = changed(WHOLE, split={"kind": "groups", "folds": 2, "pattern": "^([a-z]+_[0-9]+)"})
    prepared = prepare_probe(config, tmp_path)
    assert len(np.unique(prepared.samples.group)) == 4
    for fold in prepared.folds[0]:
        assert not set(prepared.samples.group[fold.train]) & set(prepared.samples.group[fold.test])


def test_test_data_is_never_trained_on_in_groups(tmp_path: Path) -> None:
    train, test = make(tmp_path / "train"), make(tmp_path / "test", seed=1)
    prepared = prepare_probe(probe_config_from_dict(WHOLE), train, test_data=test)
    (fold,) = prepared.folds[0]
    assert not prepared.samples.testable[fold.train].any()
    assert prepared.samples.testable[fold.test].all()
    assert len(fold.train) == len(fold.test) == 16


def test_a_probe_reads_one_source() -> None:
    further = {"sensor": "elevation", "files": "heights/{name}.tif", "unit": "metre", "bands": ["elevation"]}
    with pytest.raises(ConfigError, match="a probe reads one source; remove `further`"):
        probe_config_from_dict({**DENSE, "data": {**DENSE["data"], "further": [further]}})


def test_test_data_that_are_training_data_are_refused(tmp_path: Path) -> None:
    train = make(tmp_path / "train")
    shutil.copytree(train, tmp_path / "copy")
    for folder in (train, tmp_path / "copy"):
        with pytest.raises(DataError, match=r"images to test on are images of training.*--test-data"):
            prepare_probe(probe_config_from_dict(WHOLE), train, test_data=folder)


def test_test_data_blocks_are_held_out_inside_its_places(tmp_path: Path) -> None:
    train, test = make(tmp_path / "train"), make(tmp_path / "test", seed=1)
    prepared = prepare_probe(probe_config_from_dict(DENSE), train, test_data=test)
    testable = prepared.samples.testable
    for fold in prepared.folds[0]:
        assert testable[fold.test].all()
        assert set(np.flatnonzero(~testable)) <= set(fold.train)
        assert testable[fold.train].any()


def test_majority_needs_its_share() -> None:
    mask = np.array([[1, 1, 2, 0], [1, 2, 0, 0]])
    np.testing.assert_array_equal(majority_classes(mask - 1, 2, 2, 0.5), [[0, np.nan]])
    np.testing.assert_allclose(positive_shares(mask, 2), [[1, 0.25]])


def test_fraction_regresses_and_reports_r2(tmp_path: Path) -> None:
    make(tmp_path)
    for path in (tmp_path / "labels").iterdir():
        write(path, (np.arange(64)[None, None] < 32).repeat(64, axis=1).astype(np.uint8))
    config = changed(
        DENSE,
        labels={"kind": "mask", "files": "labels/{name}.tif"},
        target="positive_share",
        metric="r2",
        cell=16,
        patch_size=8,
        split={"kind": "groups", "folds": 2},
        samples_per_image=10,
    )
    result = run_probe(config, tmp_path, classifiers=("linear",))
    assert result.samples == 40
    assert set(result.rows[0].scores) == {"r2", "mae"}


def test_nodata_cells_are_left_out(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "images/dark_1.tif"
    with rasterio.open(path) as source:
        pixels = np.maximum(source.read(), 1)
    pixels[:, :16] = 0
    write(path, pixels, nodata=0)
    prepared = prepare_probe(probe_config_from_dict(DENSE), tmp_path)
    assert len(prepared.samples) == 4 * 64 - 16


def test_statistics_are_those_of_the_cell(tmp_path: Path) -> None:
    samples = prepare_probe(probe_config_from_dict(DENSE), make(tmp_path)).samples
    features = samples.gather(statistics_maps(samples.images, samples.cell_size, extended=True))
    image, (row, column) = samples.images[samples.image[77]], samples.cell[77] * 8
    cell = image.pixels[:, row : row + 8, column : column + 8].reshape(3, -1)
    wanted = [cell.mean(1), cell.std(1), cell.min(1), cell.max(1), *np.percentile(cell, (10, 25, 50, 75, 90), axis=1)]
    np.testing.assert_allclose(features[77], np.concatenate(wanted), rtol=1e-4)


def test_random_convolutions_differ_by_seed_only(tmp_path: Path) -> None:
    samples = prepare_probe(probe_config_from_dict(DENSE), make(tmp_path)).samples

    def features(seed: int) -> np.ndarray:
        return samples.gather(random_convolution_maps(samples.images, samples.cell_size, 8, 3, seed))

    assert features(0).shape == (len(samples), 16)
    np.testing.assert_array_equal(features(0), features(0))
    assert np.abs(features(0) - features(1)).max() > 0.01


@pytest.mark.parametrize("patch_size", [4, 8, 16])
def test_features_reach_the_cells_from_any_patch_size(tmp_path: Path, patch_size: int) -> None:
    samples = prepare_probe(probe_config_from_dict(DENSE), make(tmp_path)).samples
    backbone = build_backbone("tiny", seed=0, depth=1)
    features, stem = encode_probe_samples(backbone, samples, [Candidate("normed"), Candidate("stem")], patch_size)
    assert features.shape == stem.shape == (len(samples), 192) and np.isfinite(features).all()
    if patch_size == 8:
        direct = backbone.embed(samples.images[0], 8).dense()[0, :, 3, 5].numpy()
        (index,) = np.flatnonzero((samples.image == 0) & (samples.cell == [3, 5]).all(axis=1))
        np.testing.assert_allclose(features[index], direct, atol=1e-4)


def test_a_class_missing_from_training_is_noted(tmp_path: Path) -> None:
    make(tmp_path, ("dark_1", "dark_2", "dark_3", "bright_1"))
    prepared = prepare_probe(changed(WHOLE, baselines=["random convolutions"]), tmp_path)
    assert any("'bright' is tested but never trained" in note for note in prepared.notes)
    assert run_probe(prepared, classifiers=("knn",)).class_counts == {"dark": 12, "bright": 4}


def test_rare_classes_are_left_out_and_noted(tmp_path: Path) -> None:
    make(tmp_path, ("dark_1", "dark_2", "dark_3", "bright_1"))
    prepared = prepare_probe(changed(WHOLE, minimum_class_samples=5), tmp_path)
    assert len(prepared.samples) == 12
    assert any("'bright' left out: 4 samples" in note for note in prepared.notes)


def test_a_declared_rule_decides_the_unit_and_says_so(tmp_path: Path) -> None:
    make(tmp_path)
    source = {**DENSE["data"]["source"], "unit_rule": {"unit": "uint8", "at_least": 2}}
    for path in (tmp_path / "images").iterdir():
        dark = path.stem == "dark_1"
        write(path, np.full((3, 64, 64), 0.5 if dark else 90, np.float32))
    prepared = prepare_probe(changed(DENSE, source={**source, "unit": "unit_interval"}), tmp_path)
    assert len([note for note in prepared.notes if "read as uint8" in note]) == 3
    assert sorted({float(image.pixels.max()) for image in prepared.samples.images}) == [90.0, 127.5]


def test_too_few_groups_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    make(tmp_path, ("dark_1", "bright_1"))
    with pytest.raises(ValueError, match="2 groups cannot be split into 5 folds"):
        prepare_probe(changed(WHOLE, split={"kind": "groups", "folds": 5}), tmp_path)


def test_label_values_outside_the_classes_name_file_and_value(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "labels/dark_2.tif", np.full((1, 64, 64), 9, np.uint8))
    with pytest.raises(ValueError, match=r"dark_2\.tif: values \[9\] are neither"):
        prepare_probe(probe_config_from_dict(DENSE), tmp_path)


def test_a_mask_of_another_size_is_an_error(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "labels/dark_2.tif", np.ones((1, 32, 64), np.uint8))
    with pytest.raises(ValueError, match=r"dark_2\.tif does not lie on .*by 32 x 64 pixels"):
        prepare_probe(probe_config_from_dict(DENSE), tmp_path)


def test_csv_labels_select_and_check(tmp_path: Path) -> None:
    make(tmp_path)
    table = tmp_path / "table.csv"
    table.write_text("file,label,good\ndark_1.tif,dark,1\ndark_2.tif,dark,0\nbright_1,bright,1\nbright_2,grey,0\n")
    labels = {"kind": "csv", "files": "table.csv", "classes": ["dark", "bright"], "where": {"good": ["1"]}}
    prepared = prepare_probe(changed(WHOLE, labels=labels), tmp_path)
    assert len(prepared.samples) == 8
    with pytest.raises(ValueError, match=r"bright_2\.tif \(.*, line 5\): label 'grey' is none of the classes"):
        prepare_probe(changed(WHOLE, labels={**labels, "where": None}), tmp_path)
    with pytest.raises(ValueError, match="no column 'nothing'; it has file, label, good"):
        prepare_probe(changed(WHOLE, labels={**labels, "label_column": "nothing"}), tmp_path)


def test_folder_labels(tmp_path: Path) -> None:
    for name in ("dark", "bright"):
        for number in range(2):
            write(tmp_path / f"images/{name}/{number}.tif", np.full((3, 32, 32), 90, np.uint8))
    config = changed(
        WHOLE,
        source={**DENSE["data"]["source"], "files": "images/*/*.tif"},
        labels={"kind": "folder", "classes": ["dark", "bright"]},
        split={"kind": "groups", "folds": 2},
    )
    samples = prepare_probe(config, tmp_path).samples
    assert np.bincount(samples.target).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sead": 3}, "unknown key 'sead'; did you mean 'seeds'"),
        ({"split": {"kind": "blocks", "blok": 32}}, "unknown key 'data.split.blok'; did you mean 'block'"),
        ({"split": {"kind": "blocks", "block": 30}}, "block 30 is no multiple of cell 8"),
        ({"metric": "r2"}, "metric 'r2' does not fit target 'class'"),
        ({"cell": None}, "need `cell`"),
        ({"readout": []}, "readout is empty"),
        ({"tiles": {"size": 20}}, "multiples of cell 8"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(DENSE, **changes)


def test_missing_images_name_the_pattern(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file matches 'images/\*\.tif'"):
        prepare_probe(probe_config_from_dict(DENSE), tmp_path)


def test_shared_configurations_are_valid(repository: Path) -> None:
    names = {load_probe_config(path).name for path in (repository / "configs/probe").glob("*.yaml")}
    assert names == {path.stem for path in (repository / "configs/probe").glob("*.yaml")}


@pytest.mark.realdata
def test_rgb_statistics_score_below_all_bands(repository: Path, data_dir: Path) -> None:
    scores = []
    for name in ("terramesh_s2", "terramesh_s2_rgb"):
        config = replace(
            load_probe_config(repository / f"configs/probe/{name}.yaml"), baselines=["statistics"], seeds=1
        )
        rows = run_probe(config, data_dir, classifiers=("linear",)).rows
        scores.append(rows[0].scores["balanced_accuracy"].mean)
    assert scores[0] > scores[1] > 0.3


@pytest.mark.realdata
def test_both_years_of_a_plot_are_on_one_side(repository: Path, data_dir: Path) -> None:
    samples = prepare_probe(repository / "configs/probe/neon_site.yaml", data_dir, seeds=1).samples
    assert len(np.unique(samples.group)) == 90  # 114 images, 24 plots seen in two years


def test_the_smallest_box_names_its_cell() -> None:
    corners = np.array([[0, 0, 8, 8], [2, 2, 6, 6], [16, 0, 24, 8], [8, 8, 16, 16]], np.float32)
    stored = StoredBoxes(corners, ["car", "person", "truck", "car"])
    target = box_classes(stored, (16, 24), 8, ("none", "person", "car"))
    np.testing.assert_array_equal(target, [[1, 0, np.nan], [0, 2, 0]])


def test_objects_of_boxes_are_found_in_their_cells(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = ["file,xmin,ymin,xmax,ymax,label"]
    for number in range(6):
        pixels = random.normal(60, 10, (3, 64, 64))
        for _ in range(3):
            row, column = random.integers(0, 8, 2) * 8
            pixels[:, row : row + 8, column : column + 8] += 100
            rows.append(f"{number},{column},{row},{column + 8},{row + 8},thing")
        write(tmp_path / f"images/{number}.tif", pixels.clip(0, 255).astype(np.uint8))
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    labels = {"kind": "boxes", "files": "boxes.csv", "label_column": "label", "classes": ["thing"]}
    config = changed(
        DENSE, labels=labels, split={"kind": "groups", "folds": 2}, target="box_class", samples_per_class=8, seeds=1
    )
    result = run_probe(config, tmp_path)
    assert set(result.class_counts) == {"none", "thing"}
    assert max(row.scores["balanced_accuracy"].mean for row in result.rows) > 0.95


def test_polygons_become_a_mask_of_every_image(tmp_path: Path) -> None:
    make(tmp_path)
    x, y = 5e5, 5e6  # the left upper corner of all images; a pixel has 0.1 m
    ring = [[x + 3.2, y], [x + 6.4, y], [x + 6.4, y - 6.4], [x + 3.2, y - 6.4], [x + 3.2, y]]
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    geometry = {"type": "Polygon", "coordinates": [[to_degrees.transform(*point) for point in ring]]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {}}
    (tmp_path / "right.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    labels = {"kind": "polygons", "files": "right.geojson", "classes": {0: "left", 1: "right"}}
    samples = prepare_probe(changed(DENSE, labels=labels), tmp_path).samples
    assert ((samples.position[:, 1] >= 32) == (samples.target == 1)).all()

    table = ["file,xmin,ymin,xmax,ymax"] + [f"{name},0,0,1,1" for name in ("dark_1", "bright_1")]
    (tmp_path / "places.csv").write_text("\n".join(table) + "\n")
    half = {"type": "Polygon", "coordinates": [[[0, 0.5], [1, 0.5], [1, 1], [0, 1], [0, 0.5]]]}
    feature["geometry"] = half
    (tmp_path / "upper.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    labels |= {"files": "upper.geojson", "bounds_files": "places.csv"}
    samples = prepare_probe(changed(DENSE, labels=labels), tmp_path).samples
    assert len(np.unique(samples.place)) == 2
    assert ((samples.position[:, 0] < 32) == (samples.target == 1)).all()


def test_change_is_read_from_the_difference_of_dates(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(2):
        before = random.uniform(0, 120, (3, 64, 64))
        labels = np.kron(random.integers(1, 3, (1, 8, 8)), np.ones((8, 8))).astype(np.uint8)
        after = before + 80 * (labels == 2)
        write(tmp_path / f"images/{number}.tif", before.astype(np.uint8))
        write(tmp_path / f"later/{number}.tif", after.astype(np.uint8))
        write(tmp_path / f"labels/{number}.tif", labels)
    raw = {**DENSE, "seeds": 1, "data": {**DENSE["data"], "second": "later/{name}.tif", "tiles": {"size": 32}}}
    result = run_probe(probe_config_from_dict(raw), tmp_path, build_backbone("tiny", seed=0, depth=1))
    scores = {row.name: row.scores["accuracy"].mean for row in result.rows}
    assert scores["statistics, linear"] > 0.95
    assert scores["backbone, linear"] > 0.9


def test_with_bands_keeps_what_the_bands_say_beside_the_features(tmp_path: Path) -> None:
    """A backbone whose features say nothing is no worse than the bands themselves."""
    config = changed(DENSE, readout=["with_bands"], seeds=1, baselines=["texture"])
    samples = prepare_probe(config, make(tmp_path)).samples
    backbone = build_backbone("tiny", seed=0, depth=1)
    for parameter in backbone.parameters():
        parameter.data.zero_()
    (values,) = encode_probe_samples(backbone, samples, [Candidate("with_bands")], 8)
    bands = samples.gather_features(lambda images: texture_maps(images, 8))
    assert isinstance(values, FeatureBlocks)
    assert values.widths == (
        backbone.width,
        2 * backbone.width,
        bands.shape[1],
    )  # one level, the positive and the negative part of the patch embedding, the bands
    level, stem, kept = split_blocks(values)
    assert np.array_equal(kept, bands)
    assert np.abs(level).max() == np.abs(stem).max() == 0
    rows = {row.name: row.scores["accuracy"].mean for row in run_probe(config, tmp_path, backbone).rows}
    assert rows["backbone, linear"] == pytest.approx(rows["texture, linear"], abs=0.02)

"""A scene on disk gets the model's answer: of the whole where it fits, of the windows elsewhere, where they lie."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from fabricated_archive import open_inline_pool
from fabricated_labels import CLASSES, small_backbone, write_raster
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import get_sensor
from skyweave.data.raster import read_observation
from skyweave.downstream.finetuning.config import RecipeConfig
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.checkpoint import load_finetuned, save_finetuned
from skyweave.downstream.finetuning.models.detection_head import _suppress_duplicates
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.scenes.predict_boxes import suppress_duplicates
from skyweave.downstream.finetuning.scenes.predict_scene import predict_scene
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.inference import InferenceConfig

RGB = get_sensor("rgb")
EXACT = InferenceConfig(precision="float32")


def make_model(kind: str, tile: int = 24) -> FinetunedModel:
    task = make_task(kind, f"squares {kind}", CLASSES[kind])
    sensors = [RGB] * task.num_dates
    model = build_model(task, small_backbone(), sensors, RecipeConfig(), seed=0, tile=tile).eval().requires_grad_(False)
    for parameter in model.network.head.parameters():
        parameter.data *= 20  # decided answers, unlike those of a random head
    model.target_mean += 5
    return model


def make_scene(folder: Path, rows: int = 61, columns: int = 53, number: int = 0, hole: bool = True) -> Path:
    random = np.random.default_rng(number)
    pixels = np.kron(random.integers(1, 250, (3, 8, 7)), np.ones((1, 8, 8)))[:, :rows, :columns]
    pixels = np.clip(pixels + random.normal(0, 5, pixels.shape), 1, 255).astype(np.uint8)
    if hole:
        pixels[:, 10:20, 30:45] = 0
    return write_raster(folder / f"scene{number}.tif", pixels, nodata=0)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


def observe(scene: Path):
    return read_observation(scene, RGB, unit="uint8", bands="sensor")


@pytest.mark.parametrize("tile", [24, 80])
@pytest.mark.parametrize("kind", ["segmentation", "regression", "change"])
def test_a_scene_gets_what_the_model_says_of_it(tmp_path: Path, kind: str, tile: int) -> None:
    model = make_model(kind, tile)
    scenes = [make_scene(tmp_path, number=number) for number in range(model.task.num_dates)]
    result = predict_scene(scenes, tmp_path / "out.tif", model, unit="uint8", bands="sensor", config=EXACT)
    observations = [observe(scene) for scene in scenes]
    expected = model.predict(*observations).label
    written = read(tmp_path / "out.tif")[0]
    hole = ~np.stack([observation.valid.any(0) for observation in observations]).all(0)
    assert hole[10:20, 30:45].all() and result.count == (~hole).sum()
    assert (np.isnan(written) if kind == "regression" else written == 255)[hole].all()
    if kind == "regression":
        np.testing.assert_allclose(written[~hole], expected[~hole], rtol=1e-4, atol=1e-4)
    else:
        assert (written[~hole] == expected[~hole]).mean() > 0.999 and len(np.unique(written[~hole])) > 1


def test_probabilities_and_the_place(tmp_path: Path) -> None:
    model, scene = make_model("segmentation"), make_scene(tmp_path)
    result = predict_scene(
        scene, tmp_path / "p.tif", model, unit="uint8", bands="sensor", kind="probabilities", config=EXACT
    )
    assert result.bands == CLASSES["segmentation"]
    expected, written = model.predict(observe(scene)).probabilities, read(tmp_path / "p.tif")
    valid = ~np.isnan(written[0])
    np.testing.assert_allclose(written[:, valid], expected[:, valid], atol=1e-5)
    part = InferenceConfig(window=(5, 8, 24, 24), precision="float32")
    predict_scene(scene, tmp_path / "c.tif", model, unit="uint8", bands="sensor", config=part)
    window = model.predict(observe(scene).window(5, 8, 24, 24)).label
    with rasterio.open(scene) as source, rasterio.open(tmp_path / "c.tif") as cut:
        assert tuple(cut.transform)[:6] == pytest.approx((0.1, 0, 4e5 + 0.8, 0, -0.1, 5e6 - 0.5))
        assert cut.crs == source.crs
        assert cut.tags(1)["CLASS_1"] == CLASSES["segmentation"][1] and cut.dtypes == ("uint8",)
        classes = cut.read(1)
    np.testing.assert_array_equal(classes[classes < 255], window[classes < 255])


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_tasks_of_whole_images_say_something_of_each_window(tmp_path: Path, kind: str) -> None:
    model, scene = make_model(kind, tile=20), make_scene(tmp_path, hole=False)
    result = predict_scene(scene, tmp_path / "out.tif", model, unit="uint8", bands="sensor", config=EXACT)
    assert (result.rows, result.columns) == (4, 3)
    with rasterio.open(tmp_path / "out.tif") as source:
        assert source.transform.a == pytest.approx(2.0)
    observation, written = observe(scene), read(tmp_path / "out.tif")
    for row, column, rows, columns in ((0, 0, 20, 20), (1, 2, 20, 13), (3, 2, 1, 13)):
        expected = model.predict(observation.window(row * 20, column * 20, rows, columns)).label
        np.testing.assert_array_equal(written[:, row, column], np.atleast_1d(expected))


def test_mirror_images_are_averaged(tmp_path: Path) -> None:
    model, scene = make_model("segmentation", 80), make_scene(tmp_path)
    model.test_time_flips = True
    arguments = {"unit": "uint8", "bands": "sensor", "kind": "probabilities", "config": EXACT}
    predict_scene(scene, tmp_path / "flipped.tif", model, **arguments)
    expected, written = model.predict(observe(scene)).probabilities, read(tmp_path / "flipped.tif")
    model.test_time_flips = False
    predict_scene(scene, tmp_path / "plain.tif", model, **arguments)
    valid = ~np.isnan(written[0])
    np.testing.assert_allclose(written[:, valid], expected[:, valid], atol=1e-5)
    assert np.abs(written - read(tmp_path / "plain.tif"))[:, valid].max() > 1e-3


def test_a_second_date_on_another_grid_is_brought_to_the_first(tmp_path: Path) -> None:
    model, scenes = make_model("change"), [make_scene(tmp_path, number=number, hole=False) for number in (0, 1)]
    expected = predict_scene(scenes, tmp_path / "same.tif", model, unit="uint8", bands="sensor", config=EXACT)
    with rasterio.open(scenes[1]) as source:
        values, profile = source.read(), source.profile
    larger = np.pad(values, ((0, 0), (5, 9), (7, 3)), mode="edge")
    profile |= {"height": larger.shape[1], "width": larger.shape[2]}
    profile["transform"] *= rasterio.Affine.translation(-7, -5)
    with rasterio.open(tmp_path / "larger.tif", "w", **profile) as target:
        target.write(larger)
    other = [scenes[0], tmp_path / "larger.tif"]
    result = predict_scene(other, tmp_path / "other.tif", model, unit="uint8", bands="sensor", config=EXACT)
    assert result.count == expected.count and any("larger.tif is resampled" in note for note in result.notes)
    assert (read(tmp_path / "other.tif") == read(tmp_path / "same.tif")).mean() > 0.999


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    scene, model = make_scene(tmp_path), make_model("change")
    with pytest.raises(ConfigError, match="reads 2 observations of a place"):
        predict_scene(scene, tmp_path / "o.tif", model, unit="uint8")
    with pytest.raises(ConfigError, match="a model of change gives no values; choose classes or probabilities"):
        predict_scene([scene, scene], tmp_path / "o.tif", model, unit="uint8", kind="values")
    with pytest.raises(ConfigError, match="2 scenes and 3 units"):
        predict_scene([scene, scene], tmp_path / "o.tif", model, unit=["uint8"] * 3)
    other = shutil.copy(scene, tmp_path / "other.tif")
    with pytest.raises(ConfigError, match="would overwrite"):
        predict_scene([scene, other], scene, model, unit="uint8", bands="sensor")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, weights = make_scene(tmp_path), tmp_path / "weights.safetensors"
    save_finetuned(weights, make_model("segmentation"), "squares")
    command = ["predict", str(weights), str(scene), "-o", str(tmp_path / "out.tif"), "--bands", "sensor"]
    assert main([*command, "--unit", "uint8", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["kind"], content["rows"], content["columns"]) == ("classes", 61, 53)
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.tif"]
    assert main([*command, "--unit", "uint8", "--kind", "values"]) == 2
    assert "gives no values" in capsys.readouterr().err


def test_a_list_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyweave.inference.archive.archive_run.open_pool", open_inline_pool)
    weights, scenes = tmp_path / "weights.safetensors", [make_scene(tmp_path, number=number) for number in range(3)]
    save_finetuned(weights, make_model("change"), "change")
    declared = ["--unit", "uint8", "--bands", "sensor", "--kind", "probabilities"]
    assert (
        main(["predict", str(weights), str(scenes[0]), str(scenes[1]), "-o", str(tmp_path / "one.tif"), *declared]) == 0
    )
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"{scenes[0]}\t{scenes[1]}\n{scenes[1]}\t{tmp_path / 'missing.tif'}\n")
    arguments = ["predict", str(weights), "--list", str(pairs), "--into", str(tmp_path / "out"), *declared]
    assert main(arguments) == 3
    assert "scene1: " in capsys.readouterr().err
    np.testing.assert_array_equal(read(tmp_path / "out" / "scene0.tif"), read(tmp_path / "one.tif"))
    pairs.write_text(f"{scenes[0]}\n")
    assert main(arguments) == 2
    assert "the list has them in one line" in capsys.readouterr().err
    assert main(["predict", str(weights), *declared]) == 2
    assert "or --list and --into" in capsys.readouterr().err


def test_pixels_of_another_size_than_in_training_are_noted(tmp_path: Path) -> None:
    model, scene = make_model("segmentation"), make_scene(tmp_path)  # of 0.1 m
    for trained, noted in ((0.12, False), (0.5, True)):
        model.pixel_sizes = (trained,)
        save_finetuned(tmp_path / "m.safetensors", model, "m")
        restored = load_finetuned(tmp_path / "m.safetensors")
        notes = predict_scene(scene, tmp_path / "out.tif", restored, unit="uint8", bands="sensor").notes
        assert any("pixels of 0.1 m, and the model was trained on pixels of 0.5 m" in note for note in notes) == noted


def test_boxes_lie_where_the_model_sees_them(tmp_path: Path) -> None:
    model, scene = make_model("detection", 80), make_scene(tmp_path, hole=False)
    with pytest.raises(ConfigError, match=r"name it .*out\.geojson"):
        predict_scene(scene, tmp_path / "out.tif", model, unit="uint8", bands="sensor")
    with pytest.raises(ConfigError, match="it gives boxes: leave --kind out"):
        predict_scene(scene, tmp_path / "out.geojson", model, unit="uint8", kind="classes")
    part = InferenceConfig(window=(4, 8, 48, 40), precision="float32")
    result = predict_scene(scene, tmp_path / "out.geojson", model, unit="uint8", bands="sensor", config=part)
    expected = model.predict(observe(scene).window(4, 8, 48, 40)).label
    features = json.loads((tmp_path / "out.geojson").read_text())["features"]
    assert result.kind == "boxes" and result.count == len(features) == len(expected) > 0
    pixels = np.array([feature["properties"]["pixels"] for feature in features])
    np.testing.assert_allclose(pixels, expected[:, :4] + [8, 4, 8, 4], atol=0.01)
    assert [feature["properties"]["class"] for feature in features] == [
        CLASSES["detection"][int(number)] for number in expected[:, 4]
    ]
    corners = np.array(features[0]["geometry"]["coordinates"][0])
    x, y = transform("OGC:CRS84", "EPSG:32633", corners[:, 0], corners[:, 1])
    left, top, right, bottom = pixels[0]
    np.testing.assert_allclose([min(x), max(x)], [4e5 + left * 0.1, 4e5 + right * 0.1], atol=0.002)
    np.testing.assert_allclose([min(y), max(y)], [5e6 - bottom * 0.1, 5e6 - top * 0.1], atol=0.002)


def test_duplicates_are_left_out_wherever_they_are() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 200, (300, 2))
    boxes = np.concatenate([corners, corners + random.uniform(5, 30, (300, 2)), random.random((300, 2)) > 0.5], axis=1)
    boxes[:, 5] = random.permutation(300)
    expected = _suppress_duplicates(boxes[np.argsort(-boxes[:, 5])])
    np.testing.assert_array_equal(suppress_duplicates(boxes), expected)
    assert 0 < len(expected) < 300 and suppress_duplicates(boxes[:0]).shape == (0, 6)

"""A fine-tuned model is exported whole: numpy and a runtime give what the model itself predicts."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

import onnx
import onnxruntime

from skyweave.backbone import BackboneConfig, build_backbone
from skyweave.cli.main import main
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.checkpoint import save_finetuned
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.scenes.predict_scene import predict_scene
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.exported import apply_model, load_exported
from skyweave.inference import InferenceConfig
from skyweave.interop.export import export_model

pytestmark = pytest.mark.timeout(600)  # tracing takes seconds of a free core, and minutes of a busy one
RGB = get_sensor("rgb")
TOLERANCE = 1e-4


def finetuned(kind: str, head: str, flips: bool = False) -> FinetunedModel:
    task = make_task(kind, "plots", () if kind == "regression" else ("ground", "tree"))
    backbone = build_backbone(BackboneConfig(width=24, depth=2, heads=2, patch_size=8), [RGB], seed=0).eval()
    method = MethodConfig("unet", channels=8) if head == "unet" else MethodConfig("frozen")
    recipe = RecipeConfig(
        method, HeadConfig() if head == "unet" else HeadConfig(head), TrainingConfig(test_time_flips=flips)
    )
    model = build_model(task, None if head == "unet" else backbone, [RGB] * task.num_dates, recipe, seed=0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "backbone" not in name:
                parameter += 0.2 * torch.randn_like(parameter)  # a head that has learned something
    model.target_mean.fill_(7.0)
    model.target_std.fill_(2.0)
    return model.eval().requires_grad_(False)


def images(model: FinetunedModel, rows: int, columns: int, holes: bool = False) -> list[np.ndarray]:
    generator = np.random.default_rng(rows)
    made = [generator.uniform(0, 255, (3, rows, columns)).astype(np.float32) for _ in model.sensors]
    if holes:
        made[0][:, :9, :11] = np.nan
    return made


def predicted(model: FinetunedModel, pixels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    observations = [Observation.from_pixels(image, RGB, RGB.ground_sample_distance) for image in pixels]
    prediction = model.predict(*observations)
    return np.asarray(prediction.label), prediction.probabilities


def run_onnx(path: Path, pixels: list[np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    outputs = session.run(None, {name: image[None] for name, image in zip(names, pixels, strict=True)})
    return {value.name: output[0] for value, output in zip(session.get_outputs(), outputs, strict=True)}


def run_program(path: Path, names: list[str], pixels: list[np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        outputs = torch.export.load(path).module()(*(torch.from_numpy(image)[None] for image in pixels))
    return {name: output[0].numpy() for name, output in zip(names, outputs, strict=True)}


def test_onnx_gives_the_mask_that_the_model_predicts(tmp_path: Path) -> None:
    model = finetuned("segmentation", "linear")
    written = export_model(model, tmp_path / "plots.onnx", nodata=True)
    assert written.outputs == {"probabilities": [-1, 2, -1, -1], "classes": [-1, -1, -1]}
    for shape in ((32, 48), (16, 24)):
        pixels = images(model, *shape, holes=True)
        label, probabilities = predicted(model, pixels)
        got = run_onnx(written.path, pixels)
        assert probabilities is not None and got["probabilities"].std() > 0.01
        np.testing.assert_allclose(got["probabilities"], probabilities, atol=TOLERANCE)
        assert (got["classes"] == label).mean() > 0.999
    assert_the_same_map(model, written.path, tmp_path)
    facts = {entry.key: entry.value for entry in onnx.load(str(written.path)).metadata_props}
    assert facts["skyweave.task"] == "segmentation" and json.loads(facts["skyweave.classes"]) == ["ground", "tree"]
    card = json.loads(written.card.read_text())["properties"]
    assert card["mlm:tasks"] == ["semantic-segmentation"]
    assert [entry["title"] for entry in card["mlm:output"][0]["classification:classes"]] == ["ground", "tree"]


def assert_the_same_map(model: FinetunedModel, path: Path, folder: Path) -> None:
    """A scene that ends within a patch, with pixels without data: classes and probabilities are those of `predict`."""
    pixels = np.random.default_rng(5).integers(1, 255, (3, 75, 53)).astype(np.uint8)
    pixels[:, 10:30, 5:25] = 0
    side = RGB.ground_sample_distance
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(side, 0, 4e5, 0, -side, 5e6), "nodata": 0}
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", height=75, width=53, count=3, dtype="uint8", **place
    ) as target:
        target.write(pixels)
    config, reading = InferenceConfig(tile=32, precision="float32"), {"unit": "uint8", "bands": "sensor"}
    for kind in ("probabilities", "classes"):
        predict_scene(folder / "scene.tif", folder / "torch.tif", model, kind=kind, config=config, **reading)  # type: ignore[arg-type]
        applied = apply_model(
            load_exported(path), [folder / "scene.tif"], folder / "onnx.tif", [reading], kind=kind, config=config
        )
        with rasterio.open(folder / "torch.tif") as one, rasterio.open(folder / "onnx.tif") as other:
            expected, given = one.read(), other.read()
            assert one.tags(1) == other.tags(1) and one.descriptions == other.descriptions
        assert applied.kind == kind and 0 < applied.valid_fraction < 1
        if kind == "classes":
            assert (given == expected).mean() > 0.999
        else:
            np.testing.assert_allclose(given, expected, atol=TOLERANCE)


@pytest.mark.slow
def test_onnx_reads_two_dates(tmp_path: Path) -> None:
    model = finetuned("change", "linear")
    written = export_model(model, tmp_path / "change.onnx", size=24)
    pixels = images(model, 24, 24)
    got, (label, probabilities) = run_onnx(written.path, pixels), predicted(model, pixels)
    np.testing.assert_allclose(got["probabilities"], probabilities, atol=TOLERANCE)
    assert (got["classes"] == label).mean() > 0.999
    names = [entry["name"] for entry in json.loads(written.card.read_text())["properties"]["mlm:input"]]
    assert names == ["pixels_before", "pixels_after"]


@pytest.mark.parametrize(
    ("kind", "head", "task"),
    [
        ("classification", "attentive", "classification"),
        ("regression", "pyramid", "regression"),
        ("segmentation", "unet", "semantic-segmentation"),
    ],
)
def test_a_program_gives_what_the_model_predicts(kind: str, head: str, task: str, tmp_path: Path) -> None:
    model = finetuned(kind, head, flips=head == "unet")
    written = export_model(model, tmp_path / "model.pt2", size=24)
    pixels = images(model, 24, 24)
    got, (label, probabilities) = run_program(written.path, list(written.outputs), pixels), predicted(model, pixels)
    if probabilities is None:
        np.testing.assert_allclose(got["values"], label, atol=1e-3)
    else:
        np.testing.assert_allclose(got["probabilities"], probabilities, atol=TOLERANCE)
        assert (got["classes"] == label).mean() > 0.999
    assert json.loads(written.card.read_text())["properties"]["mlm:tasks"] == [task]


def test_boxes_are_at_the_cells_with_a_score(tmp_path: Path) -> None:
    model = finetuned("detection", "pyramid")
    written = export_model(model, tmp_path / "boxes.pt2", size=32)
    pixels = images(model, 32, 32)
    got, (boxes, _) = run_program(written.path, list(written.outputs), pixels), predicted(model, pixels)
    assert len(boxes) and written.outputs == {"scores": [-1, 2, 8, 8], "boxes": [-1, 4, 8, 8]}
    cells = np.concatenate([got["boxes"].reshape(4, -1), got["scores"].max(0).reshape(1, -1)]).T
    for box in boxes:
        assert np.abs(cells - box[[0, 1, 2, 3, 5]]).max(1).min() < 1e-2


def test_the_command_refuses_what_would_be_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "plots.safetensors"
    save_finetuned(weights, finetuned("segmentation", "linear"), "plots")
    command = ["export", str(weights), "-o", str(tmp_path / "plots.pt2")]
    for options, reason in (
        (["--levels"], "--levels is decided by the fine-tuned model"),
        (["--sensor", "sentinel2-l2a"], "the model was trained on rgb (3 bands), not on the 12 bands"),
        (["--bands", "red"], "name that too"),
    ):
        assert main([*command, *options]) == 2
        assert reason in capsys.readouterr().err
    assert main(["export", "crossing", "-o", str(tmp_path / "x.onnx"), "--sensor", "rgb"]) == 2
    assert "--features exports the backbone alone" in capsys.readouterr().err
    assert main(["export", "tiny", "-o", str(tmp_path / "x.onnx")]) == 2
    assert "name it with --sensor" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.onnx")) and main([*command, "--size", "16"]) == 0
    assert "probabilities: any x 2 x 16 x 16" in capsys.readouterr().out
    assert "adaptation" in json.loads(weights.with_suffix(".json").read_text())["parts"], (
        "the card of the weights stays"
    )
    assert main([*command, "--features", "--sensor", "rgb", "--size", "16"]) == 0, "the remedy works"
    assert "embedding: any x 24" in capsys.readouterr().out

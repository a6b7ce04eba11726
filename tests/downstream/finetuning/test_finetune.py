"""``skyweave finetune`` as a user runs it: files in, weights, scores and a report out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from fabricated_labels import fabricated_data, fabricated_sample, small_backbone, write_raster
from skyweave.backbone import load_backbone, save_checkpoint
from skyweave.cli.main import main
from skyweave.core.config import load_config_file
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig, finetune_model
from skyweave.downstream.finetuning.finetune import FinetuneConfig
from skyweave.downstream.finetuning.models.checkpoint import load_finetuned, save_finetuned
from skyweave.downstream.finetuning.report.explain import attention_maps, band_groups, band_importance

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "finetune"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of squares, their masks, and a configuration."""
    for number in range(10):
        sample = fabricated_sample("segmentation", number)
        write_raster(tmp_path / "images" / f"p{number}.tif", sample.observations[0].pixels.astype(np.uint8))
        write_raster(tmp_path / "masks" / f"p{number}.tif", np.asarray(sample.label, np.uint8)[None])
    content = {
        "name": "squares",
        "task": "segmentation",
        "data": {
            "source": {"sensor": "rgb", "files": "images/*.tif", "bands": "sensor", "unit": "uint8", "nodata": None},
            "labels": {"kind": "mask", "files": "masks/{name}.tif", "classes": {0: "ground", 1: "red", 2: "green"}},
        },
        "head": {"kind": "linear"},
        "training": {
            "steps": 4,
            "head_steps": 20,
            "batch": 4,
            "learning_rates": [0.002],
            "head_learning_rates": [0.01],
        },
        "method": {"kind": "lora"},
    }
    (tmp_path / "squares.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_from_files_to_weights_scores_and_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["finetune", str(folder / "squares.yaml"), "--data", str(folder), "-o", str(folder / "out")]
    assert main([*command, "--report", "--json", "--set", "seeds=[0, 1]"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores == json.loads((folder / "out" / "scores.json").read_text())
    assert set(scores["runs"]) == {"0", "1"}
    assert scores["mean"]["miou"] == pytest.approx(np.mean([own["scores"]["miou"] for own in scores["runs"].values()]))
    page = (folder / "out" / "report.html").read_text()
    for part in ("Confusion", "Side by side", "What the bands are worth", "ground", "red", "principal components"):
        assert part in page
    model = load_finetuned(folder / "out" / "weights.safetensors")
    sample = fabricated_sample("segmentation", 3)
    assert model.predict(*sample.observations).label.shape == (24, 24)
    load_backbone(folder / "out" / "weights.safetensors")  # the adapted backbone, for any other use
    assert main(command) == 2
    assert "holds a run already; add --resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 2
    assert "another configuration: seeds differ" in capsys.readouterr().err
    assert main([*command, "--resume", "--set", "seeds=[0, 1]"]) == 0
    assert "miou" in capsys.readouterr().out
    assert json.loads((folder / "out" / "scores.json").read_text())["mean"] == scores["mean"]


def test_a_run_that_failed_early_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = folder / "new" / "out"
    command = ["finetune", str(folder / "squares.yaml"), "--data", str(folder), "-o", str(output)]
    for wrong in ("data.labels.files=none/{name}.tif", "fraction=2", "weights=none"):
        assert main([*command, "--set", wrong]) == 2
        assert not (folder / "new").exists()
    assert "none" in capsys.readouterr().err
    output.mkdir(parents=True)
    (output / "config.json").write_text("{}")  # as a start that was killed leaves it
    assert main([*command, "--resume"]) == 2
    assert "no run to resume; start without --resume" in capsys.readouterr().err
    assert main([*command, "--set", "method.kind=frozen"]) == 0


def test_mistakes_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["finetune", str(folder / "squares.yaml"), "--data", str(folder), "-o", str(folder / "out")]
    for change, message in [
        ("method.kind=loar", "loar"),
        ("training.step=3", "did you mean 'steps'"),
        ("seeds=[]", "seeds is empty"),
        ("head.kind=attentive", "cannot serve segmentation"),
        ("weights=nothing", "no weights 'nothing'"),
    ]:
        assert main([*command, "--set", change]) == 2
        assert message in capsys.readouterr().err
    assert main([*command, "--resume"]) == 2
    assert "no run to resume" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["frozen", "unet"])
def test_weights_answer_as_the_model_did(tmp_path: Path, kind: str) -> None:
    data = fabricated_data("regression")
    training = TrainingConfig(
        steps=3, head_steps=5, learning_rates=[1e-3], head_learning_rates=[1e-2], test_time_flips=True
    )
    found = finetune_model(
        data, small_backbone(), RecipeConfig(MethodConfig(kind, channels=8), HeadConfig(channels=16), training)
    )  # type: ignore[arg-type]
    save_finetuned(tmp_path / "w.safetensors", found.model, "squares")
    again = load_finetuned(tmp_path / "w.safetensors")
    observations = data.test[0].observations
    np.testing.assert_allclose(
        again.predict(*observations).label, found.model.predict(*observations).label, rtol=1e-6, atol=1e-6
    )


def test_plain_weights_are_no_adapted_model(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "w.safetensors", small_backbone(), "plain")
    with pytest.raises(ValueError, match=r"no fine-tuned model .* make one with skyweave finetune"):
        load_finetuned(tmp_path / "w.safetensors")


def test_hiding_the_bands_that_tell_costs_the_most() -> None:
    """Red and green squares are told apart by red and green; blue is noise."""
    data = fabricated_data("classification", train=16)
    training = TrainingConfig(head_steps=60, batch=8, head_learning_rates=[1e-2])
    found = finetune_model(
        data, load_backbone("tiny"), RecipeConfig(MethodConfig(), HeadConfig("attentive", channels=16), training)
    )
    losses = {own.bands[0]: own.loss for own in band_importance(found.model, data.test)}
    assert max(losses["red"], losses["green"]) > 0.1
    assert losses["blue"] < max(losses["red"], losses["green"])
    maps = attention_maps(found.model, data.test[:2])
    assert [own.shape for own in maps] == [(3, 3), (3, 3)]
    assert all(own.max() == 1 and own.min() >= 0 for own in maps)


def test_many_bands_are_hidden_in_groups() -> None:
    groups = band_groups([get_sensor("enmap")])
    assert len(groups) == 16
    assert sum(len(own) for own in groups) == 224


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = load_config_file(path, FinetuneConfig)
    assert config.name == path.stem


@pytest.mark.realdata
def test_forests_from_real_imagery(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four forests told apart on plots that were not trained on: guessing is right in 45 %."""
    changes = ["method.kind=frozen", "training.head_steps=80", "training.head_learning_rates=[0.003]", "patch_size=16"]
    arguments = [own for change in changes for own in ("--set", change)]
    config = str(CONFIGS / "neon_site.yaml")
    few = ["--set", "data.source.files=neon_trees/images/*_00*.tif", "--set", "data.tiles.size=200"]
    assert (
        main(["finetune", config, "--data", str(data_dir), "-o", str(tmp_path / "o"), "--json", *arguments, *few]) == 0
    )
    assert json.loads(capsys.readouterr().out)["mean"]["accuracy"] > 0.6


def test_another_folder_is_the_test_part(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "elsewhere"
    for part in ("images", "masks"):
        shutil.copytree(folder / part, other / part)
    for path in sorted((other / "images").iterdir())[3:]:
        path.unlink()
    command = ["finetune", str(folder / "squares.yaml"), "--data", str(folder), "-o", str(folder / "out")]
    command += ["--test-data", str(other), "--set", "method.kind=frozen"]
    assert main(command) == 2
    assert "images to test on are images of training" in capsys.readouterr().err
    for path in (other / "images").iterdir():
        with rasterio.open(path, "r+") as image:
            image.write(image.read() ^ 1)
    assert main([*command, "--set", "patch_size=512"]) == 2
    assert "patch_size 512 is larger than the images" in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    run = json.loads(captured.out)["runs"]["0"]
    assert run["samples"][2] == 3 and sum(run["samples"][:2]) < len(list((folder / "images").iterdir()))
    assert f"tested on {other}" in run["notes"][0]
    assert run["baselines"]["most frequent answer"]["miou"] < run["scores"]["miou"]
    assert captured.err.startswith("seed 0, train "), "how many of each class, before the first step"

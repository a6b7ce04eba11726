"""A fine-tuning task from a package of its own: one file, trained, scored, reported, stored and loaded."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from fabricated_labels import write_raster
from recipes import entry_points, recipe
from skyweave import load
from skyweave.cli.main import main
from skyweave.core.errors import UnknownNameError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.tasks.base import make_task

PACKAGE = recipe("ordinal_task.py")
ENTRY_POINTS = entry_points("ordinal_task")
LEVELS = {"dark": 40, "medium": 120, "bright": 200}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three levels of brightness in folders of their names, and a configuration."""
    random = np.random.default_rng(0)
    for name, level in LEVELS.items():
        for number in range(8):
            pixels = random.normal(level, 12, (3, 16, 16)).clip(0, 255).astype(np.uint8)
            write_raster(tmp_path / "images" / name / f"{name}{number}.tif", pixels)
    content = {
        "name": "brightness",
        "task": "ordinal",
        "data": {
            "source": {"sensor": "rgb", "files": "images/*/*.tif", "bands": "sensor", "unit": "uint8", "nodata": None},
            "labels": {"kind": "folder", "classes": list(LEVELS)},
        },
        "training": {"head_steps": 40, "batch": 6, "head_learning_rates": [0.01], "evaluations": 2},
        "patch_size": 8,
    }
    (tmp_path / "brightness.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_a_task_of_another_package_is_finetuned(
    folder: Path, install_package: Callable[[str, str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", str(folder / "brightness.yaml"), "--data", str(folder), "-o", str(folder / "out")]
    assert main(command) == 2
    assert "there is no task 'ordinal'; use one of classification" in capsys.readouterr().err
    install_package("ordinal_task", PACKAGE, ENTRY_POINTS)

    assert main([*command, "--report", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["main"] == "closeness" and scores["mean"]["closeness"] > 0.8
    page = (folder / "out" / "report.html").read_text()
    assert "Ordinal" in page and "closeness" in page and "Side by side" in page

    model = load(folder / "out" / "weights.safetensors")
    bright = Observation.from_pixels(np.full((3, 20, 28), 200, np.float32), get_sensor("rgb"))
    prediction = model.predict(bright)
    assert model.task.kind == "ordinal" and int(prediction.label) in range(3)
    assert prediction.probabilities is not None and prediction.probabilities.shape == (2,)


def test_without_its_package_the_task_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="no fine-tuning task 'ordinal'"):
        make_task("ordinal", "brightness", tuple(LEVELS))

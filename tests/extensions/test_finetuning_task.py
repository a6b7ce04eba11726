"""A fine-tuning task from a package of its own: one file, trained, scored, reported, stored and loaded."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from fabricated_labels import write_raster
from skyweave import load
from skyweave.cli.main import main
from skyweave.core.errors import UnknownNameError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.tasks.base import make_task

PACKAGE = '''
"""Ordinal classification: one of several ordered classes an image (CORAL, Cao et al. 2020, arXiv 1901.07884)."""

import numpy as np
import torch
from torch.nn import functional

from skyweave.downstream.finetuning import Prediction, Task
from skyweave.downstream.labels import ClassLabel


class OrdinalClassification(Task):
    """One of several ordered classes: is it above the first, above the second, ...?"""

    kind = "ordinal"
    label_kind = ClassLabel()
    main_metric = "closeness"

    @property
    def num_outputs(self):
        return len(self.classes) - 1

    def target(self, sample):
        return torch.tensor([float(sample.label > rank) for rank in range(self.num_outputs)])

    def loss(self, logits, targets, class_weights=None, dice_weight=0.0):
        return functional.binary_cross_entropy_with_logits(logits.float(), targets)

    def probabilities(self, logits):
        return logits.float().sigmoid()

    def decode(self, probabilities, mean=0.0, std=1.0):
        above = (probabilities > 0.5).cpu().numpy().sum(1)
        return [Prediction(np.asarray(rank), p) for rank, p in zip(above, probabilities.cpu().numpy())]

    def scores(self, predictions, samples):
        off = [abs(int(p.label) - int(s.label)) for p, s in zip(predictions, samples)]
        return {"closeness": 1 - float(np.mean(off)) / self.num_outputs, "mean_steps_off": float(np.mean(off))}
'''
ENTRY_POINTS = "[skyweave.tasks]\nordinal = ordinal_task:OrdinalClassification\n"
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

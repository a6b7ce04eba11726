"""``skyweave probe`` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from skyweave.cli.main import main

CONFIG = """
name: halves
data:
  source: {sensor: rgb, files: "*_image.tif", bands: sensor, unit: uint8}
  labels: {kind: pattern, pattern: "^(?P<label>[a-z]+)_", classes: [dark, bright]}
  split: {kind: groups, folds: 2}
patch_size: 16
readout: [stem, normed]
seeds: 1
random_filters: 8
baselines: [random convolutions, random initialisation]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, level in (("dark", 60), ("bright", 180)):
        for number in range(4):
            pixels = random.normal(level, 10, (3, 32, 32)).clip(0, 255).astype(np.uint8)
            with rasterio.open(
                tmp_path / f"{name}_{number}_image.tif",
                "w",
                driver="GTiff",
                count=3,
                height=32,
                width=32,
                dtype="uint8",
                crs="EPSG:32633",
                transform=Affine(0.1, 0, 5e5, 0, -0.1, 5e6),
            ) as target:
                target.write(pixels)
    (tmp_path / "halves.yaml").write_text(CONFIG)
    return tmp_path


def test_json_holds_every_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["probe", str(folder / "halves.yaml"), "--data", str(folder), "--weights", "random", "--json"]
    assert main([*arguments, "--seeds", "2"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert {(row["features"], row["baseline"]) for row in result["rows"]} == {
        ("backbone", False),
        ("random convolutions", True),
        ("random initialisation", True),
    }
    row = next(row for row in result["rows"] if row["features"] == "random convolutions")
    assert row["scores"]["accuracy"]["low"] <= row["scores"]["accuracy"]["mean"] == 1.0
    assert len(row["per_seed"]["accuracy"]) == 2
    assert len(result["comparisons"]) == 4
    assert result["fingerprint"] and result["config"]["name"] == "halves"


def test_table_shows_the_rows_and_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(folder / "halves.yaml"), "--data", str(folder), "--weights", "random"]) == 0
    shown = capsys.readouterr().out
    assert "halves: 8 samples in 8 groups" in shown
    assert "not clearly above" in shown


def test_without_baselines_only_the_weights_are_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["probe", str(folder / "halves.yaml"), "--data", str(folder), "--weights", "random"]
    assert main([*arguments, "--no-baselines", "--json", "--patch-size", "8"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert {row["features"] for row in result["rows"]} == {"backbone"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--weights", "nothing"], "no weights 'nothing'"),
        (["--data", "/nowhere"], "data folder /nowhere does not exist"),
        (["--seeds", "0"], "--seeds is 0"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["probe", str(folder / "halves.yaml"), "--data", str(folder), "--weights", "random"]
    assert main([*arguments, *change]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "Traceback" not in error

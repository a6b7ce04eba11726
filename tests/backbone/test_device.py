"""Devices that are not there are said to be so, before anything is written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from rasterio import open as open_raster

from skyweave.backbone.device import resolve_device
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError


def test_a_device_that_is_there() -> None:
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cuda:99"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name!r}.*choose cpu"):
        resolve_device(name)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "width": 32, "height": 32, "count": 4, "dtype": "uint8", "crs": "EPSG:32633"}
    transform = Affine(1, 0, 4e5, 0, -1, 5e6)
    with open_raster(path, "w", transform=transform, **profile) as file:
        file.write(np.full((4, 32, 32), 7, np.uint8))
    return path


@pytest.mark.parametrize("option", [["--device", "gpu"], ["--device", "cuda:99"], ["--nodata", "x"]])
def test_embed_answers_in_one_line(scene: Path, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output = scene.with_name("out.tif")
    command = ["embed", str(scene), "--sensor", "naip", "--unit", "dn", "--bands", "sensor", "-o", str(output)]
    assert main([*command, *option]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and repr(option[1]) in error and not output.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "crossing", "DATA"],
        ["finetune", "configs/finetune/neon_site.yaml", "--data", "DATA", "-o", "DATA/run"],
        ["benchmark", "geobench", "DATA", "-o", "DATA/run", "--weights", "tiny"],
        ["probe", "configs/probe/neon_site.yaml", "--data", "DATA", "--weights", "tiny"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_shows_a_traceback(
    command: list[str], tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [part.replace("DATA", str(tmp_path)).replace("configs/", f"{repository}/configs/") for part in command]
    assert main([*arguments, "--device", "cuda:99"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cuda:99" in error and not (tmp_path / "run").exists()

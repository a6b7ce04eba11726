"""Files and options that cannot be used are answered by one line that names them, never by a traceback."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from skyweave.cli.main import main

SENSOR = "name: x\nground_sample_distance: 1\nbands: [{name: a, %s}]\n"
SOURCE = "sources: [{name: a, sensor: rgb, unit: uint8, files: '*.tif', bands: sensor, %s}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKYWEAVE_CACHE", str(tmp_path / "cache"))
    values = np.random.default_rng(0).integers(0, 255, (3, 128, 128), dtype=np.uint8)
    with rasterio.open("whole.tif", "w", driver="GTiff", height=128, width=128, count=3, dtype="uint8") as dataset:
        dataset.write(values)
    content = Path("whole.tif").read_bytes()
    Path("cut.tif").write_bytes(content[: len(content) // 2])
    Path("text.tif").write_text("no raster\n")
    Path("empty.tif").touch()
    Path("folder.tif").mkdir()
    Path("binary.yaml").write_bytes(b"\xff\xfe\xce")
    Path("broken.yaml").write_text("a: [1\n")
    Path("list.yaml").write_text("- a\n")
    Path("empty.yaml").touch()
    Path("micrometres.yaml").write_text(SENSOR % "wavelength: 0.6")
    Path("unknown.yaml").write_text(SENSOR % "wavelenght: 600")
    Path("kind.yaml").write_text(SENSOR % "kind: sonar")
    Path("polarisation.yaml").write_text(SENSOR % "kind: radar, frequency: 5, polarisation: [1]")
    return tmp_path


def assert_one_line(arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and names in error, error


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("file", ["missing.tif", "cut.tif", "text.tif", "empty.tif", "folder.tif"])
@pytest.mark.parametrize("command", ["inspect", "view", "embed"])
def test_rasters(command: str, file: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        "inspect": [],
        "view": ["--png", "out.png"],
        "embed": ["-o", "out.tif", "--sensor", "rgb", "--unit", "uint8", "--bands", "sensor"],
    }
    assert_one_line([command, file, *options[command]], file, capsys)
    assert not list(folder.glob("*out*")), "half an output is left"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("missing.yaml", "missing.yaml"),
        ("binary.yaml", "UTF-8"),
        ("broken.yaml", "not valid YAML"),
        ("list.yaml", "must be a mapping"),
        ("empty.yaml", "must be a mapping"),
        ("micrometres.yaml", "nanometres"),
        ("unknown.yaml", "did you mean 'wavelength'"),
        ("kind.yaml", "sonar"),
        ("polarisation.yaml", "polarisation"),
    ],
)
def test_sensors(file: str, names: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(["sensors", "show", file], names, capsys)
    assert_one_line(["inspect", "whole.tif", "--sensor", file], names, capsys)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a: [1", "not YAML"),
        ("", "'sources'"),
        (SOURCE % "unti: dn", "did you mean 'unit'"),
        (SOURCE % "overrides: 3", "overrides"),
        (SOURCE % "weight: -1", "weight -1"),
        (SOURCE.replace("rgb", "rgbb") % "split: a", "did you mean 'rgb'"),
        (SOURCE.replace("uint8", "dnn") % "split: a", "no unit 'dnn'"),
        (SOURCE.replace("*.tif", "/*.tif") % "split: a", "no pattern"),
        (SOURCE.replace("*.tif", "no*.tif") % "split: a", "no file matches"),
        (SOURCE.replace("name: a", "name: ../a") % "split: a", "'/'"),
        (SOURCE % "split: a", "cut.tif"),
        (SOURCE.replace("*.tif", "text.tif") % "split: a", "text.tif"),
    ],
)
def test_datasets(content: str, names: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dataset.yaml").write_text(content)
    assert_one_line(["shards", "dataset.yaml", "--data", ".", "-o", "shards"], names, capsys)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--tile", "0"], "--tile 0"),
        (["--shard-mb", "0"], "--shard-mb 0"),
        (["--split", "test"], "splits are: train"),
        (["--cache", "whole.tif"], "whole.tif"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_options_of_shards(options: list[str], names: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dataset.yaml").write_text(SOURCE.replace("*.tif", "whole.tif") % "offset: 0")
    assert_one_line(["shards", "dataset.yaml", "--data", ".", "-o", "shards", *options], names, capsys)

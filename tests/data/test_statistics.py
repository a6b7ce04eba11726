"""Statistics of a sensor are measured on its imagery, and never assumed."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.transform import Affine

from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.core.sensors import get_sensor

SENSOR = """
name: mycam
ground_sample_distance: 0.1
encodings: {dn: {scale: 0.0001}}
bands:
  - {name: red, wavelength: 668}
  - {name: nir, wavelength: 842}
"""


def write(path: Path, stored: np.ndarray) -> None:
    count, rows, columns = stored.shape
    profile = {"driver": "GTiff", "count": count, "height": rows, "width": columns, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=Affine(0.1, 0, 5e5, 0, -0.1, 5e6)) as target:
        target.write(stored)
        target.descriptions = ("red", "nir")


def test_a_band_without_statistics_is_refused_and_the_remedy_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sensor = tmp_path / "mycam.yaml"
    sensor.write_text(SENSOR)
    with pytest.raises(DataError, match=r"red, nir without mean and std.*skyweave measure IMAGE\.\. --sensor"):
        get_sensor(sensor)
    random, images, values = np.random.default_rng(0), [], []
    for number in range(2):
        stored = random.integers(500, 4000, (2, 40, 30)).astype(np.uint16)
        stored[:, :5] = 0  # nodata
        values.append(stored[:, 5:].reshape(2, -1))
        images.append(str(tmp_path / f"{number}.tif"))
        write(Path(images[-1]), stored)
    command = ["measure", *images, "--sensor", str(sensor), "--unit", "dn"]
    assert main([*command, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    expected = np.concatenate(values, 1) / 10_000
    for name, band in zip(("red", "nir"), expected, strict=True):
        assert measured[name]["mean"] == pytest.approx(band.mean(), rel=1e-5)
        assert measured[name]["std"] == pytest.approx(band.std(), rel=1e-5)
        assert measured[name]["pixels"] == band.size
    assert main(command) == 0
    content = yaml.safe_load(SENSOR)
    for band, line in zip(content["bands"], yaml.safe_load(capsys.readouterr().out), strict=True):
        band |= line
    sensor.write_text(yaml.safe_dump(content))
    assert get_sensor(sensor).stds == pytest.approx(expected.std(1), rel=1e-3)


def test_an_image_of_one_value_measures_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mycam.yaml").write_text(SENSOR)
    write(tmp_path / "flat.tif", np.full((2, 8, 8), 700, np.uint16))
    command = ["measure", str(tmp_path / "flat.tif"), "--sensor", str(tmp_path / "mycam.yaml"), "--unit", "dn"]
    assert main(command) == 2
    assert "'red' has one value only (0.07)" in capsys.readouterr().err


def test_what_errors_advise_and_notes_say_while_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, random = str(tmp_path / "a.tif"), np.random.default_rng(0)
    stored = random.integers(500, 4000, (2, 40, 30)).astype(np.uint16)
    stored[:, :5] = 65535
    write(Path(path), stored)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.5, 0.5)
    command = ["measure", path, "--sensor", "gaofen1-pms", "--unit", "dn", "--bands", "red,null", "--json"]
    assert main(command) == 2
    assert "--ignore-scale-tags" in capsys.readouterr().err
    assert main([*command, "--ignore-scale-tags"]) == 2
    assert "--nodata=file,65535" in capsys.readouterr().err
    assert main([*command, "--ignore-scale-tags", "--nodata=file,65535"]) == 0
    assert json.loads(capsys.readouterr().out)["red"]["pixels"] == 35 * 30
    assert main([*command, "--ignore-scale-tags", "--nodata=65535", "--offset", "-400"]) == 0
    stored[:, :20] = 0
    write(Path(path), stored)
    assert main([*command[:-2], "red,nir", "--nodata=none"]) == 0
    assert "50% of the pixels are 0 in every band" in capsys.readouterr().err

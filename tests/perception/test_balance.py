from dataclasses import replace

import numpy as np
import pytest
import torch

from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.sensors import get_sensor
from skyweave.perception.balance import BalanceConfig, balance_images
from skyweave.perception.card import config_from_card, config_to_card
from skyweave.perception.config import PerceptionConfig

GREY = BalanceConfig("grey_world")


def batch(sensor: str = "rgb", factors: tuple[float, ...] = (1, 1, 1), images: int = 2) -> SensorBatch:
    bands = get_sensor(sensor).bands
    pixels = torch.rand(images, len(bands), 8, 8, generator=torch.Generator().manual_seed(0)) * 60 + 40
    pixels = pixels * torch.tensor(factors[: len(bands)])[:, None, None]
    return SensorBatch(pixels, torch.ones(pixels.shape, dtype=torch.bool), get_sensor(sensor), torch.ones(images))


def test_grey_world_takes_white_balance_and_exposure_away() -> None:
    plain, other = (balance_images(batch(factors=f), GREY).pixels for f in ((1, 1, 1), (1.1, 1.0, 0.4)))
    assert torch.allclose(plain, other, rtol=1e-4)
    means = torch.tensor([band.mean for band in get_sensor("rgb").bands])
    assert torch.allclose(plain.mean((2, 3)), means.expand(2, 3), rtol=1e-4)


def test_exposure_keeps_colour_and_none_keeps_all() -> None:
    images = batch(factors=(0.5, 0.4, 0.3))
    balanced = balance_images(images, BalanceConfig("exposure", {"rgb": [100, 110, 120]})).pixels
    assert torch.allclose(balanced.mean((1, 2, 3)), torch.tensor(110.0), rtol=1e-4)
    ratio = balanced / images.pixels
    assert torch.allclose(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    assert torch.equal(balance_images(images, BalanceConfig()).pixels, images.pixels)


def test_invalid_pixels_do_not_count_and_calibrated_bands_stay() -> None:
    images = batch()
    valid = images.valid.clone()
    valid[..., :4] = False
    half = replace(images, pixels=images.pixels * valid, valid=valid)
    assert balance_images(half, GREY).pixels[..., 4:].mean() == pytest.approx(370 / 3, rel=1e-3)
    kelvin = batch("thermal")
    assert balance_images(kelvin, GREY) is kelvin


def test_a_wrong_number_of_means_and_an_unknown_name_are_refused() -> None:
    with pytest.raises(DataError, match="2 numbers"):
        balance_images(batch(), BalanceConfig("grey_world", {"rgb": [1.0, 2.0]}))
    with pytest.raises(ConfigError, match="grey_world"):
        PerceptionConfig(balance=BalanceConfig("gray"))


def test_a_card_keeps_the_balance() -> None:
    config = PerceptionConfig(balance=BalanceConfig("grey_world", {"rgb": [1.0, 2.0, 3.0]}))
    assert config_from_card(config_to_card(config)) == config
    assert np.isclose(config_from_card({"fusion": "mean"}).balance.usual.get("rgb", [0])[0], 0)

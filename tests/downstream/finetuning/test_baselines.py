"""Floors reach the heads as they are: normalised pixels' statistics, of valid pixels only."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from skyweave.backbone.batch import stack_observations
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.baselines.encoders import (
    BASELINES,
    NORM_CONSTANT,
    BandStatistics,
    RandomConvolutions,
)
from skyweave.downstream.finetuning.models.encoder_features import encode_observations

SENSOR = get_sensor("naip")


def picture(pixels: np.ndarray, valid: np.ndarray | None = None) -> Observation:
    normalised = pixels * SENSOR.stds[:, None, None] + SENSOR.means[:, None, None]
    return Observation.from_pixels(normalised, SENSOR, valid=valid)


def test_statistics_are_those_of_the_patch() -> None:
    pixels = np.random.default_rng(0).normal(size=(4, 16, 24)).astype(np.float32)
    features = BandStatistics()(stack_observations([picture(pixels)]), 8)
    assert features.grid == (2, 3) and features.patch_size == 8 and bool(features.valid.all())
    patch, token = pixels[:, 8:, 16:], features.tokens[0, 5].numpy()
    assert token[:4] == pytest.approx(patch.mean((1, 2)), abs=1e-4)
    assert token[4:8] == pytest.approx(patch.std((1, 2)), abs=1e-4)
    assert token[8:16] == pytest.approx(-token[:8]) and token[16:].tolist() == [NORM_CONSTANT, -NORM_CONSTANT]


def test_pixels_that_are_not_valid_do_not_count() -> None:
    pixels = np.random.default_rng(1).normal(size=(4, 16, 16)).astype(np.float32)
    valid = np.ones((4, 16, 16), bool)
    valid[:, :4] = False
    pixels[:, :4] = 9
    valid[:, 8:, 8:] = False
    features = BandStatistics()(stack_observations([picture(pixels, valid)]), 8)
    assert features.valid.tolist() == [[True, True, True, False]]
    assert features.tokens[0, 0, :4].numpy() == pytest.approx(pixels[:, 4:8, :8].mean((1, 2)), abs=1e-4)
    assert not features.tokens[0, 3].any()


@pytest.mark.parametrize("name", list(BASELINES))
def test_the_heads_normalisation_leaves_them_as_they_are(name: str) -> None:
    """Layer norm would take away how bright a patch is; beside the constants, it only scales."""
    bright = np.random.default_rng(2).normal(size=(4, 16, 16)).astype(np.float32)
    floor = BASELINES[name]()
    batch = stack_observations([picture(bright), picture(bright * 0.5 + 1)])
    own = floor(batch, 8).tokens
    seen = encode_observations(floor, [batch], 8, "levels").maps
    assert len(seen) == 1
    tokens = seen[0].flatten(2).transpose(1, 2)
    ratio = (tokens / own)[own.abs() > 0.05]
    assert float(ratio.std() / ratio.mean()) < 0.1
    assert not torch.allclose(
        functional.layer_norm(own[0, :, :4], (4,)), functional.layer_norm(own[1, :, :4], (4,)), 1e-3
    )


def test_random_convolutions_are_the_same_each_time_and_unlike_with_another_seed() -> None:
    batch = stack_observations([picture(np.random.default_rng(3).normal(size=(4, 16, 16)).astype(np.float32))])
    first, again, other = (RandomConvolutions(seed=seed)(batch).tokens for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.shape == (1, 4, 2 * 2 * 128 + 2) and bool((first[..., :256] >= 0).all())
    assert not any(own.requires_grad for own in RandomConvolutions().parameters())


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_tile_of_a_few_pixels_has_floors_too(side: int) -> None:
    tile = picture(np.random.default_rng(2).normal(size=(4, side, 5)).astype(np.float32))
    for floor in BASELINES.values():
        features = floor()(stack_observations([tile]), 1)
        assert features.grid == (side, 5) and bool(torch.isfinite(features.tokens).all())

"""Encoders of one patch size answer for others, on the same ground."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skyweave.backbone.batch import stack_observations
from skyweave.backbone.pretrained.dofa import DOFA, DOFAConfig
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.benchmark.patch_size_adapter import PatchSizeAdapter


@pytest.fixture(scope="module")
def encoder() -> DOFA:
    torch.manual_seed(0)
    return DOFA(DOFAConfig(2, patch_size=14, width=48, depth=4, heads=4, levels=(0, 1, 2, 3), image_size=56)).eval()


def picture(side: int, valid: np.ndarray | None = None) -> Observation:
    sensor = get_sensor("naip")
    values = np.random.default_rng(0).normal(size=(4, side, side)) * sensor.stds[:, None, None]
    return Observation.from_pixels(values + sensor.means[:, None, None], sensor, 1.0, valid=valid)


@torch.inference_mode()
def test_its_own_patch_size_changes_nothing(encoder: DOFA) -> None:
    batch = stack_observations([picture(28)])
    for size in (None, 14):
        assert torch.equal(PatchSizeAdapter(encoder)(batch, size).tokens, encoder(batch).tokens)


@pytest.mark.parametrize(("side", "patch", "grid"), [(64, 4, 16), (32, 2, 16), (62, 4, 16), (56, 28, 2)])
@torch.inference_mode()
def test_the_grid_is_the_one_asked_for(encoder: DOFA, side: int, patch: int, grid: int) -> None:
    features = PatchSizeAdapter(encoder)(stack_observations([picture(side)]), patch)
    assert features.grid == (grid, grid) and features.patch_size == patch and bool(features.valid.all())
    assert features.tokens.shape == (1, grid * grid, 48) and len(features.levels) == 4


@torch.inference_mode()
def test_it_is_the_encoder_on_the_enlarged_picture(encoder: DOFA) -> None:
    small = picture(8)
    large = torch.nn.functional.interpolate(torch.tensor(small.pixels)[None], size=(28, 28), mode="bilinear")[0]
    expected = encoder(stack_observations([Observation.from_pixels(large.numpy(), small.sensor, 8 / 28)]))
    found = PatchSizeAdapter(encoder)(stack_observations([small]), 4)
    assert torch.allclose(found.tokens, expected.tokens, atol=1e-5)


@torch.inference_mode()
def test_pixels_that_are_not_valid_are_seen_by_nobody(encoder: DOFA) -> None:
    valid = np.ones((4, 16, 16), bool)
    valid[:, :, 12:] = False
    one = picture(16, valid)
    spoilt = replace(one, pixels=np.where(valid, one.pixels, np.float32(1e4)))
    features = [PatchSizeAdapter(encoder)(stack_observations([own]), 4) for own in (one, spoilt)]
    assert features[0].valid.view(4, 4)[:, 3].logical_not().all() and features[0].valid.view(4, 4)[:, :3].all()
    assert torch.equal(features[0].tokens, features[1].tokens)

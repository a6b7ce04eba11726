"""Heads answer for any size, with gradients, and leave out what is not valid."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_labels import CLASSES, small_backbone
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.config import HeadConfig, HeadKind, MethodConfig, RecipeConfig
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.tasks.base import make_task

RGB = get_sensor("rgb")


def images(rows: int, columns: int, batch: int = 2) -> SensorBatch:
    random = np.random.default_rng(0)
    pixels = random.uniform(0, 255, (batch, 3, rows, columns)).astype(np.float32)
    return stack_observations([Observation.from_pixels(own, RGB) for own in pixels])


def model_of(kind: str, head: str, dates: int = 1, patch_size: int | None = None) -> FinetunedModel:
    recipe = RecipeConfig(MethodConfig(), HeadConfig(cast(HeadKind, head), channels=16), patch_size=patch_size)
    return build_model(make_task(kind, "squares", CLASSES[kind]), small_backbone(), [RGB] * dates, recipe, seed=0)


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(3, 21),
    columns=st.integers(3, 21),
    head=st.sampled_from(["linear", "pyramid", "upernet"]),
    patch=st.sampled_from([1, 3, 4, 8]),
)
def test_dense_heads_answer_at_every_pixel(rows: int, columns: int, head: str, patch: int) -> None:
    model = model_of("segmentation", head, patch_size=patch)
    assert model([images(rows, columns)]).shape == (2, 3, rows, columns)


@pytest.mark.parametrize("head", ["linear", "attentive"])
def test_image_heads_answer_once(head: str) -> None:
    answer = model_of("classification", head)([images(11, 17)])
    assert answer.shape == (2, 2)


def test_two_dates_are_read_with_their_difference() -> None:
    model = model_of("change", "linear", dates=2)
    first = images(8, 8)
    gathered = model.network.head_inputs([first, first])[0]  # type: ignore[operator, union-attr]
    levels = gathered.chunk(5, dim=1)
    assert all(torch.equal(own[:, 48:], torch.zeros_like(own[:, 48:])) for own in levels)  # no difference
    assert all(torch.equal(own[:, :24], own[:, 24:48]) for own in levels)
    second = replace(first, pixels=first.pixels.flip(0))
    there, back = (model.network.head_inputs(pair)[0] for pair in ([first, second], [second, first]))  # type: ignore[operator, union-attr]
    for own, other in zip(there.chunk(5, dim=1), back.chunk(5, dim=1), strict=True):
        assert torch.equal(own[:, 48:], other[:, 48:])  # the same which came first, and never below 0
        assert torch.equal(own[:, 48:], (own[:, 24:48] - own[:, :24]).abs())


@pytest.mark.parametrize("head", ["linear", "attentive"])
def test_invalid_patches_do_not_count(head: str) -> None:
    """Half an image without pixels answers as the other half alone does; only its surroundings are missing."""
    model = model_of("classification", head)
    batch = images(8, 16, 1)
    valid = batch.valid.clone()
    valid[..., 8:] = False
    half = SensorBatch(batch.pixels[..., :8], valid[..., :8], RGB, batch.ground_sample_distance)
    whole = SensorBatch(batch.pixels, valid, RGB, batch.ground_sample_distance)
    torch.testing.assert_close(model([whole]), model([half]), atol=2e-5, rtol=1e-4)


def test_an_image_without_any_pixel_is_finite_with_finite_gradients() -> None:
    for kind, head in (("classification", "linear"), ("classification", "attentive"), ("segmentation", "pyramid")):
        model = model_of(kind, head)
        batch = images(8, 8)
        empty = SensorBatch(batch.pixels * 0, torch.zeros_like(batch.valid), RGB, batch.ground_sample_distance)
        answer = model([empty])
        answer.sum().backward()
        assert torch.isfinite(answer).all()
        assert all(torch.isfinite(own.grad).all() for own in model.parameters() if own.grad is not None)


def test_a_head_that_cannot_serve_a_task_is_told() -> None:
    with pytest.raises(ValueError, match=r"'attentive' cannot serve segmentation .*linear, pyramid, upernet"):
        model_of("segmentation", "attentive")
    with pytest.raises(ValueError, match=r"'upernet' cannot serve classification .*linear, attentive"):
        model_of("classification", "upernet")


@pytest.mark.parametrize("head", ["linear", "pyramid"])
def test_large_images_are_put_together_from_tiles(head: str) -> None:
    model = model_of("segmentation", head).eval()
    model.tile = 16
    random = np.random.default_rng(1)
    whole = Observation.from_pixels(random.uniform(0, 255, (3, 37, 21)).astype(np.float32), RGB)
    found = model.predict(whole)
    assert found.label.shape == (37, 21)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-5)
    # the middle of a corner tile is that tile's own answer, near enough
    corner = model.predict(whole.window(0, 0, 16, 16))
    assert corner.probabilities is not None
    np.testing.assert_allclose(found.probabilities[:, 0, 0], corner.probabilities[:, 0, 0], atol=1e-5)


def test_other_observations_than_trained_on_are_refused() -> None:
    model = model_of("segmentation", "linear")
    other = get_sensor("sentinel2-l2a")
    image = Observation.from_pixels(np.zeros((len(other), 8, 8)), other)
    with pytest.raises(ValueError, match=r"sentinel2-l2a with bands .* trained on rgb"):
        model.predict(image)
    with pytest.raises(ValueError, match=r"reads 1 observations .* got 2"):
        model.predict(image, image)


def test_mirror_images_are_averaged() -> None:
    """With test-time flips a mirrored image gives the mirrored answer."""
    model = model_of("segmentation", "linear").eval()
    model.test_time_flips = True
    batch = images(8, 12)
    mirrored = SensorBatch(batch.pixels.flip(-1), batch.valid.flip(-1), RGB, batch.ground_sample_distance)
    with torch.no_grad():
        straight, turned = model.probabilities([batch]), model.probabilities([mirrored])
    torch.testing.assert_close(turned.flip(-1), straight, atol=1e-5, rtol=1e-4)

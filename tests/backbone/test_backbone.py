"""The promises of the backbone: order, validity, size and mixture of inputs change nothing that they should not."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skyweave.backbone import SIZES, Backbone, build_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.patches import patchify, unpatchify
from skyweave.core.sensors import Band, Sensor, get_sensor

SMALL = {"width": 64, "depth": 3, "heads": 2, "patch_size": 4, "mixes": 8}


def batch(sensor: Sensor, rows: int = 16, columns: int = 16, images: int = 2, seed: int = 0) -> SensorBatch:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images, len(sensor), rows, columns, generator=generator)
    pixels = torch.from_numpy(sensor.means)[:, None, None] + noise * torch.from_numpy(sensor.stds)[:, None, None]
    valid = torch.ones_like(pixels, dtype=torch.bool)
    return SensorBatch(pixels, valid, sensor, torch.full((images,), sensor.ground_sample_distance))


def backbone(*sensors: Sensor, **changes: object) -> Backbone:
    return build_backbone("tiny", sensors, seed=1, **{**SMALL, **changes}).eval()


def tokens(model: Backbone, images: SensorBatch, patch_size: int | None = None) -> Tensor:
    with torch.no_grad():
        return model(images, patch_size).tokens


@pytest.mark.parametrize("tokenizer", ["spectral", "per_sensor"])
def test_order_of_channels_changes_nothing(tokenizer: str) -> None:
    sensor = get_sensor("sentinel2-l2a")
    model = backbone(sensor, tokenizer=tokenizer)
    images = batch(sensor)
    order = [7, 3, 0, 11, 5, 1, 10, 2, 9, 4, 8, 6]
    shuffled = replace(
        images, pixels=images.pixels[:, order], sensor=sensor.select([sensor.bands[i].name for i in order])
    )
    assert torch.allclose(tokens(model, images), tokens(model, shuffled), atol=1e-5)


def test_vv_differs_from_vh() -> None:
    sensor = get_sensor("sentinel1-rtc")
    model = backbone()
    bands = [replace(sensor.bands[0], mean=0.0, std=1.0), replace(sensor.bands[1], mean=0.0, std=1.0)]
    images = batch(replace(sensor, bands=(bands[0],)))
    other = replace(images, sensor=replace(sensor, bands=(bands[1],)))
    assert (tokens(model, images) - tokens(model, other)).abs().max() > 1e-2


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(350, 2500), min_size=1, max_size=12, unique=True))
def test_any_optical_sensor_gives_finite_features(wavelengths: list[float]) -> None:
    bands = tuple(Band(f"b{i}", wavelength=w, mean=0.2, std=0.1) for i, w in enumerate(wavelengths))
    features = tokens(backbone(), batch(Sensor("mine", "a user's", bands, 3.0)))
    assert torch.isfinite(features).all()
    assert features.std() > 0.1


def test_values_under_the_mask_influence_nothing() -> None:
    images = batch(get_sensor("naip"), 18, 15)
    images.valid[0, :, 3:9, 2:7] = False
    images.valid[1, 2] = False
    changed = replace(images, pixels=torch.where(images.valid, images.pixels, torch.full((), 1e6)))
    model = backbone()
    assert torch.equal(tokens(model, images), tokens(model, changed))


def test_an_image_without_valid_pixels_gives_zeros() -> None:
    images = batch(get_sensor("naip"))
    images.valid[1] = False
    features = backbone()(images)
    assert not features.valid[1].any()
    assert torch.equal(features.pooled[1], torch.zeros(64))
    assert torch.isfinite(features.tokens).all()
    alone = tokens(
        backbone(),
        SensorBatch(
            *[getattr(images, k)[:1] for k in ("pixels", "valid")], images.sensor, images.ground_sample_distance[:1]
        ),
    )
    assert torch.allclose(features.tokens[:1], alone, atol=1e-5)


def test_padding_equals_invalid_pixels() -> None:
    images = batch(get_sensor("naip"), 10, 7)
    padded = replace(
        images,
        pixels=torch.nn.functional.pad(images.pixels, (0, 1, 0, 2), value=99.0),
        valid=torch.nn.functional.pad(images.valid, (0, 1, 0, 2)),
    )
    model = backbone()
    assert model(images).grid == (3, 2)
    assert torch.allclose(tokens(model, images), tokens(model, padded), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (33, 4)])
def test_any_size(size: tuple[int, int]) -> None:
    features = backbone()(batch(get_sensor("rgb"), *size))
    assert features.grid == (-(-size[0] // 4), -(-size[1] // 4))
    assert features.dense().shape == (2, 64, *features.grid)
    assert torch.isfinite(features.tokens).all()


def test_a_mix_in_one_pass_equals_each_alone() -> None:
    mix = [batch(get_sensor("naip"), 16, 16), batch(get_sensor("sentinel1-grd"), 8, 24, images=3)]
    mix[1].valid[0, :, :4] = False
    model = backbone()
    with torch.no_grad():
        together = model.encode(mix)
    for images, features in zip(mix, together, strict=True):
        assert torch.allclose(features.tokens, tokens(model, images), atol=1e-5)
        assert features.level_maps()[0].shape[-2:] == features.grid


@pytest.mark.parametrize("patch_size", [1, 2, 8])
def test_other_patch_sizes_see_the_resized_patch(patch_size: int) -> None:
    sensor = get_sensor("naip")
    model = backbone(sensor, tokenizer="per_sensor")
    patches = torch.randn(3, 5, 4, patch_size, patch_size)
    resized = torch.nn.functional.interpolate(
        patches.flatten(0, 1), size=(4, 4), mode="bilinear", align_corners=False, antialias=patch_size > 4
    ).unflatten(0, (3, 5))
    direct = model.patch_embed(patches, None, sensor)
    assert torch.allclose(direct, model.patch_embed(resized, None, sensor), atol=1e-4)


def test_the_model_keeps_its_own_normalisation() -> None:
    sensor = get_sensor("naip")
    model = backbone(sensor)
    images = batch(sensor)
    other = replace(images, sensor=sensor.with_statistics([0.0] * 4, [1.0] * 4))
    assert torch.equal(tokens(model, images), tokens(model, other))
    assert not torch.allclose(tokens(backbone(), images), tokens(backbone(), other), atol=1e-2)


def test_a_sensor_without_weights_is_named() -> None:
    model = backbone(get_sensor("naip"), tokenizer="per_sensor")
    with pytest.raises(ValueError, match=r"'rgb' has no patch embedding in this model \(it has: naip\)"):
        model(batch(get_sensor("rgb")))


def test_embedding_leaves_training_possible() -> None:
    from skyweave.core.observation import Observation

    model = backbone()
    images = batch(get_sensor("naip"), images=1)
    model.embed(Observation.from_pixels(images.pixels[0].numpy(), images.sensor))
    model.train()(images).tokens.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_copies_and_pickles() -> None:
    model, images = backbone(), batch(get_sensor("naip"))
    expected = tokens(model, images)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(tokens(twin, images), expected)


def test_sizes() -> None:
    millions = {
        name: sum(p.numel() for p in build_backbone(name).encoder.parameters()) / 1e6 for name in ("tiny", "base")
    }
    assert millions["tiny"] == pytest.approx(5.34, abs=0.01)  # 12 blocks of width 192
    assert millions["base"] == pytest.approx(85.06, abs=0.01)  # as ViT-B
    assert set(SIZES) == {"tiny", "small", "base", "large"}
    with pytest.raises(ValueError, match="no backbone size 'huge'"):
        build_backbone("huge")


@pytest.mark.parametrize("tokenizer", ["spectral", "per_sensor"])
@pytest.mark.parametrize("name", ["naip", "enmap"])  # few bands and more bands than functions take other roads
@pytest.mark.parametrize("holes", [False, True])
def test_detail_is_the_embedding_of_smaller_patches(tokenizer: str, name: str, holes: bool) -> None:
    sensor = get_sensor(name)
    model = backbone(sensor, tokenizer=tokenizer)
    images = batch(sensor, rows=14, columns=24)  # no multiple of a patch of 8
    if holes:
        images = replace(images, valid=torch.rand(images.valid.shape, generator=torch.Generator().manual_seed(2)) < 0.7)
    with torch.no_grad():
        features = model(images, 8, detail=2)
        whole = model.patches(images, 8)  # missing pixels hold the means of their patch and band
        usable = torch.ones_like(whole.values, dtype=torch.bool) if whole.filled is None else whole.filled
        values, filled = (patchify(unpatchify(p, whole.grid)[..., :14, :24], 2) for p in (whole.values, usable))
        expected = model.patch_embed(values, filled if holes else None, sensor).transpose(1, 2).unflatten(2, (7, 12))
        plain = model(images, 8)
    assert features.detail is not None
    assert features.detail.shape == expected.shape == (2, 64, 7, 12)
    assert torch.allclose(features.detail, expected, atol=1e-5)
    assert torch.allclose(features.tokens, plain.tokens, atol=1e-5)
    assert plain.detail is None


@pytest.mark.parametrize("tokenizer", ["spectral", "per_sensor"])
@pytest.mark.parametrize("name", ["naip", "enmap"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_head_of_the_detail_is_a_convolution_behind_it(tokenizer: str, name: str, bias: bool) -> None:
    sensor = get_sensor(name)
    model, images = backbone(sensor, tokenizer=tokenizer), batch(sensor, rows=14, columns=24)
    head = torch.nn.Conv2d(64, 5, 1, bias=bias)
    plain, joined = model(images, 8, detail=2).detail, model(images, 8, detail=2, detail_head=head).detail
    assert plain is not None and joined is not None
    assert joined.shape == (2, 5, 7, 12)
    assert torch.allclose(joined, head(plain), atol=1e-5)
    joined.square().sum().backward()
    assert all(weights.grad is not None and weights.grad.any() for weights in head.parameters())


@pytest.mark.parametrize("patch", [4, 8, 12, 16])
@pytest.mark.parametrize("name", ["sentinel2-l2a", "enmap"])
def test_training_sees_what_inference_sees(patch: int, name: str) -> None:
    """Without gradients large patches are shrunk; with them, kernels are stretched."""
    sensor = get_sensor(name)
    model, images = backbone(sensor), batch(sensor, rows=48, columns=48)
    assert model.patch_embed.patch_size in (4, 8)
    patches = model.patches(images, patch)
    trained = model.patch_embed(patches.values, patches.valid, sensor)
    assert trained.requires_grad
    with torch.no_grad():
        assert torch.allclose(model.patch_embed(patches.values, patches.valid, sensor), trained, atol=1e-5)


def test_detail_must_divide_the_patch() -> None:
    sensor = get_sensor("naip")
    with pytest.raises(ValueError, match="detail 3 must divide the patch size, 8"):
        backbone(sensor)(batch(sensor), 8, detail=3)


@pytest.mark.parametrize("tokenizer", ["spectral", "per_sensor"])
def test_a_patch_in_part_missing_is_embedded_by_what_is_there(tokenizer: str) -> None:
    sensor = get_sensor("naip")
    model = backbone(sensor, tokenizer=tokenizer)
    images = batch(sensor, rows=16, columns=16)
    flat = replace(images, pixels=images.pixels.mean((2, 3), keepdim=True).expand_as(images.pixels))
    cut = replace(flat, valid=flat.valid.clone())
    cut.valid[:, :, :, 11:] = False  # the right patches have three of eight columns
    cut.valid[:, 1, :8] = False  # and one band has none in the upper ones
    with torch.no_grad():
        tokens = [model.patch_embed(p.values, p.filled, sensor) for p in (model.patches(one, 8) for one in (flat, cut))]
    assert torch.allclose(tokens[0][:, 2:], tokens[1][:, 2:], atol=1e-5)
    assert not torch.allclose(tokens[0][:, :2], tokens[1][:, :2], atol=1e-3)
    assert model(cut, 8).valid.all()


def test_overlapping_patches_hold_the_patches_side_by_side() -> None:
    """The tokenizer as a convolution: at the centres of whole patches it is what it is without overlap."""
    sensor = get_sensor("sentinel2-l2a")
    model, images = backbone(sensor), batch(sensor, 16, 12)
    with torch.no_grad():
        stem = model(images, 4).stem.transpose(1, 2).unflatten(2, (4, 3))
        every, second = (model.embed_overlapping_patches(images, 4, stride) for stride in (1, 2))
        assert every.shape == (2, 64, 16, 12)
        torch.testing.assert_close(every[:, :, 1::4, 1::4], stem, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(every[:, :, ::2, ::2], second, rtol=1e-4, atol=1e-5)


def test_an_invalid_pixel_of_an_overlapping_patch_counts_as_the_mean() -> None:
    sensor = get_sensor("sentinel2-l2a")
    model, images = backbone(sensor), batch(sensor)
    means = torch.from_numpy(sensor.means)
    broken, filled = images.pixels.clone(), images.pixels.clone()
    broken[:, :, 3, 5], filled[:, :, 3, 5] = -9999, means
    valid = images.valid.clone()
    valid[:, :, 3, 5] = False
    with torch.no_grad():
        stems = [
            model.embed_overlapping_patches(replace(images, pixels=p, valid=v), 4, 2)
            for p, v in ((broken, valid), (filled, images.valid))
        ]
    torch.testing.assert_close(*stems, rtol=1e-4, atol=1e-4)

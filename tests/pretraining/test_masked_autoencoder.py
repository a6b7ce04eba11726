"""What is hidden stays hidden, what is invalid weighs nothing, and a mix is no more than its parts."""

from dataclasses import replace

import pytest
import torch

from skyweave.backbone import build_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors import get_sensor
from skyweave.pretraining import DecoderConfig, MaskedAutoencoder, ObjectiveConfig

SMALL = {"width": 32, "depth": 2, "heads": 2, "patch_size": 4, "mixes": 4}


def model(**objective: float) -> MaskedAutoencoder:
    torch.manual_seed(0)
    backbone = build_backbone("tiny", seed=1, **SMALL)
    return MaskedAutoencoder(backbone, DecoderConfig(32, 1, 2, 4), ObjectiveConfig(**objective))


def batch(name: str, size: int = 16, images: int = 3) -> SensorBatch:
    sensor = get_sensor(name)
    generator = torch.Generator().manual_seed(len(sensor))
    noise = torch.randn(images, len(sensor), size, size, generator=generator)
    pixels = torch.from_numpy(sensor.means)[:, None, None] + noise * torch.from_numpy(sensor.stds)[:, None, None]
    valid = torch.ones_like(pixels, dtype=torch.bool)
    return SensorBatch(pixels, valid, sensor, torch.full((images,), sensor.ground_sample_distance))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_the_mask_has_its_ratio(ratio: float) -> None:
    group = model(mask_ratio=ratio, predicted=1.0).mask(batch("naip"), 4, seeded())
    assert group.visible.shape == (3, round(16 * (1 - ratio)))
    for visible, queries in zip(group.visible.tolist(), group.queries.tolist(), strict=True):
        assert sorted(visible + queries) == list(range(16))


def test_unusable_patches_are_neither_seen_nor_counted() -> None:
    images = batch("naip")
    images.valid[0, :, :8] = False  # the upper half: patches 0 to 7
    images.valid[1] = False
    group = model(mask_ratio=0.75, predicted=1.0).mask(images, 4, seeded())
    assert group.visible_valid.sum(1).tolist() == [2, 0, 4]
    assert (group.visible[0][group.visible_valid[0]] >= 8).all()
    assert set(group.queries[0, :6].tolist()) | set(group.visible[0][group.visible_valid[0]].tolist()) == set(
        range(8, 16)
    )


def test_values_under_the_mask_do_not_matter() -> None:
    images = batch("naip")
    images.valid[0, :, 2:9, 3:8] = False
    images.valid[1] = False
    images.valid[2, 1] = False
    changed = replace(images, pixels=torch.where(images.valid, images.pixels, torch.full((), -1e5)))
    network = model(texture=0.5)
    losses = [network([part], seeded())[0] for part in (images, changed)]
    assert torch.isfinite(losses[0])
    assert torch.equal(*losses)


def test_an_image_without_pixels_teaches_nothing() -> None:
    images = batch("naip", images=1)
    images.valid[:] = False
    network = model(texture=0.5)
    loss = network([images], seeded())[0]
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_hidden_pixels_do_not_reach_the_encoder() -> None:
    network, images = model(mask_ratio=0.75), batch("naip")
    group = network.mask(images, 4, seeded())
    encoded = network.forward_encoder([group])[0][0]
    hidden = torch.ones(3, 16, dtype=torch.bool).scatter(1, group.visible, False)
    values = torch.where(hidden[..., None, None, None], torch.full((), 7.0), group.patches.values)
    changed = replace(group, input_patches=replace(group.input_patches, values=values))
    assert torch.equal(encoded, network.forward_encoder([changed])[0][0])


def test_hidden_bands_do_not_reach_the_encoder_but_are_asked_for() -> None:
    network, images = model(band_dropout=0.9), batch("sentinel2-l2a")
    group = network.mask(images, 4, seeded(3))
    assert 1 <= len(group.input_patches.sensor) < len(group.patches.sensor) == 12
    names = [band.name for band in group.patches.sensor.bands]
    kept = [names.index(band.name) for band in group.input_patches.sensor.bands]
    assert torch.equal(group.input_patches.values, group.patches.values[:, :, kept])


def test_a_mix_costs_what_its_parts_cost() -> None:
    network = model(texture=0.5)
    mix = [batch("naip", 16), batch("sentinel1-rtc", 24), batch("enmap", 8, images=2)]
    generator = seeded(5)
    groups = [network.mask(images, size, generator) for images, size in zip(mix, (4, 4, 2), strict=True)]
    together = network.forward_decoder(groups, *network.forward_encoder(groups))
    for group, decoded in zip(groups, together, strict=True):
        alone = network.forward_decoder([group], *network.forward_encoder([group]))[0]
        assert torch.allclose(decoded, alone, atol=1e-5)
        assert torch.allclose(network.forward_loss(group, decoded), network.forward_loss(group, alone), atol=1e-5)


def test_the_loss_is_the_mean_square_of_what_was_asked() -> None:
    network, images = model(predicted=1.0), batch("naip")
    group = network.mask(images, 4, seeded())
    decoded = network.forward_decoder([group], *network.forward_encoder([group]))[0]
    predicted = network.decoder.pixels(decoded, images.sensor, 4).detach()
    normalised = (images.pixels - torch.from_numpy(images.sensor.means)[:, None, None]) / torch.from_numpy(
        images.sensor.stds
    )[:, None, None]
    total = 0.0
    for image in range(3):
        for place, patch in enumerate(group.queries[image].tolist()):
            row, column = divmod(patch, 4)
            target = normalised[image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
            total += float((predicted[image, place] - target).square().mean())
    assert float(network.forward_loss(group, decoded).detach()) == pytest.approx(
        total / group.queries.numel(), rel=1e-4
    )


def test_halves_of_an_image_agree_after_training_on_it() -> None:
    network, images = model(agreement=1.0), batch("naip", images=4)
    images = replace(images, pixels=images.pixels + torch.tensor([-60.0, -20.0, 20.0, 60.0])[:, None, None, None])
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)

    def agreement() -> torch.Tensor:
        groups = [network.mask(images, 4, seeded())]
        return network.forward_agreement(groups, network.forward_encoder(groups)[0])[0]

    before = float(agreement().detach())
    for _ in range(20):
        optimiser.zero_grad()
        agreement().backward()
        optimiser.step()
    assert float(agreement().detach()) < 0.5 * before


@pytest.mark.parametrize("patch_size", [2, 4, 8])
def test_reconstruction_keeps_what_is_visible(patch_size: int) -> None:
    images = batch("naip")
    picture, hidden = model().reconstruct(images, 0.75, seed=2, patch_size=patch_size)
    assert picture.shape == images.pixels.shape
    assert hidden.float().mean() == pytest.approx(0.75)
    assert torch.allclose(
        picture.permute(1, 0, 2, 3)[:, ~hidden], images.pixels.permute(1, 0, 2, 3)[:, ~hidden], atol=1e-3
    )
    assert not torch.allclose(picture, images.pixels, atol=1)

"""What is hidden stays hidden, what is invalid weighs nothing, and a mix is no more than its parts."""

from dataclasses import replace

import pytest
import torch

from fabricated_views import ONE_VIEW, backbone, batch, seeded, view_of
from skyweave.pretraining import MaskedAutoencoder, MaskingConfig, ObjectiveConfig, Pretrainer
from skyweave.pretraining.decoder import decode_queries
from skyweave.pretraining.masking import EncodedView, MaskedView, draw_views, mask_patches
from skyweave.pretraining.objectives.pixels import PixelReconstruction
from skyweave.pretraining.pretrainer import encode_views

DECODER = {"width": 32, "depth": 1, "heads": 2, "mixes": 4}


def pretrainer(masking: MaskingConfig = ONE_VIEW, predicted: float = 0.5, texture: float = 0.5) -> Pretrainer:
    torch.manual_seed(0)
    content = {"kind": "pixels", "decoder": DECODER, "predicted": predicted, "texture": texture}
    return Pretrainer(backbone(), {"pixels": ObjectiveConfig.from_content(content)}, masking)


def pixels_of(model: Pretrainer) -> PixelReconstruction:
    objective = model.objectives["pixels"]
    assert isinstance(objective, PixelReconstruction)
    return objective


@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_the_mask_has_its_ratio(ratio: float) -> None:
    view = view_of(batch("naip"), replace(ONE_VIEW, ratios=(ratio,)))
    assert view.visible.shape == (3, round(16 * (1 - ratio)))
    for visible, hidden in zip(view.visible.tolist(), view.hidden.tolist(), strict=True):
        assert sorted(visible + hidden) == list(range(16))


def test_unusable_patches_are_neither_seen_nor_counted() -> None:
    images = batch("naip")
    images.valid[0, :, :8] = False  # the upper half: patches 0 to 7
    images.valid[1] = False
    view = view_of(images)
    assert view.visible_valid.sum(1).tolist() == [2, 0, 4]
    visible = view.visible[0][view.visible_valid[0]]
    assert (visible >= 8).all()
    assert set(view.hidden[0, :6].tolist()) | set(visible.tolist()) == set(range(8, 16))


def test_values_under_the_mask_do_not_matter() -> None:
    images = batch("naip")
    images.valid[0, :, 2:9, 3:8] = False
    images.valid[1] = False
    images.valid[2, 1] = False
    changed = replace(images, pixels=torch.where(images.valid, images.pixels, torch.full((), -1e5)))
    network = pretrainer()
    losses = [network([part], seeded()).batches[0] for part in (images, changed)]
    assert torch.isfinite(losses[0])
    assert torch.equal(*losses)


def test_an_image_without_pixels_teaches_nothing() -> None:
    images = batch("naip", images=1)
    images.valid[:] = False
    network = pretrainer()
    loss = network([images], seeded()).batches[0]
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_hidden_pixels_do_not_reach_the_encoder() -> None:
    network, images = backbone(), batch("naip")
    view = mask_patches(network.patches(images, 4), 0.75, 0.0, seeded())
    (encoded,) = encode_views(network, [view])
    hidden = torch.ones(3, 16, dtype=torch.bool).scatter(1, view.visible, False)
    values = torch.where(hidden[..., None, None, None], torch.full((), 7.0), view.patches.values)
    changed = replace(view, input_patches=replace(view.input_patches, values=values))
    assert torch.equal(encoded, encode_views(network, [changed])[0])


def test_hidden_bands_do_not_reach_the_encoder_but_are_asked_for() -> None:
    view = view_of(batch("sentinel2-l2a"), replace(ONE_VIEW, band_dropout=0.9), seed=3)
    assert 1 <= len(view.input_patches.sensor) < len(view.patches.sensor) == 12
    names = [band.name for band in view.patches.sensor.bands]
    kept = [names.index(band.name) for band in view.input_patches.sensor.bands]
    assert torch.equal(view.input_patches.values, view.patches.values[:, :, kept])


def test_a_mix_costs_what_its_parts_cost() -> None:
    network, generator = pretrainer(), seeded(5)
    objective = pixels_of(network)
    sizes = {"naip": (16, 4), "sentinel1-rtc": (24, 4), "enmap": (8, 2)}
    views = [
        draw_views(network.backbone, batch(name, side), patch, ONE_VIEW, generator)[0]
        for name, (side, patch) in sizes.items()
    ]

    def losses(members: list[MaskedView]) -> list[torch.Tensor]:
        tokens = encode_views(network.backbone, members)
        encoded = [EncodedView(view, part) for view, part in zip(members, tokens, strict=True)]
        queries = [view.hidden for view in members]
        decoded = decode_queries(objective.decoder, network.backbone.positions, encoded, queries)
        return [
            objective.reconstruction_loss(view.patches, query, part)
            for view, query, part in zip(members, queries, decoded, strict=True)
        ]

    together = losses(views)
    for view, loss in zip(views, together, strict=True):
        assert torch.allclose(loss, losses([view])[0], atol=1e-5)


def test_the_loss_is_the_mean_square_of_what_was_asked() -> None:
    network, images = pretrainer(predicted=1.0, texture=0.0), batch("naip")
    objective = pixels_of(network)
    (view,) = draw_views(network.backbone, images, 4, ONE_VIEW, seeded())
    encoded = [EncodedView(view, encode_views(network.backbone, [view])[0])]
    (decoded,) = decode_queries(objective.decoder, network.backbone.positions, encoded, [view.hidden])
    predicted = objective.decoder.pixels(decoded, images.sensor, 4).detach()
    means, stds = (torch.from_numpy(part)[:, None, None] for part in (images.sensor.means, images.sensor.stds))
    normalised = (images.pixels - means) / stds
    total = 0.0
    for image in range(3):
        for place, patch in enumerate(view.hidden[image].tolist()):
            row, column = divmod(patch, 4)
            target = normalised[image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
            total += float((predicted[image, place] - target).square().mean())
    assert float(network([images], seeded()).batches[0].detach()) == pytest.approx(
        total / view.hidden.numel(), rel=1e-4
    )


@pytest.mark.parametrize("patch_size", [2, 4, 8])
def test_reconstruction_keeps_what_is_visible(patch_size: int) -> None:
    images, network = batch("naip"), pretrainer()
    autoencoder = MaskedAutoencoder(network.backbone, pixels_of(network).decoder)
    image, hidden = autoencoder.reconstruct(images, 0.75, seed=2, patch_size=patch_size)
    assert image.shape == images.pixels.shape
    assert hidden.float().mean() == pytest.approx(0.75)
    assert torch.allclose(
        image.permute(1, 0, 2, 3)[:, ~hidden], images.pixels.permute(1, 0, 2, 3)[:, ~hidden], atol=1e-3
    )
    assert not torch.allclose(image, images.pixels, atol=1)

"""A pretrained backbone with its pixel decoder: reconstructs hidden parts of images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.patches import unpatchify
from skyweave.pretraining.decoder import PixelDecoder, decode_queries
from skyweave.pretraining.masking import EncodedView, MaskedView, mask_patches
from skyweave.pretraining.pretrainer import encode_views


class MaskedAutoencoder(nn.Module):
    """Reconstruct images of which patches are hidden (MAE, arXiv 2111.06377).

    Args:
        backbone: encodes the visible patches.
        decoder: that it was pretrained with.
    """

    def __init__(self, backbone: Backbone, decoder: PixelDecoder) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder

    def decode(self, views: Sequence[MaskedView]) -> list[Tensor]:
        """Return the decoded hidden patches of each view, (batch, hidden, decoder width).

        Args:
            views: of images of any sensors.
        """
        encoded = [
            EncodedView(view, tokens) for view, tokens in zip(views, encode_views(self.backbone, views), strict=True)
        ]
        return decode_queries(self.decoder, self.backbone.positions, encoded, [view.hidden for view in views])

    @torch.inference_mode()
    def reconstruct(
        self, batch: SensorBatch, mask_ratio: float = 0.75, seed: int = 0, patch_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hide patches and predict them.

        Args:
            batch: images of one sensor and size.
            mask_ratio: share of patches that are hidden.
            seed: of the choice.
            patch_size: pixels per patch side, default the backbone's.

        Returns:
            PixelReconstruction in the bands' units, with predictions in place of hidden patches and the input elsewhere
            (batch, bands, rows, columns); and the hidden pixels (batch, rows, columns) bool.
        """
        size = patch_size or self.backbone.config.patch_size
        view = mask_patches(self.backbone.patches(batch, size), mask_ratio, 0.0, torch.Generator().manual_seed(seed))
        (decoded,) = self.decode([view])
        predicted = self.decoder.pixels(decoded, batch.sensor, size).float().unflatten(-1, (size, size))
        patches = view.patches.values.clone()
        rows = torch.arange(len(patches), device=patches.device).unsqueeze(1)
        patches[rows, view.hidden] = predicted
        hidden = torch.zeros_like(view.patches.usable).scatter(1, view.hidden, True)
        image = unpatchify(patches, view.patches.grid)
        hidden_pixels = hidden[:, :, None, None, None].expand(-1, -1, 1, size, size)
        mask = unpatchify(hidden_pixels.contiguous(), view.patches.grid)[:, 0]
        means, stds = self.backbone.statistics(batch.sensor)
        height, width = batch.pixels.shape[-2:]
        image = image[..., :height, :width] * stds.to(image) + means.to(image)
        return image, mask[..., :height, :width]

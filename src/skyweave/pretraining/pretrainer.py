"""A backbone and the objectives that it is pretrained with, over a mix of sensors."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skyweave.backbone.backbone import Backbone, gather_patches
from skyweave.backbone.batch import SensorBatch
from skyweave.pretraining.masking import EncodedView, MaskedView, MaskingConfig, draw_views
from skyweave.pretraining.mixing import Pair
from skyweave.pretraining.objectives.base import EncodedBatch, EncodedStep, ObjectiveConfig


@dataclass(frozen=True)
class ObjectiveLosses:
    """Losses of a step.

    Attributes:
        batches: (batches,), the weighted sum of the objectives for each batch of one sensor.
        objectives: (batches,) by objective, without its weight.
    """

    batches: Tensor
    objectives: dict[str, Tensor]


class Pretrainer(nn.Module):
    """Pretrain one backbone jointly over sensors (OFA-Net, arXiv 2401.07527) with any objectives.

    Args:
        backbone: what is trained.
        objectives: by kind, the configuration of each.
        masking: how views are made.
    """

    def __init__(
        self,
        backbone: Backbone,
        objectives: Mapping[str, ObjectiveConfig],
        masking: MaskingConfig | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.masking = masking or MaskingConfig()
        self.weights = {kind: config.weight for kind, config in objectives.items()}
        self.objectives = nn.ModuleDict({kind: config.build(backbone) for kind, config in objectives.items()})

    def forward(
        self,
        batches: Sequence[SensorBatch],
        generator: torch.Generator,
        patch_sizes: Sequence[int] | None = None,
        pairs: Sequence[Pair] = (),
    ) -> ObjectiveLosses:
        """Return the losses of a mix of sensors.

        Args:
            batches: one per sensor (or band subset) and size.
            generator: source of all randomness; the same state gives the same losses.
            patch_sizes: pixels per patch side of each batch; default the nominal one.
            pairs: which of the images show the same ground.
        """
        sizes = patch_sizes or [self.backbone.config.patch_size] * len(batches)
        views = [
            draw_views(self.backbone, batch, size, self.masking, generator)
            for batch, size in zip(batches, sizes, strict=True)
        ]
        encoded = EncodedStep(self._encode(batches, views), pairs)
        losses = {kind: torch.stack(objective(encoded, generator)) for kind, objective in self.objectives.items()}
        total = torch.stack([self.weights[kind] * loss for kind, loss in losses.items()]).sum(0)
        return ObjectiveLosses(total, losses)

    def _encode(self, batches: Sequence[SensorBatch], views: Sequence[list[MaskedView]]) -> list[EncodedBatch]:
        """Encode the views of all batches."""
        tokens = iter(encode_views(self.backbone, list(itertools.chain(*views))))
        return [
            EncodedBatch(batch, [EncodedView(view, next(tokens)) for view in group])
            for batch, group in zip(batches, views, strict=True)
        ]


def encode_views(backbone: Backbone, views: Sequence[MaskedView]) -> list[Tensor]:
    """Return the encoded visible tokens of each view, (batch, visible, width).

    Views of one length share a pass of the encoder, whatever their sensors are.

    Args:
        backbone: that encodes.
        views: of any sensors.
    """
    results: dict[int, Tensor] = {}
    for length in dict.fromkeys(view.visible.shape[1] for view in views):
        members = [number for number, view in enumerate(views) if view.visible.shape[1] == length]
        results.update(zip(members, _encode_together(backbone, [views[number] for number in members]), strict=True))
    return [results[number] for number in range(len(views))]


def _encode_together(backbone: Backbone, views: Sequence[MaskedView]) -> Sequence[Tensor]:
    """Encode views of one length in one pass."""
    tokens = torch.cat([backbone.tokens(view.input_patches, keep=view.visible) for view in views])
    places = torch.cat([gather_patches(backbone.coordinates(view.patches), view.visible) for view in views])
    valid = torch.cat([view.visible_valid for view in views])
    encoded, _ = backbone.encoder(tokens, None if bool(valid.all()) else valid, places)
    parts: Sequence[Tensor] = encoded.split([len(view.visible) for view in views])
    return parts

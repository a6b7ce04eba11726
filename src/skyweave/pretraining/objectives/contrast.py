"""Contrast: views of one ground are alike, views of other ground are not."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.backbone import Backbone
from skyweave.core.errors import ConfigError
from skyweave.pretraining.masking import mean_in_cells
from skyweave.pretraining.mixing import Pair
from skyweave.pretraining.objectives.base import EncodedBatch, EncodedStep, Objective, ObjectiveConfig


@dataclass(frozen=True)
class ContrastConfig(ObjectiveConfig):
    """Views of one image find each other among those of the other images of their sensor.

    The contrast of SimCLR (arXiv 2002.05709) between masked views (as in CAN, arXiv 2210.16870), on the backbone's
    own features without a head between, so that their cosine is what users compare; of whole images and of cells of
    a grid (as dense contrast, arXiv 2011.09157). Images of two sensors that show the same ground (pairs of the dataset)
    find each other likewise.

    Attributes:
        weight: of the loss.
        temperature: of the softmax over candidates.
        cells: sides of the grids over the image whose cells are compared; 1 is the whole image.
        pairs: weight of the contrast between the images of pairs.

    Raises:
        ConfigError: a temperature that is not positive, or no grid.
    """

    weight: float = 1.0
    temperature: float = 0.15
    cells: tuple[int, ...] = (1, 3)
    pairs: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"contrast: temperature is {self.temperature}, must be positive")
        if not self.cells or min(self.cells) < 1:
            raise ConfigError(f"contrast: cells are {self.cells}, must be sides of at least 1")

    def build(self, backbone: Backbone) -> "ViewContrast":
        """Return the objective.

        Args:
            backbone: that is trained.
        """
        return ViewContrast(self)


class ViewContrast(Objective):
    """Contrast views of one image with those of the other images of their sensor.

    Args:
        config: of the objective.
    """

    def __init__(self, config: ContrastConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, encoded: EncodedStep, generator: torch.Generator) -> list[Tensor]:
        """Return the contrastive loss of each batch: the mean over its sensor's images, which are candidates together.

        Args:
            encoded: with at least two views of each image, or with pairs.
            generator: not used.
        """
        items = encoded.batches
        losses = [item.views[0].tokens.sum() * 0.0 for item in items]
        for name in dict.fromkeys(item.batch.sensor.name for item in items):
            members = [number for number, item in enumerate(items) if item.batch.sensor.name == name]
            for cells in self.config.cells:
                loss = self._between_views([items[number] for number in members], cells) / len(self.config.cells)
                for number in members:
                    losses[number] = losses[number] + loss
        for number, loss in self._between_pairs(encoded).items():
            losses[number] = losses[number] + self.config.pairs * loss
        return losses

    def _between_pairs(self, encoded: EncodedStep) -> dict[int, Tensor]:
        """Mean loss between the first views of paired images, by batch; pairs of the same sensors are candidates."""
        groups: dict[tuple[str, ...], list[Pair]] = {}
        for pair in encoded.pairs:
            names = tuple(encoded.batches[number].batch.sensor.name for number in pair.batches)
            groups.setdefault(names, []).append(pair)
        losses: dict[int, Tensor] = {}
        for members in groups.values():
            parts = []
            for cells in self.config.cells:
                sides = [_cells_of_pairs(encoded, members, side, cells) for side in (0, 1)]
                images = torch.arange(len(members), device=sides[0][0].device).repeat_interleave(cells**2)
                parts.append(self._info_nce(sides[0], sides[1], images))
            loss = torch.stack(parts).mean()
            for number in {number for pair in members for number in pair.batches}:
                losses[number] = losses[number] + loss if number in losses else loss
        return losses

    def _between_views(self, items: Sequence[EncodedBatch], cells: int) -> Tensor:
        """Mean loss between the first view of the images and each other one."""
        first, *others = [_cells_of(items, number, cells) for number in range(len(items[0].views))]
        images = torch.arange(len(first[0]) // cells**2, device=first[0].device).repeat_interleave(cells**2)
        losses = [self._info_nce(first, other, images) for other in others]
        return torch.stack(losses).mean() if losses else first[0].sum() * 0.0

    def _info_nce(self, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], images: Tensor) -> Tensor:
        """InfoNCE (arXiv 1807.03748) both ways; other cells of the same image are no candidates."""
        both = first[1] & second[1]
        codes = [functional.normalize(part[0][both], dim=-1) for part in (first, second)]
        owners = images[both]
        if len(owners) < 2:
            return (first[0].sum() + second[0].sum()) * 0.0
        logits = codes[0] @ codes[1].T / self.config.temperature
        same_image = (owners[:, None] == owners[None]) & ~torch.eye(len(owners), dtype=torch.bool, device=owners.device)
        logits = logits.masked_fill(same_image, float("-inf"))
        partners = torch.arange(len(owners), device=owners.device)
        return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


def _cells_of(items: Sequence[EncodedBatch], number: int, cells: int) -> tuple[Tensor, Tensor]:
    """Cells of one view of all images of several batches, (images * cells**2, width) and bool."""
    parts = [mean_in_cells(item.views[number].tokens.float(), item.views[number].view, cells) for item in items]
    return torch.cat([means.flatten(0, 1) for means, _ in parts]), torch.cat([valid.flatten() for _, valid in parts])


def _cells_of_pairs(encoded: EncodedStep, pairs: Sequence[Pair], side: int, cells: int) -> tuple[Tensor, Tensor]:
    """Cells of the first view of one image of each pair, (pairs * cells**2, width) and bool."""
    by_batch = {}
    for number in {pair.batches[side] for pair in pairs}:
        view = encoded.batches[number].views[0]
        by_batch[number] = mean_in_cells(view.tokens.float(), view.view, cells)
    rows = [(pair.batches[side], pair.rows[side]) for pair in pairs]
    means = torch.cat([by_batch[number][0][row] for number, row in rows])
    return means, torch.cat([by_batch[number][1][row] for number, row in rows])

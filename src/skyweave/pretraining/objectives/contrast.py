"""Contrast: views of one ground are alike, views of other ground are not."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

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
        for numbers in _numbers_by_sensor(encoded).values():
            members = [items[number] for number in numbers]
            loss = self._mean_over_cells(partial(self._between_views, members))
            _add(losses, numbers, loss)
        for pairs in _pairs_by_sensors(encoded).values():
            loss = self._mean_over_cells(partial(self._between_pairs, encoded, pairs))
            _add(losses, {number for pair in pairs for number in pair.batches}, self.config.pairs * loss)
        return losses

    def _mean_over_cells(self, loss_of: Callable[[int], Tensor]) -> Tensor:
        return torch.stack([loss_of(cells) for cells in self.config.cells]).mean()

    def _between_pairs(self, encoded: EncodedStep, pairs: Sequence[Pair], cells: int) -> Tensor:
        """Loss between the first views of paired images, which are candidates together."""
        first, second = (_cells_of_pairs(encoded, pairs, side, cells) for side in (0, 1))
        images = torch.arange(len(pairs), device=first[0].device).repeat_interleave(cells**2)
        return self._info_nce(first, second, images)

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


def _numbers_by_sensor(encoded: EncodedStep) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for number, item in enumerate(encoded.batches):
        numbers.setdefault(item.batch.sensor.name, []).append(number)
    return numbers


def _pairs_by_sensors(encoded: EncodedStep) -> dict[tuple[str, str], list[Pair]]:
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in encoded.pairs:
        first, second = (encoded.batches[number].batch.sensor.name for number in pair.batches)
        groups.setdefault((first, second), []).append(pair)
    return groups


def _add(losses: list[Tensor], numbers: Iterable[int], loss: Tensor) -> None:
    """Add a loss to those of some batches."""
    for number in numbers:
        losses[number] = losses[number] + loss


def _cells_of_pairs(encoded: EncodedStep, pairs: Sequence[Pair], side: int, cells: int) -> tuple[Tensor, Tensor]:
    """Cells of the first view of one image of each pair, (pairs * cells**2, width) and bool."""
    views = {number: encoded.batches[number].views[0] for number in {pair.batches[side] for pair in pairs}}
    maps = {number: mean_in_cells(item.tokens.float(), item.view, cells) for number, item in views.items()}
    chosen = [(maps[pair.batches[side]], pair.rows[side]) for pair in pairs]
    return torch.cat([means[row] for (means, _), row in chosen]), torch.cat([valid[row] for (_, valid), row in chosen])

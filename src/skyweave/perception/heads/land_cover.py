"""Land cover and map elements: one class a cell, of the ground and of what stands on it, as seen from above."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.core.errors import ConfigError
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.heads.base import (
    BatchResults,
    HeadEvaluator,
    HeadOutputs,
    MapContext,
    ModelOutputs,
    PerceptionHead,
    PerceptionHeadConfig,
)
from skyweave.perception.heads.land_cover_evaluator import LandCoverEvaluator
from skyweave.perception.neck import convolution
from skyweave.perception.results import CoverMap
from skyweave.perception.results.scene import LAND_COVER as NAME
from skyweave.perception.targets import ObjectTargets, stack_arrays
from skyweave.recordings.recording import LAND_COVER, UNKNOWN_COVER

MAX_CLASSES = 255  # 8 bits, less the value for unknown
MIN_CLASS_WEIGHT, MAX_CLASS_WEIGHT = 0.5, 4.0


@dataclass(frozen=True)
class LandCoverHeadConfig(PerceptionHeadConfig):
    """Options of the land-cover head.

    Attributes:
        classes: that it distinguishes; other classes of a recording count as unknown.
        balance: how much rare classes count for more, from 0, not at all, to 1, as all others together.
    """

    classes: tuple[str, ...] = LAND_COVER
    balance: float = 0.5

    def check(self, config: PerceptionConfig) -> None:
        """Check that there are classes, each once.

        Args:
            config: of the model.

        Raises:
            ConfigError: no class, too many, one that is there twice, or a balance that is no share.
        """
        if not 1 <= len(set(self.classes)) == len(self.classes) <= MAX_CLASSES:
            raise ConfigError(f"classes are 1 to {MAX_CLASSES} different names, not {list(self.classes)}")
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"balance {self.balance} must be between 0 and 1")


class LandCoverHead(PerceptionHead):
    """Class of every cell.

    Output: ``classes`` (batch, classes, rows, columns) logits.

    Args:
        config: of the model.
    """

    name = NAME
    config_class = LandCoverHeadConfig

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__(config)
        channels = config.trunk[0]
        self.options = cast(LandCoverHeadConfig, config.heads[self.name])
        self.shared = convolution(channels, channels)
        self.outputs = nn.Conv2d(channels, len(self.options.classes), 1)

    def forward(self, maps: Tensor) -> HeadOutputs:
        """Return the logits.

        Args:
            maps: (batch, channels, rows, columns).
        """
        return {"classes": self.outputs(self.shared(maps)).float()}

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> HeadOutputs:
        """Return ``classes`` (batch, rows, columns) int64, `UNKNOWN_COVER` where the truth is not known.

        Args:
            samples: of the batch.
            device: of the targets.
        """
        truth = [cover_of(sample, self.options.classes) for sample in samples]
        return {"classes": stack_arrays([one.astype(np.int64) for one in truth], device)}

    def loss(self, outputs: ModelOutputs, targets: HeadOutputs) -> dict[str, Tensor]:
        """Return the loss ``classes``: the cross-entropy of the cells whose truth is known; rare classes count more.

        Args:
            outputs: of all heads.
            targets: from `targets`.
        """
        logits, truth = outputs[self.name]["classes"], targets["classes"]
        known = truth != UNKNOWN_COVER
        if not known.any():
            return {"classes": logits.sum() * 0.0}
        share = torch.bincount(truth[known], minlength=logits.shape[1]) / known.sum()
        weight = (share.clamp(min=1e-6) * logits.shape[1]) ** -self.options.balance
        weight = weight.clamp(MIN_CLASS_WEIGHT, MAX_CLASS_WEIGHT)
        return {"classes": functional.cross_entropy(logits, truth, weight, ignore_index=UNKNOWN_COVER)}

    def decode(self, outputs: ModelOutputs, context: MapContext, results: BatchResults) -> list[CoverMap]:
        """Return of each sample the most probable class of every cell.

        Args:
            outputs: of all heads.
            context: where and when the maps are.
            results: not used.
        """
        confidence, classes = outputs[self.name]["classes"].softmax(1).max(1)
        cells, sure = classes.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy()
        return [
            CoverMap(grid, cells[number], self.options.classes, sure[number], time)
            for number, (grid, time) in enumerate(zip(context.grids, context.times, strict=True))
        ]

    def evaluator(self, tracks: bool = False) -> HeadEvaluator:
        """Return a new evaluator.

        Args:
            tracks: not used.
        """
        return LandCoverEvaluator(self.options.classes)


def cover_of(sample: ObjectTargets, classes: Sequence[str]) -> np.ndarray:
    """Return (rows, columns) uint8 the true cover of a sample's map as indices into some classes.

    Args:
        sample: whose truth may be unknown, which gives `UNKNOWN_COVER` everywhere.
        classes: names; other classes of the truth are unknown as well.
    """
    truth = sample.land_cover
    if truth is None:
        return np.full(sample.grid.shape, UNKNOWN_COVER, np.uint8)
    table = np.full(UNKNOWN_COVER + 1, UNKNOWN_COVER, np.uint8)
    for number, name in enumerate(truth.classes):
        if name in classes:
            table[number] = classes.index(name)
    return np.asarray(table[truth.cells])

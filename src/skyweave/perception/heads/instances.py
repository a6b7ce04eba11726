"""Bird's-eye-view instance segmentation, now and in the future: which cells belong to which object.

As in FIERY (arXiv 2104.10490) and PowerBEV (arXiv 2306.10761): the present has a segmentation, a centre heatmap and an
offset from each cell to the centre of its instance; each future step has a segmentation and a backward flow from each
cell to the centre of its instance one step earlier, which carries identities forward.
"""

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
from skyweave.perception.heads.heatmaps import focal_loss, init_prior
from skyweave.perception.heads.instance_evaluator import InstanceEvaluator
from skyweave.perception.heads.instance_flow import backward_flow, propagate_identities
from skyweave.perception.neck import convolution
from skyweave.perception.results import InstanceMap
from skyweave.perception.results.scene import INSTANCES
from skyweave.perception.targets import ObjectTargets, gaussian_heatmap, heatmap_deviations, rasterise, stack_arrays

FOREGROUND_WEIGHT = 2.0
HARD_CELL_SHARE = 0.25  # of the cells, which count in the segmentation loss (as in FIERY)
STEP_DISCOUNT = 0.95  # of each future step's loss
SEGMENTATION_THRESHOLDS = (0.4, 0.3)
"""Probabilities above which a cell is foreground, at the present and at the last step; even steps between. The best
overlap comes from a threshold of half the F1 that is reached (Lipton et al., arXiv 1402.1892), so it falls where the
future is less certain; `FOREGROUND_WEIGHT` doubles the odds. Best on scenes that are in no training and no test."""
MIN_CENTRE_PROBABILITY = 0.2
SUPPRESSION_RADIUS_M = 1.0  # along either axis, within which one centre suppresses another


@dataclass(frozen=True)
class InstanceHeadConfig(PerceptionHeadConfig):
    """Options of the instance head.

    Attributes:
        categories: classes that the instance maps show; None for all. Objects narrower than a cell are hardly shown.
    """

    categories: tuple[str, ...] | None = None

    def check(self, config: PerceptionConfig) -> None:
        """Check that the model distinguishes these classes.

        Args:
            config: of the model.

        Raises:
            ConfigError: a class that the model does not distinguish.
        """
        if unknown := sorted(set(self.categories or ()) - set(config.categories)):
            raise ConfigError(
                f"categories names {', '.join(unknown)}, which is not among {', '.join(config.categories)}"
            )

    def labels(self, config: PerceptionConfig) -> tuple[int, ...]:
        """Return the indices of the shown classes among the model's.

        Args:
            config: of the model.
        """
        shown = config.categories if self.categories is None else self.categories
        return tuple(config.categories.index(name) for name in shown)


class InstanceHead(PerceptionHead):
    """Segmentation, centres and backward flow of the present and of ``horizon`` future steps.

    Outputs, for ``steps`` = 1 + horizon: ``segmentation`` (batch, steps, rows, columns) logits, ``centre`` (batch,
    rows, columns) logits, and ``flow`` (batch, steps, 2, rows, columns): rows and columns, in cells, from a cell to the
    centre of its instance at the present (step 0) or at the step before.

    Args:
        config: of the model.
    """

    name = INSTANCES
    config_class = InstanceHeadConfig

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__(config)
        channels = config.trunk[0]
        self.steps = config.horizon + 1
        self.labels = cast(InstanceHeadConfig, config.heads[self.name]).labels(config)
        self.suppression_cells = max(1, round(SUPPRESSION_RADIUS_M / config.map.resolution))
        self.shared = convolution(channels, channels)
        self.outputs = nn.Conv2d(channels, 1 + 3 * self.steps, 1)
        init_prior(self.outputs, 1 + self.steps)

    def forward(self, maps: Tensor) -> HeadOutputs:
        """Return segmentation, centres and flow.

        Args:
            maps: (batch, channels, rows, columns).
        """
        outputs = self.outputs(self.shared(maps)).float()
        return {
            "centre": outputs[:, 0],
            "segmentation": outputs[:, 1 : 1 + self.steps],
            "flow": outputs[:, 1 + self.steps :].unflatten(1, (self.steps, 2)),
        }

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> HeadOutputs:
        """Return ``identity`` (batch, steps, rows, columns) int64, 0 for none; ``centre`` and ``flow`` as the outputs.

        Args:
            samples: objects of each sample.
            device: of the targets.
        """
        identities, centres, flows = [], [], []
        for sample in samples:
            objects, grid = sample.select(sample.observed).with_labels(self.labels), sample.grid
            maps = np.stack(
                [rasterise(objects.footprints_at(step), objects.identities, grid) for step in range(self.steps)]
            )
            identities.append(maps)
            cells = grid.cells_from_world(objects.centres_at(0))
            inside = grid.index(objects.centres_at(0)) >= 0
            centres.append(gaussian_heatmap(grid.shape, cells[inside], heatmap_deviations(objects)[inside]))
            flows.append(backward_flow(objects, maps))
        return {
            "identity": stack_arrays(identities, device),
            "centre": stack_arrays(centres, device),
            "flow": stack_arrays(flows, device),
        }

    def loss(self, outputs: ModelOutputs, targets: HeadOutputs) -> dict[str, Tensor]:
        """Return the losses ``segmentation``, ``centre`` and ``flow``; later steps count less.

        They are the cross-entropy of the hardest cells, the focal loss, and smooth L1 on the cells of instances.

        Args:
            outputs: of all heads.
            targets: from `targets`.
        """
        predicted = outputs[self.name]
        foreground = targets["identity"] > 0
        discount = STEP_DISCOUNT ** torch.arange(self.steps, device=foreground.device)
        entropy = functional.binary_cross_entropy_with_logits(
            predicted["segmentation"], foreground.float(), reduction="none"
        )
        entropy = torch.where(foreground, FOREGROUND_WEIGHT * entropy, entropy).flatten(2)
        hardest = entropy.topk(int(HARD_CELL_SHARE * entropy.shape[-1]), dim=-1).values.mean((0, 2))
        known = foreground.unsqueeze(2) & torch.isfinite(targets["flow"])
        error = functional.smooth_l1_loss(predicted["flow"], targets["flow"].nan_to_num(), reduction="none")
        error = torch.where(known, error, 0).sum((0, 2, 3, 4)) / known.sum((0, 2, 3, 4)).clamp(min=1)
        return {
            "segmentation": (hardest * discount).mean(),
            "centre": focal_loss(predicted["centre"], targets["centre"]),
            "flow": (error * discount).mean(),
        }

    def decode(self, outputs: ModelOutputs, context: MapContext, results: BatchResults) -> list[list[InstanceMap]]:
        """Return of each sample one map a step, the present first; an instance keeps its identity over the steps.

        Args:
            outputs: of all heads.
            context: where and when the maps are.
            results: not used.
        """
        identities = self.decode_identities(outputs[self.name])
        step_ns = round(1e9 * self.config.interval)
        return [
            [InstanceMap(grid, maps[step], {}, {}, time + step * step_ns) for step in range(self.steps)]
            for grid, maps, time in zip(context.grids, identities, context.times, strict=True)
        ]

    @torch.no_grad()
    def decode_identities(self, outputs: HeadOutputs) -> np.ndarray:
        """Return (batch, steps, rows, columns) int64 identities, 0 for none.

        Args:
            outputs: of this head.
        """
        segmentation = outputs["segmentation"].sigmoid()
        thresholds = torch.linspace(*SEGMENTATION_THRESHOLDS, self.steps, device=segmentation.device)
        foreground = (segmentation > thresholds[:, None, None]).cpu().numpy()
        heat = outputs["centre"].sigmoid()
        size = 2 * self.suppression_cells + 1
        highest = functional.max_pool2d(heat[:, None], size, 1, self.suppression_cells)[:, 0]
        peaks = ((highest == heat) & (heat > MIN_CENTRE_PROBABILITY)).cpu().numpy()
        flow = outputs["flow"].cpu().numpy()
        return np.stack([propagate_identities(*arrays) for arrays in zip(foreground, peaks, flow, strict=True)])

    def evaluator(self, tracks: bool = False) -> HeadEvaluator:
        """Return a new evaluator of IoU and video panoptic quality.

        Args:
            tracks: not used.
        """
        return InstanceEvaluator(self.labels)

"""Bird's-eye-view instance segmentation, now and in the future: which cells are an object, and whose.

As in the video-panoptic line of work (FIERY, arXiv 2104.10490; PowerBEV, arXiv 2306.10761): the present has a
segmentation, a centre heatmap and an offset from each cell to the centre of its instance; each future step has a
segmentation and a backward flow from each cell to the centre of its instance one step earlier, which carries
identities forward.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.perception.config import PerceptionConfig
from skyweave.perception.heads.detection import PRIOR_PROBABILITY, focal_loss
from skyweave.perception.neck import convolution
from skyweave.perception.targets import ObjectTargets, gaussian_heatmap, rasterise, stack_arrays

FOREGROUND_WEIGHT = 2.0
HARD_CELL_SHARE = 0.25  # share of the cells that count in the segmentation loss (as in FIERY)
STEP_DISCOUNT = 0.95  # of each future step's loss
SEGMENTATION_THRESHOLDS = (0.4, 0.3)
"""Probabilities above which a cell is foreground, at the present and at the last step; even steps between. The best
overlap comes from a threshold of half the F1 that is reached (Lipton et al., arXiv 1402.1892), so it falls where the
future is less sure; `FOREGROUND_WEIGHT` doubles the odds. Best on scenes that are in no training and no test."""
CENTRE_THRESHOLD = 0.2
SUPPRESSION_RADIUS_M = 1.0  # metres, along either axis, within which one centre suppresses another


class InstanceHead(nn.Module):
    """Outputs, for ``steps`` = 1 + horizon moments: ``segmentation`` (batch, steps, rows, columns) logits, ``centre``
    (batch, rows, columns) logits, and ``flow`` (batch, steps, 2, rows, columns): rows and columns, in cells, from a
    cell to the centre of its instance at the present (step 0) or at the step before.
    """

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__()
        channels = config.trunk[0]
        self.steps, self.labels = config.horizon + 1, config.segmented_labels
        self.apart = max(1, round(SUPPRESSION_RADIUS_M / config.map.resolution))
        self.shared = convolution(channels, channels)
        self.outputs = nn.Conv2d(channels, 1 + 3 * self.steps, 1)
        with torch.no_grad():
            cast(Tensor, self.outputs.bias)[: 1 + self.steps] = float(
                np.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY))
            )

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """(batch, channels, rows, columns) to the outputs."""
        outputs = self.outputs(self.shared(maps)).float()
        return {
            "centre": outputs[:, 0],
            "segmentation": outputs[:, 1 : 1 + self.steps],
            "flow": outputs[:, 1 + self.steps :].unflatten(1, (self.steps, 2)),
        }

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> dict[str, Tensor]:
        """``identity`` (batch, steps, rows, columns) int64, 0 for none; ``centre``; and ``flow``, like the outputs."""
        identities, centres, flows = [], [], []
        for sample in samples:
            objects, grid = sample.select(sample.observed).of(self.labels), sample.grid
            maps = np.stack(
                [rasterise(objects.footprints_at(step), objects.identities, grid) for step in range(self.steps)]
            )
            identities.append(maps)
            cells = grid.cells_from_world(objects.centres_at(0))
            inside = grid.index(objects.centres_at(0)) >= 0
            spread = np.maximum(objects.boxes.sizes[:, :2].min(1) / grid.resolution / 4, 0.8)
            centres.append(gaussian_heatmap(grid.shape, cells[inside], spread[inside]))
            flows.append(_flow(objects, maps))
        return {
            "identity": stack_arrays(identities, device),
            "centre": stack_arrays(centres, device),
            "flow": stack_arrays(flows, device),
        }

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """``segmentation``: cross-entropy of the hardest cells; ``centre``: focal; ``flow``: smooth absolute error on
        the cells of instances. Later steps count less.
        """
        foreground = targets["identity"] > 0
        discount = STEP_DISCOUNT ** torch.arange(self.steps, device=foreground.device)
        entropy = functional.binary_cross_entropy_with_logits(
            outputs["segmentation"], foreground.float(), reduction="none"
        )
        entropy = torch.where(foreground, FOREGROUND_WEIGHT * entropy, entropy).flatten(2)
        hardest = entropy.topk(int(HARD_CELL_SHARE * entropy.shape[-1]), dim=-1).values.mean((0, 2))
        known = foreground.unsqueeze(2) & torch.isfinite(targets["flow"])
        error = functional.smooth_l1_loss(outputs["flow"], targets["flow"].nan_to_num(), reduction="none")
        error = torch.where(known, error, 0).sum((0, 2, 3, 4)) / known.sum((0, 2, 3, 4)).clamp(min=1)
        return {
            "segmentation": (hardest * discount).mean(),
            "centre": focal_loss(outputs["centre"], targets["centre"]),
            "flow": (error * discount).mean(),
        }

    @torch.no_grad()
    def decode(self, outputs: dict[str, Tensor]) -> np.ndarray:
        """(batch, steps, rows, columns) int64 identities, 0 for none; an instance keeps its identity over the steps."""
        segmentation = outputs["segmentation"].sigmoid()
        thresholds = torch.linspace(*SEGMENTATION_THRESHOLDS, self.steps, device=segmentation.device)
        foreground = (segmentation > thresholds[:, None, None]).cpu().numpy()
        heat = outputs["centre"].sigmoid()
        highest = functional.max_pool2d(heat[:, None], 2 * self.apart + 1, 1, self.apart)[:, 0]
        peaks = ((highest == heat) & (heat > CENTRE_THRESHOLD)).cpu().numpy()
        flow = outputs["flow"].cpu().numpy()
        return np.stack([_follow(*parts) for parts in zip(foreground, peaks, flow, strict=True)])


def _flow(objects: ObjectTargets, maps: np.ndarray) -> np.ndarray:
    """(steps, 2, rows, columns) float32: from a cell's middle to the centre its instance had a step before."""
    steps, rows, columns = maps.shape
    result = np.full((steps, 2, rows, columns), np.nan, np.float32)
    grid = objects.grid
    for step in range(steps):
        centres = grid.cells_from_world(objects.centres_at(max(step - 1, 0)))
        place = {int(identity): centre for identity, centre in zip(objects.identities, centres, strict=True)}
        row, column = np.nonzero(maps[step])
        wanted = np.array([place[int(i)] for i in maps[step, row, column]]).reshape(-1, 2)
        result[step, :, row, column] = wanted - np.stack([row, column], 1) - 0.5
    return result


def _follow(foreground: np.ndarray, peaks: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Identities of one sample: cells go to the nearest centre, centres move with their cells."""
    result = np.zeros(foreground.shape, np.int64)
    centres = np.argwhere(peaks & foreground[0]) + 0.5
    identities = np.arange(1, len(centres) + 1)
    for step, mask in enumerate(foreground):
        row, column = np.nonzero(mask)
        if not len(row) or not len(centres):
            break
        place = np.stack([row, column], 1) + 0.5
        target = place + flow[step, :, row, column]
        distance = ((target[:, None] - centres[None]) ** 2).sum(-1)
        nearest = distance.argmin(1)
        result[step, row, column] = identities[nearest]
        if step:  # where each instance is now; one without cells is gone
            cells = np.bincount(nearest, minlength=len(centres))
            sums = np.stack([np.bincount(nearest, along, len(centres)) for along in place.T], 1)
            found = cells > 0
            centres, identities = sums[found] / cells[found, None], identities[found]
    return result

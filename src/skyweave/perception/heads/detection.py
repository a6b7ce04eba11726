"""3D object detection: one peak an object, and its box regressed there.

CenterNet (arXiv 1904.07850) on the bird's-eye view, as in CenterPoint (arXiv 2006.11275).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.perception.config import PerceptionConfig
from skyweave.perception.heads.base import (
    BatchResults,
    HeadEvaluator,
    HeadOutputs,
    MapContext,
    ModelOutputs,
    PerceptionHead,
)
from skyweave.perception.heads.box_encoding import (
    BOX_LOSS_WEIGHTS,
    NUM_BOX_CHANNELS,
    batch_cells,
    decode_boxes,
    encode_boxes,
)
from skyweave.perception.heads.detection_evaluator import DetectionEvaluator
from skyweave.perception.heads.heatmaps import focal_loss, init_prior
from skyweave.perception.neck import convolution
from skyweave.perception.results import Detections
from skyweave.perception.results.scene import DETECTION
from skyweave.perception.targets import ObjectTargets, gaussian_heatmap, heatmap_deviations, stack_arrays

MAX_DETECTIONS = 300  # per map


class DetectionHead(PerceptionHead):
    """Outputs ``heatmap`` (batch, categories, rows, columns) logits and ``box`` (batch, 12, rows, columns).

    Args:
        config: of the model.
    """

    name = DETECTION

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__(config)
        channels = config.trunk[0]
        self.categories = config.categories
        self.shared = convolution(channels, channels)
        self.heatmap = nn.Conv2d(channels, len(config.categories), 1)
        self.box = nn.Conv2d(channels, NUM_BOX_CHANNELS, 1)
        init_prior(self.heatmap, len(config.categories))

    def forward(self, maps: Tensor) -> HeadOutputs:
        """Return heatmap and boxes.

        Args:
            maps: (batch, channels, rows, columns).
        """
        shared = self.shared(maps)
        return {"heatmap": self.heatmap(shared).float(), "box": self.box(shared).float()}

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> HeadOutputs:
        """Return ``heatmap`` (batch, categories, rows, columns), and of all m objects ``cell`` (m, 3), ``box`` (m, 12).

        Args:
            samples: objects of each sample.
            device: of the targets.
        """
        heatmaps, cells, boxes = [], [], []
        for number, sample in enumerate(samples):
            objects, grid = sample.trainable(), sample.grid
            positions = grid.cells_from_world(objects.boxes.centres)
            heatmaps.append(self._heatmap(objects, positions))
            cells.append(batch_cells(number, np.floor(positions)).astype(np.int64))
            boxes.append(encode_boxes(objects, positions))
        return {
            "heatmap": stack_arrays(heatmaps, device),
            "cell": torch.from_numpy(np.concatenate(cells)).to(device),
            "box": torch.from_numpy(np.concatenate(boxes)).float().to(device),
        }

    def _heatmap(self, objects: ObjectTargets, positions: np.ndarray) -> np.ndarray:
        """(categories, rows, columns) float32."""
        deviations = heatmap_deviations(objects)
        of_category = [objects.labels == label for label in range(len(self.categories))]
        shape = objects.grid.shape
        return np.stack([gaussian_heatmap(shape, positions[mask], deviations[mask]) for mask in of_category])

    def loss(self, outputs: ModelOutputs, targets: HeadOutputs) -> dict[str, Tensor]:
        """Return ``heatmap``: focal loss of the peaks; ``box``: mean absolute error, unknown velocities left out.

        Args:
            outputs: of all heads.
            targets: from `targets`.
        """
        sample, row, column = targets["cell"].T
        predicted = outputs[self.name]["box"][sample, :, row, column]
        expected = targets["box"]
        known = torch.isfinite(expected)
        error = torch.where(known, (predicted - expected.nan_to_num()).abs(), 0)
        weight = error.new_tensor(BOX_LOSS_WEIGHTS)
        box = (error * weight).sum() / max(len(expected), 1)
        return {"heatmap": focal_loss(outputs[self.name]["heatmap"], targets["heatmap"]), "box": box}

    @torch.no_grad()
    def decode(self, outputs: ModelOutputs, context: MapContext, results: BatchResults) -> list[Detections]:
        """Return of each sample the peaks above the lowest score as boxes in the world, best first.

        Args:
            outputs: of all heads.
            context: where and when the maps are.
            results: not used.
        """
        heat = outputs[self.name]["heatmap"].sigmoid()
        peaks = heat * (functional.max_pool2d(heat, 3, 1, 1) == heat)
        return [
            self._detections(peaks[number], outputs[self.name]["box"][number], context, number)
            for number in range(len(context.grids))
        ]

    def _detections(self, peaks: Tensor, box_map: Tensor, context: MapContext, number: int) -> Detections:
        """Boxes of one sample."""
        grid, ground = context.grids[number], context.grounds[number]
        flat = peaks.flatten()
        scores, index = flat.topk(min(MAX_DETECTIONS, len(flat)))
        index, scores = index[scores >= context.min_score], scores[scores >= context.min_score]
        num_cells = grid.rows * grid.columns
        labels = (index // num_cells).cpu().numpy()
        row, column = index % num_cells // grid.columns, index % grid.columns
        encoded = box_map[:, row, column].T.cpu().numpy().astype(np.float64)
        cells = np.stack([row.cpu().numpy(), column.cpu().numpy()], 1)
        boxes, velocities = decode_boxes(encoded, cells, grid, ground)
        kept = np.isfinite(boxes.centres[:, 2])  # off the terrain's data nothing can be placed
        categories = tuple(self.categories[label] for label in labels)
        if context.domain is not None:
            kept &= context.domain.plausible(boxes.sizes, categories)
        detections = Detections(
            boxes=boxes,
            velocities=velocities,
            categories=categories,
            scores=scores.cpu().numpy().astype(np.float64),
            crs=grid.crs,
            time=context.times[number],
        )
        return detections.select(np.flatnonzero(kept))

    def evaluator(self, tracks: bool = False) -> HeadEvaluator:
        """Return a new evaluator: nuScenes detection, average precision at an overlap, and tracking.

        Args:
            tracks: also score the tracks of consecutive frames, which needs SciPy.
        """
        return DetectionEvaluator(self.categories, self.config.interval if tracks else None)

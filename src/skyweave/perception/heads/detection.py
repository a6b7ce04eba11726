"""3D object detection: one peak an object, and its box regressed there (CenterNet, arXiv 1904.07850; CenterPoint,
arXiv 2006.11275).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.neck import convolution
from skyweave.perception.results import Detections
from skyweave.perception.targets import ObjectTargets, gaussian_heatmap, stack_arrays

BOX_CHANNELS = {"offset": 2, "height": 1, "size": 3, "axis": 2, "heading": 2, "velocity": 2}
"""Channels of the regression, in order. Offset: rows and columns from the middle of the cell. Height: of the box's
middle above the ground under it, metres. Size: logarithm of metres. Axis: cosine and sine of twice the yaw; heading:
cosine and sine of yaw, which only tells the two ways along the axis apart. (A heading alone is no good: where front and
back look alike its best guess is 0, and the axis is lost with it.) Velocity: metres per second."""
BOX_OFFSETS = dict(zip(BOX_CHANNELS, np.cumsum([0, *BOX_CHANNELS.values()]), strict=False))
BOX_LOSS_WEIGHTS = [w for part, width in BOX_CHANNELS.items() for w in [0.3 if part == "velocity" else 1.0] * width]
PRIOR_PROBABILITY = (
    0.02  # probability of a peak that the untrained head says, so that the first losses are not of background alone
)


class DetectionHead(nn.Module):
    """Outputs ``heatmap`` (batch, categories, rows, columns) logits and ``box`` (batch, 12, rows, columns)."""

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__()
        channels = config.trunk[0]
        self.categories = config.categories
        self.shared = convolution(channels, channels)
        self.heatmap = nn.Conv2d(channels, len(config.categories), 1)
        self.box = nn.Conv2d(channels, sum(BOX_CHANNELS.values()), 1)
        nn.init.constant_(self.heatmap.bias, float(np.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY))))  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """(batch, channels, rows, columns) to the outputs."""
        shared = self.shared(maps)
        return {"heatmap": self.heatmap(shared).float(), "box": self.box(shared).float()}

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> dict[str, Tensor]:
        """``heatmap`` (batch, categories, rows, columns), and of all m objects ``cell`` (m, 3), ``box`` (m, 12)."""
        heats, cells, boxes = [], [], []
        for number, sample in enumerate(samples):
            objects, grid = sample.trainable(), sample.grid
            at = grid.cells_from_world(objects.boxes.centres)
            spread = np.maximum(objects.boxes.sizes[:, :2].min(1) / grid.resolution / 4, 0.8)
            heats.append(
                np.stack(
                    [
                        gaussian_heatmap(grid.shape, at[objects.labels == label], spread[objects.labels == label])
                        for label in range(len(self.categories))
                    ]
                )
            )
            cells.append(np.concatenate([np.full((len(at), 1), number), np.floor(at)], 1).astype(np.int64))
            boxes.append(_encoded(objects, at))
        return {
            "heatmap": stack_arrays(heats, device),
            "cell": torch.from_numpy(np.concatenate(cells)).to(device),
            "box": torch.from_numpy(np.concatenate(boxes)).float().to(device),
        }

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """``heatmap``: penalty-reduced focal loss over peaks; ``box``: mean absolute error, unknown velocities left
        out.
        """
        sample, row, column = targets["cell"].T
        predicted = outputs["box"][sample, :, row, column]
        wanted = targets["box"]
        known = torch.isfinite(wanted)
        error = torch.where(known, (predicted - wanted.nan_to_num()).abs(), 0)
        weight = error.new_tensor(BOX_LOSS_WEIGHTS)
        box = (error * weight).sum() / max(len(wanted), 1)
        return {"heatmap": focal_loss(outputs["heatmap"], targets["heatmap"]), "box": box}

    @torch.no_grad()
    def decode(
        self,
        outputs: dict[str, Tensor],
        grids: Sequence[MapGrid],
        grounds: Sequence[Ground],
        threshold: float = 0.05,
        most: int = 300,
    ) -> list[Detections]:
        """Peaks above a threshold, best first, as boxes in the world; one result a sample."""
        heat = outputs["heatmap"].sigmoid()
        peaks = heat * (functional.max_pool2d(heat, 3, 1, 1) == heat)
        results = []
        for number, (grid, ground) in enumerate(zip(grids, grounds, strict=True)):
            flat = peaks[number].flatten()
            scores, index = flat.topk(min(most, len(flat)))
            index, scores = index[scores >= threshold], scores[scores >= threshold]
            cells = grid.rows * grid.columns
            label = (index // cells).cpu().numpy()
            row, column = index % cells // grid.columns, index % grid.columns
            box = outputs["box"][number, :, row, column].T.cpu().numpy().astype(np.float64)
            at = np.stack([row.cpu().numpy(), column.cpu().numpy()], 1)
            boxes, velocities = _decoded(box, at, grid, ground)
            known = np.isfinite(boxes.centres[:, 2])  # off the terrain's data nothing can be placed
            found = Detections(
                boxes=boxes,
                velocities=velocities,
                categories=tuple(self.categories[i] for i in label),
                scores=scores.cpu().numpy().astype(np.float64),
                crs=grid.crs,
            )
            results.append(found.select(np.flatnonzero(known)))
        return results


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss of heatmaps, easier near a peak (CornerNet, arXiv 1808.01244), per peak."""
    probability = logits.sigmoid().clamp(1e-5, 1 - 1e-5)
    peak = wanted >= 1 - 1e-6
    positive = (1 - probability) ** 2 * probability.log()
    negative = (1 - wanted) ** 4 * probability**2 * (1 - probability).log()
    return -torch.where(peak, positive, negative).sum() / peak.sum().clamp(min=1)


def _encoded(objects: ObjectTargets, at: np.ndarray) -> np.ndarray:
    boxes = objects.boxes
    return np.concatenate(
        [
            at - np.floor(at) - 0.5,
            (boxes.centres[:, 2] - objects.ground.height(boxes.centres))[:, None],
            np.log(boxes.sizes),
            np.stack([turn(factor * boxes.yaws) for factor in (2, 1) for turn in (np.cos, np.sin)], 1),
            objects.velocities,
        ],
        1,
    )


def _decoded(box: np.ndarray, at: np.ndarray, grid: MapGrid, ground: Ground) -> tuple[Boxes, np.ndarray]:
    axis, heading = box[:, BOX_OFFSETS["axis"] :][:, :2], box[:, BOX_OFFSETS["heading"] :][:, :2]
    yaws = np.arctan2(axis[:, 1], axis[:, 0]) / 2
    backwards = heading[:, 0] * np.cos(yaws) + heading[:, 1] * np.sin(yaws) < 0
    yaws = np.where(backwards, yaws + np.pi, yaws)
    position = grid.world_from_cells(at + 0.5 + np.clip(box[:, :2], -1, 1))
    boxes = Boxes(
        np.concatenate([position, (box[:, 2] + ground.height(position))[:, None]], 1),
        np.exp(np.clip(box[:, 3:6], -3, 4)),
        yaws,
    )
    return boxes, box[:, BOX_OFFSETS["velocity"] :]

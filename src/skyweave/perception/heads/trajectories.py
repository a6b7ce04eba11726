"""Trajectory prediction of every object: several modes with probabilities, around constant velocity.

Features are read at an object's position on the map, so an object that nobody asks about costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.core.geometry.grid import MapGrid
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
from skyweave.perception.heads.box_encoding import batch_cells, velocities_at
from skyweave.perception.heads.trajectory_evaluator import TrajectoryEvaluator
from skyweave.perception.neck import convolution
from skyweave.perception.results import Detections, Trajectories
from skyweave.perception.results.scene import DETECTION, TRAJECTORIES
from skyweave.perception.targets import ObjectTargets

NEIGHBOUR_CELLS = ((0, 0), (0, 3), (0, -3), (3, 0), (-3, 0))  # row, column about an object, read with it
HIDDEN_CHANNELS = 128
VELOCITY_SCALE = 10.0  # metres per second that the network sees as 1
MIN_FORECAST_SCORE = 0.15  # score of a box from which its trajectory is predicted


@dataclass(frozen=True)
class TrajectoryHeadConfig(PerceptionHeadConfig):
    """Options of the trajectory head.

    Attributes:
        modes: alternatives for each object's trajectory.
    """

    modes: int = 3


class TrajectoryHead(PerceptionHead):
    """Output ``map`` (batch, channels, rows, columns), which `predict_at` reads for objects.

    Args:
        config: of the model.
    """

    name = TRAJECTORIES
    config_class = TrajectoryHeadConfig
    reads = (DETECTION,)

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__(config)
        channels = config.trunk[0]
        self.modes = cast(TrajectoryHeadConfig, config.heads[self.name]).modes
        self.horizon, self.interval = config.horizon, config.interval
        self.shared = convolution(channels, channels)
        self.num_categories = len(config.categories)
        inputs = len(NEIGHBOUR_CELLS) * channels + self.num_categories + 4
        self.predict = nn.Sequential(
            nn.Linear(inputs, HIDDEN_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_CHANNELS, HIDDEN_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_CHANNELS, self.modes * (2 * self.horizon + 1)),
        )

    def forward(self, maps: Tensor) -> HeadOutputs:
        """Return the map that `predict_at` reads.

        Args:
            maps: (batch, channels, rows, columns).
        """
        return {"map": self.shared(maps).float()}

    def predict_at(
        self, shared: Tensor, cells: Tensor, velocities: Tensor, yaws: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (m, modes, horizon, 2) metres from constant velocity and (m, modes) logits of m objects.

        Args:
            shared: (batch, channels, rows, columns) ``map``.
            cells: (m, 3) sample, fractional row and column.
            velocities: (m, 2) metres per second, as detected.
            yaws: (m,) radians.
            labels: (m,) category.
        """
        features = _read_neighbourhoods(shared, cells)
        category = functional.one_hot(labels, self.num_categories).to(features.dtype)
        heading = torch.stack([yaws.cos(), yaws.sin()], 1).to(features.dtype)
        speed = velocities.to(features.dtype) / VELOCITY_SCALE
        predicted = self.predict(torch.cat([features, category, heading, speed], 1)).float()
        offset, logits = predicted.split([2 * self.modes * self.horizon, self.modes], 1)
        return offset.unflatten(1, (self.modes, self.horizon, 2)), logits

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> HeadOutputs:
        """Return of all m objects ``cell`` (m, 3), ``yaw``, ``label``, ``path`` and ``known``.

        ``path`` (m, horizon, 2) is in metres from where the object is, ``known`` (m, horizon) says where it is known.

        Args:
            samples: objects of each sample.
            device: of the targets.
        """
        cells, yaws, labels, paths = [], [], [], []
        for number, sample in enumerate(samples):
            objects = sample.trainable()
            cells.append(batch_cells(number, sample.grid.cells_from_world(objects.boxes.centres)))
            yaws.append(objects.boxes.yaws)
            labels.append(objects.labels)
            paths.append(objects.future - objects.boxes.centres[:, None, :2])
        path = torch.from_numpy(np.concatenate(paths)).float().to(device)
        return {
            "cell": torch.from_numpy(np.concatenate(cells)).float().to(device),
            "yaw": torch.from_numpy(np.concatenate(yaws)).float().to(device),
            "label": torch.from_numpy(np.concatenate(labels)).long().to(device),
            "path": path.nan_to_num(),
            "known": torch.isfinite(path).all(-1),
        }

    def loss(self, outputs: ModelOutputs, targets: HeadOutputs) -> dict[str, Tensor]:
        """Return the losses ``path``, ``expected`` and ``mode``.

        They are smooth L1 of the best mode; of all modes by probability, which makes the most probable one good by
        itself; and the cross-entropy of which mode is best. Objects start with the velocity that the detection
        head predicts at their cells, 0 without one.

        Args:
            outputs: of all heads.
            targets: from `targets`.
        """
        shared = outputs[self.name]["map"]
        if not len(targets["cell"]):
            nothing = shared.sum() * 0
            return {"path": nothing, "expected": nothing, "mode": nothing}
        velocities = velocities_at(outputs.get(DETECTION, {}).get("box"), targets["cell"])
        offset, logits = self.predict_at(shared, targets["cell"], velocities, targets["yaw"], targets["label"])
        path = offset + self.constant_velocity(velocities)[:, None]
        known = targets["known"][:, None, :, None]
        expected_path = targets["path"][:, None].expand_as(path)
        error = torch.where(known, functional.smooth_l1_loss(path, expected_path, reduction="none"), 0)
        error = error.sum((2, 3)) / known.sum((2, 3)).clamp(min=1)
        counted = targets["known"].any(1)
        best = error.argmin(1)
        total = counted.sum().clamp(min=1)
        entropy = functional.cross_entropy(logits, best, reduction="none")
        return {
            "path": torch.where(counted, error.gather(1, best[:, None])[:, 0], 0).sum() / total,
            "expected": torch.where(counted, (error * logits.softmax(1)).sum(1), 0).sum() / total,
            "mode": torch.where(counted, entropy, 0).sum() / total,
        }

    def constant_velocity(self, velocities: Tensor) -> Tensor:
        """Return (m, horizon, 2) metres from where an object is if it keeps its velocity.

        Args:
            velocities: (m, 2) metres per second.
        """
        times = torch.arange(1, self.horizon + 1, device=velocities.device) * self.interval
        return velocities[:, None] * times[:, None].to(velocities.dtype)

    def decode(self, outputs: ModelOutputs, context: MapContext, results: BatchResults) -> list[Trajectories] | None:
        """Return of each sample the trajectories of its detections, in their order; None without detections.

        Args:
            outputs: of all heads.
            context: where the maps are.
            results: of the detection head.
        """
        if DETECTION not in results:
            return None
        return [
            self.forecast(outputs[self.name], number, boxes, grid)
            for number, (boxes, grid) in enumerate(zip(results[DETECTION], context.grids, strict=True))
        ]

    @torch.no_grad()
    def forecast(self, outputs: HeadOutputs, number: int, boxes: Detections, grid: MapGrid) -> Trajectories:
        """Return the trajectories of the boxes with a score of at least `MIN_FORECAST_SCORE`, in their order.

        Args:
            outputs: of this head.
            number: of the sample in its batch.
            boxes: on its map, the detected ones or others.
            grid: the map.
        """
        boxes = boxes.select(np.flatnonzero(boxes.scores >= MIN_FORECAST_SCORE))
        seconds = self.interval * np.arange(1, self.horizon + 1)
        if len(boxes):
            modes, probabilities = self._predict_boxes(outputs["map"][number : number + 1], boxes, grid)
        else:
            modes, probabilities = np.zeros((0, self.modes, self.horizon, 2)), np.zeros((0, self.modes))
        return Trajectories(modes, probabilities, seconds, boxes.categories, crs=grid.crs, time=boxes.time)

    def _predict_boxes(self, shared: Tensor, boxes: Detections, grid: MapGrid) -> tuple[np.ndarray, np.ndarray]:
        """World positions (m, modes, horizon, 2) and probabilities (m, modes) of boxes on the map of one sample."""
        centres = boxes.boxes.centres
        labels = np.array([self.config.categories.index(name) for name in boxes.categories], int)
        velocities = torch.from_numpy(boxes.velocities).float().to(shared.device)
        offset, logits = self.predict_at(
            shared,
            torch.from_numpy(batch_cells(0, grid.cells_from_world(centres))).float().to(shared.device),
            velocities,
            torch.from_numpy(boxes.boxes.yaws).float().to(shared.device),
            torch.from_numpy(labels).long().to(shared.device),
        )
        path = (offset + self.constant_velocity(velocities)[:, None]).double().cpu().numpy()
        return path + centres[:, None, None, :2], logits.softmax(1).double().cpu().numpy()

    def evaluator(self, tracks: bool = False) -> HeadEvaluator:
        """Return a new evaluator of displacement errors.

        Args:
            tracks: not used.
        """
        return TrajectoryEvaluator(self.config.categories)


def _read_neighbourhoods(shared: Tensor, cells: Tensor) -> Tensor:
    """(m, neighbours * channels): the map (batch, channels, rows, columns) at and around cells (m, 3), bilinearly."""
    batch, _, rows, columns = shared.shape
    sample = cells[:, 0].long()
    within = functional.one_hot(sample, batch).cumsum(0).gather(1, sample[:, None])[:, 0] - 1  # number in its sample
    points = cells.new_zeros(batch, int(within.max()) + 1 if len(within) else 0, len(NEIGHBOUR_CELLS), 2)
    points[sample, within] = cells[:, None, 1:] + cells.new_tensor(NEIGHBOUR_CELLS)
    points = (points / cells.new_tensor([rows, columns]) * 2 - 1).flip(-1)
    read = functional.grid_sample(shared, points, padding_mode="border", align_corners=False)
    return read.permute(0, 2, 3, 1)[sample, within].flatten(1)

"""Trajectory prediction of every object: several futures with probabilities, around constant velocity.

Features are read at an object's place on the map, so an object that nobody asks about costs nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.neck import convolution
from skyweave.perception.targets import ObjectTargets

NEIGHBOUR_CELLS = ((0, 0), (0, 3), (0, -3), (3, 0), (-3, 0))  # cells about an object that are read with it


class TrajectoryHead(nn.Module):
    """``forward`` gives ``map``; ``at`` reads it for objects: ``offset`` (m, modes, horizon, 2), metres from constant
    velocity, and ``mode`` (m, modes) logits.
    """

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__()
        channels = config.trunk[0]
        self.modes, self.horizon, self.interval = config.modes, config.horizon, config.interval
        self.shared = convolution(channels, channels)
        inputs = len(NEIGHBOUR_CELLS) * channels + len(config.categories) + 4
        self.categories = len(config.categories)
        self.predict = nn.Sequential(
            nn.Linear(inputs, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, self.modes * (2 * self.horizon + 1)),
        )

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """(batch, channels, rows, columns) to the map that ``at`` reads."""
        return {"map": self.shared(maps).float()}

    def at(self, shared: Tensor, cells: Tensor, velocities: Tensor, yaws: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Predict for objects.

        Args:
            shared: (batch, channels, rows, columns).
            cells: (m, 3) sample, fractional row and column.
            velocities: (m, 2) metres per second, as detected; yaws: (m,); labels: (m,) category.
        """
        features = _read(shared, cells)
        kind = functional.one_hot(labels, self.categories).to(features.dtype)
        heading = torch.stack([yaws.cos(), yaws.sin()], 1).to(features.dtype)
        predicted = self.predict(torch.cat([features, kind, heading, velocities.to(features.dtype) / 10], 1)).float()
        offset, mode = predicted.split([2 * self.modes * self.horizon, self.modes], 1)
        return {"offset": offset.unflatten(1, (self.modes, self.horizon, 2)), "mode": mode}

    def targets(self, samples: Sequence[ObjectTargets], device: torch.device) -> dict[str, Tensor]:
        """Of all m objects with a known future: ``cell`` (m, 3), ``yaw``, ``label``, ``path`` (m, horizon, 2) metres
        from where the object is, and ``known`` (m, horizon).
        """
        cells, yaws, labels, paths = [], [], [], []
        for number, sample in enumerate(samples):
            objects = sample.trainable()
            at = sample.grid.cells_from_world(objects.boxes.centres)
            cells.append(np.concatenate([np.full((len(at), 1), number), at], 1))
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

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor], velocities: Tensor) -> dict[str, Tensor]:
        """``path``: smooth absolute error of the best mode; ``expected``: of all, by their probabilities, so that the
        most probable one is good by itself; ``mode``: which one is the best.

        Args:
            outputs: of ``forward``.
            velocities: (m, 2) that the detector predicts at the objects' cells.
        """
        if not len(targets["cell"]):
            nothing = outputs["map"].sum() * 0
            return {"path": nothing, "expected": nothing, "mode": nothing}
        found = self.at(outputs["map"], targets["cell"], velocities, targets["yaw"], targets["label"])
        path = found["offset"] + self.constant_velocity(velocities)[:, None]
        known = targets["known"][:, None, :, None]
        error = torch.where(known, functional.smooth_l1_loss(path, _like(targets["path"], path), reduction="none"), 0)
        error = error.sum((2, 3)) / known.sum((2, 3)).clamp(min=1)
        counted = targets["known"].any(1)
        best = error.argmin(1)
        total = counted.sum().clamp(min=1)
        chosen = torch.where(counted, error.gather(1, best[:, None])[:, 0], 0).sum() / total
        entropy = functional.cross_entropy(found["mode"], best, reduction="none")
        mean = torch.where(counted, (error * found["mode"].softmax(1)).sum(1), 0).sum() / total
        return {"path": chosen, "expected": mean, "mode": torch.where(counted, entropy, 0).sum() / total}

    def constant_velocity(self, velocities: Tensor) -> Tensor:
        """(m, horizon, 2) metres from where an object is if it keeps its velocity (m, 2)."""
        times = torch.arange(1, self.horizon + 1, device=velocities.device) * self.interval
        return velocities[:, None] * times[:, None].to(velocities.dtype)

    @torch.no_grad()
    def decode(
        self,
        outputs: dict[str, Tensor],
        grid: MapGrid,
        number: int,
        centres: np.ndarray,
        yaws: np.ndarray,
        labels: np.ndarray,
        velocities: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """World positions (m, modes, horizon, 2) and probabilities (m, modes) of one sample's objects."""
        if not len(centres):
            return np.zeros((0, self.modes, self.horizon, 2)), np.zeros((0, self.modes))
        device = outputs["map"].device
        at = np.concatenate([np.full((len(centres), 1), 0.0), grid.cells_from_world(centres)], 1)
        speed = torch.from_numpy(velocities).float().to(device)
        found = self.at(
            outputs["map"][number : number + 1],
            torch.from_numpy(at).float().to(device),
            speed,
            torch.from_numpy(yaws).float().to(device),
            torch.from_numpy(labels).long().to(device),
        )
        path = (found["offset"] + self.constant_velocity(speed)[:, None]).double().cpu().numpy()
        return path + centres[:, None, None, :2], found["mode"].softmax(1).double().cpu().numpy()


def _read(shared: Tensor, cells: Tensor) -> Tensor:
    """(m, neighbours * channels): the map (batch, channels, rows, columns) at and around cells (m, 3), bilinearly."""
    batch, _, rows, columns = shared.shape
    sample = cells[:, 0].long()
    within = functional.one_hot(sample, batch).cumsum(0).gather(1, sample[:, None])[:, 0] - 1  # number in its sample
    place = cells.new_zeros(batch, int(within.max()) + 1 if len(within) else 0, len(NEIGHBOUR_CELLS), 2)
    place[sample, within] = cells[:, None, 1:] + cells.new_tensor(NEIGHBOUR_CELLS)
    place = (place / cells.new_tensor([rows, columns]) * 2 - 1).flip(-1)
    read = functional.grid_sample(shared, place, padding_mode="border", align_corners=False)
    return read.permute(0, 2, 3, 1)[sample, within].flatten(1)


def _like(wanted: Tensor, path: Tensor) -> Tensor:
    return wanted[:, None].expand_as(path)

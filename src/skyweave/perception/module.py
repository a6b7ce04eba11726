"""The training step of perception: all tasks at once, balanced by learned uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skyweave.mapping import Bins, depth_loss, depth_targets, ground_rays
from skyweave.perception.config import TASKS
from skyweave.perception.dataset import PerceptionBatch, PerceptionDataset, collate
from skyweave.perception.heads.detection import BOX_OFFSETS
from skyweave.perception.model import PerceptionModel, PlatformMaps
from skyweave.perception.targets import ObjectTargets
from skyweave.perception.views import Views
from skyweave.training.module import SkyweaveModule, StepLoss
from skyweave.training.optim import OptimiserConfig


@dataclass(frozen=True)
class PerceptionOptimiserConfig(OptimiserConfig):
    """AdamW with a warm-up and a cosine, on batches of samples.

    Attributes:
        batch: samples a step.
        backbone_rate: learning rate of the backbone over that of everything else.
    """

    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 5.0
    batch: int = 2
    backbone_rate: float = 0.3


@dataclass(frozen=True)
class PerceptionLossConfig:
    """Weights of the losses before the learned ones.

    Attributes:
        weights: by ``task/loss``, such as ``{detection/heatmap: 2.0}``; default 1.
        shared: what share of a task's gradient reaches the trunk and all before it; its head always has all. Paths of
            single objects pull at the trunk harder than the other tasks do, and in no common direction.
        balance: learn each task's weight from its uncertainty (Kendall et al., arXiv 1705.07115).
        depth: weight of the lift's cross-entropy where recordings know the depth (BEVDepth, arXiv 2206.10092); 0: not
            supervised.
    """

    weights: dict[str, float] = field(default_factory=dict)
    shared: dict[str, float] = field(default_factory=dict)
    balance: bool = True
    depth: float = 0.0

    def __post_init__(self) -> None:
        for task, share in self.shared.items():
            if task not in TASKS or not 0 <= share <= 1:
                raise ValueError(f"losses.shared: {task}: {share} must be one of {', '.join(TASKS)} and 0 to 1")


@dataclass(frozen=True)
class PlatformDropoutConfig:
    """Every step reads its maps twice: with all platforms, and with some of them, so that any number works later.

    Attributes:
        ego_only: probability that the second reading of a sample is its own platform's alone.
        drop: probability of each other platform to be left out of it otherwise.
    """

    ego_only: float = 0.5
    drop: float = 0.4


class PerceptionModule(SkyweaveModule[PerceptionBatch]):
    """A perception model under Lightning."""

    advice = "Lower optimiser.learning_rate, or look for broken poses or boxes in the recording"
    optimiser: PerceptionOptimiserConfig

    def __init__(
        self,
        model: PerceptionModel,
        optimiser: PerceptionOptimiserConfig,
        losses: PerceptionLossConfig,
        samples: PerceptionDataset | None = None,
        dropout: PlatformDropoutConfig | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__(optimiser)
        self.model, self.losses, self.samples = model, losses, samples
        self.dropout = dropout or PlatformDropoutConfig()
        self.workers = workers
        self.log_variance = nn.ParameterDict({task: torch.zeros(()) for task in model.config.tasks})

    def step_loss(self, batch: PerceptionBatch) -> StepLoss:
        """Return the balanced loss of a batch."""
        total, parts = self.loss(batch)
        return StepLoss(total, len(batch.samples), parts)

    def loss(self, batch: PerceptionBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and parts.

        Past moments are encoded without gradients: they cost half as much, and the present teaches the same weights.
        """
        model = self.model
        device = self.log_variance[model.config.tasks[0]].device
        present = torch.from_numpy(batch.present).to(device)
        observed: list[PlatformMaps] = []
        for moment, views in enumerate(batch.frames, start=1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and moment == len(batch.frames)):
                observed.append(model.observe(views.to(device)))
        fused = [model.fuse(maps) for maps in observed]
        objects = [sample.objects.observed_by(np.arange(len(sample.platforms))) for sample in batch.samples]
        if batch.frames[0].platforms > 1 and model.config.fusion != "own":
            kept = self._kept(batch)
            dropped = torch.from_numpy(~kept).to(device)
            partly = [model.fuse(maps.without(dropped)) for maps in observed]
            fused = [torch.cat(pair) for pair in zip(fused, partly, strict=True)]
            present = present.repeat(2, 1)
            objects += [
                sample.objects.observed_by(mask[: len(sample.platforms)])
                for sample, mask in zip(batch.samples, kept, strict=True)
            ]
        outputs = model.perceive(fused, present, self.losses.shared)
        parts = task_losses(model, outputs, objects)
        total = outputs[model.config.tasks[0]][next(iter(outputs[model.config.tasks[0]]))].sum() * 0.0
        for task in model.config.tasks:
            own = [self.losses.weights.get(name, 1.0) * v for name, v in parts.items() if name.startswith(task + "/")]
            value = torch.stack(own).sum()
            if self.losses.balance:
                variance = self.log_variance[task]
                value = value * (-variance).exp() + variance
            total = total + value
        if self.losses.depth:
            parts["lift/depth"] = lift_loss(model.lift.bins, batch.frames[-1], observed[-1])
            total = total + self.losses.depth * parts["lift/depth"]
        return total, parts

    def _kept(self, batch: PerceptionBatch) -> np.ndarray:
        """(samples, platforms) bool: a function of seed and step."""
        shape = (len(batch.samples), batch.frames[0].platforms)
        seed = self.samples.seed if self.samples else 0
        generator = np.random.default_rng([seed, self.global_step, self.global_rank])
        kept = generator.random(shape) >= self.dropout.drop
        kept &= generator.random((shape[0], 1)) >= self.dropout.ego_only
        kept[:, 0] = True
        return kept

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters, those of the backbone with a smaller learning rate."""
        chosen = self.optimiser
        inside = {id(p) for p in self.model.backbone.parameters()}
        slow = [p for p in self.parameters() if id(p) in inside]
        others = [p for p in self.parameters() if id(p) not in inside]
        return [(slow, chosen.learning_rate * chosen.backbone_rate), (others, chosen.learning_rate)]

    def train_dataloader(self) -> "DataLoader[Any]":
        """Return the batches from where the run stands: Lightning's hook."""
        assert self.samples is not None
        return self.resumable_loader(self.samples, self.optimiser.batch, collate, self.samples.seed, self.workers)

    def transfer_batch_to_device(
        self, batch: PerceptionBatch, device: torch.device, dataloader_idx: int
    ) -> PerceptionBatch:
        """Pictures are moved when they are used."""
        return batch


def task_losses(model: PerceptionModel, outputs: dict[str, Any], objects: Sequence[ObjectTargets]) -> dict[str, Tensor]:
    """Every head's losses by ``task/loss``."""
    parts: dict[str, Tensor] = {}
    for task, head in model.heads.items():
        device = next(iter(outputs[task].values())).device
        targets = head.targets(objects, device)  # type: ignore[operator]
        if task == "trajectories":
            found = head.loss(outputs[task], targets, _velocities(outputs, targets))  # type: ignore[operator]
        else:
            found = head.loss(outputs[task], targets)  # type: ignore[operator]
        parts |= {f"{task}/{name}": value for name, value in found.items()}
    return parts


def lift_loss(bins: Bins, views: Views, maps: PlatformMaps) -> Tensor:
    """Mean cross-entropy of the lift's depths at the middle of each feature cell, where a picture's depth is known."""
    losses = []
    for logits, cameras, depths, of in zip(maps.depth, views.cameras, views.depths, views.maps, strict=True):
        shape = (logits.shape[-2], logits.shape[-1])
        for one, camera, depth, number in zip(logits, cameras, depths, of, strict=True):
            if depth is None:
                continue
            row = ((np.arange(shape[0]) + 0.5) * depth.shape[0] / shape[0]).astype(int)
            column = ((np.arange(shape[1]) + 0.5) * depth.shape[1] / shape[1]).astype(int)
            truth = torch.from_numpy(depth[row[:, None], column]).double().to(one.device)
            rays = ground_rays(camera, views.grounds[number // views.platforms], shape, one.device)
            targets, mask = depth_targets(bins.depths(rays).unflatten(0, shape), truth)
            losses.append(depth_loss(one[None].float(), targets[None], mask[None]))
    return torch.stack(losses).mean() if losses else maps.features.sum() * 0


def _velocities(outputs: dict[str, Any], targets: dict[str, Tensor]) -> Tensor:
    """(m, 2) that the detector says where the objects are; zero without a detector."""
    cells = targets["cell"]
    if "detection" not in outputs:
        return cells.new_zeros(len(cells), 2)
    sample, row, column = cells.long().T
    velocity: Tensor = outputs["detection"]["box"][sample, BOX_OFFSETS["velocity"] :, row, column].detach()
    return velocity

"""The training step of perception: all heads at once, balanced by learned uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skyweave.core.errors import ConfigError
from skyweave.mapping import Bins, depth_loss, depth_targets, ground_rays
from skyweave.perception.batch import PerceptionBatch, collate
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.heads import HEADS
from skyweave.perception.heads.base import HeadOutputs
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
        weights: by ``head/loss``, such as ``{detection/heatmap: 2.0}``; default 1.
        gradient_scale: by head, the share of its gradient that reaches the bird's-eye-view encoder and all before it;
            the head itself always has all. Trajectories of single objects pull at the encoder harder than the other
            heads do, and in no common direction.
        balance: learn each head's weight from its uncertainty (Kendall et al., arXiv 1705.07115).
        depth: weight of the lift's cross-entropy where recordings know the depth (BEVDepth, arXiv 2206.10092); 0: not
            supervised.
    """

    weights: dict[str, float] = field(default_factory=dict)
    gradient_scale: dict[str, float] = field(default_factory=dict)
    balance: bool = True
    depth: float = 0.0

    def __post_init__(self) -> None:
        for head, scale in self.gradient_scale.items():
            if head not in HEADS or not 0 <= scale <= 1:
                raise ConfigError(
                    f"losses.gradient_scale: {head}: {scale} must be one of {', '.join(HEADS)} and 0 to 1"
                )


@dataclass(frozen=True)
class PlatformDropoutConfig:
    """Every step fuses its maps twice, with all platforms and with some of them, so that any number works later.

    Attributes:
        ego_only: probability that the second fusion of a sample is of its ego platform alone.
        drop: probability of each other platform to be left out of it otherwise.
        base_maps: probability of each base map to be left out of it, whatever happens to platforms.
    """

    ego_only: float = 0.5
    drop: float = 0.4
    base_maps: float = 0.5


class PerceptionModule(SkyweaveModule[PerceptionBatch]):
    """The training step of a perception model.

    Args:
        model: to be trained.
        optimiser: optimiser and schedule.
        losses: weights of the losses.
        dataset: of the training; None where only `loss` is used.
        dropout: of platforms.
        workers: processes that prepare samples.
    """

    advice = "Lower optimiser.learning_rate, or look for broken poses or boxes in the recording"
    optimiser: PerceptionOptimiserConfig

    def __init__(
        self,
        model: PerceptionModel,
        optimiser: PerceptionOptimiserConfig,
        losses: PerceptionLossConfig,
        dataset: PerceptionDataset | None = None,
        dropout: PlatformDropoutConfig | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__(optimiser)
        self.model, self.losses, self.dataset = model, losses, dataset
        self.dropout = dropout or PlatformDropoutConfig()
        self.workers = workers
        self.log_variance = nn.ParameterDict({head: torch.zeros(()) for head in model.config.tasks})

    def step_loss(self, batch: PerceptionBatch) -> StepLoss:
        """Return the balanced loss of a batch.

        Args:
            batch: of samples.
        """
        total, parts = self.loss(batch)
        return StepLoss(total, len(batch.samples), parts)

    def loss(self, batch: PerceptionBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total, and the losses by ``head/loss``.

        Past frames are encoded without gradients: they cost half as much, and the present trains the same weights.

        Args:
            batch: of samples.
        """
        model = self.model
        device = next(iter(self.log_variance.values())).device
        present = torch.from_numpy(batch.present).to(device)
        base = None if batch.base_maps is None else model.observe(batch.base_maps.to(device))
        observed = _observe_frames(batch, model, device)
        fused = [model.fuse(maps) for maps in observed]
        objects = [sample.objects.observed_by(np.arange(len(sample.platforms))) for sample in batch.samples]
        if base is not None or (observed[0].visible.shape[1] > 1 and model.fusion.uses_peers):
            kept, base_maps = self._kept_platforms(batch)
            partly = [model.fuse(_keep(maps, kept)) for maps in observed]
            fused = [torch.cat(pair) for pair in zip(fused, partly, strict=True)]
            base = None if base is None else base.followed_by(_keep(base, base_maps))
            present = present.repeat(2, 1)
            objects += _observed_by(batch, kept)
        outputs = model.perceive(fused, present, self.losses.gradient_scale, base)
        parts = head_losses(model, outputs, objects)
        total = self._balance(outputs, parts)
        if self.losses.depth:
            parts["lift/depth"] = lift_loss(model.lift.bins, batch.frames[-1], observed[-1])
            total = total + self.losses.depth * parts["lift/depth"]
        return total, parts

    def _balance(self, outputs: dict[str, HeadOutputs], parts: dict[str, Tensor]) -> Tensor:
        """The sum over heads, each weighted by its learned uncertainty."""
        first = outputs[self.model.config.tasks[0]]
        total = first[next(iter(first))].sum() * 0.0  # depends on the outputs, also where no head has a loss
        for head in self.model.config.tasks:
            losses = [
                self.losses.weights.get(name, 1.0) * value
                for name, value in parts.items()
                if name.startswith(head + "/")
            ]
            value = torch.stack(losses).sum()
            if self.losses.balance:
                variance = self.log_variance[head]
                value = value * (-variance).exp() + variance
            total = total + value
        return total

    def _kept_platforms(self, batch: PerceptionBatch) -> tuple[np.ndarray, np.ndarray]:
        """(samples, platforms) and (samples, base maps) bool: a function of seed and step."""
        shape = (len(batch.samples), batch.frames[0].platforms)
        seed = self.dataset.seed if self.dataset else 0
        generator = np.random.default_rng([seed, self.global_step, self.global_rank])
        kept = generator.random(shape) >= self.dropout.drop
        kept &= generator.random((shape[0], 1)) >= self.dropout.ego_only
        kept[:, 0] = True
        slots = 0 if batch.base_maps is None else batch.base_maps.platforms
        base_maps = generator.random((shape[0], slots)) >= self.dropout.base_maps
        return kept, base_maps

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters, those of the backbone with a smaller learning rate."""
        config = self.optimiser
        of_backbone = {id(parameter) for parameter in self.model.backbone.parameters()}
        slow = [parameter for parameter in self.parameters() if id(parameter) in of_backbone]
        others = [parameter for parameter in self.parameters() if id(parameter) not in of_backbone]
        return [(slow, config.learning_rate * config.backbone_rate), (others, config.learning_rate)]

    def train_dataloader(self) -> "DataLoader[Any]":
        """Return the batches from where the run stands: Lightning's hook.

        Raises:
            ValueError: the module has no dataset.
        """
        if self.dataset is None:
            raise ValueError("a module without a dataset computes losses only; give it one to train")
        return self.resumable_loader(self.dataset, self.optimiser.batch, collate, self.dataset.seed, self.workers)

    def transfer_batch_to_device(
        self, batch: PerceptionBatch, device: torch.device, dataloader_idx: int
    ) -> PerceptionBatch:
        """Return the batch as it is: images are moved when they are used.

        Args:
            batch: of samples.
            device: not used.
            dataloader_idx: not used.
        """
        return batch


def _keep(maps: PlatformMaps, kept: np.ndarray) -> PlatformMaps:
    """Maps as if only some platforms, (samples, platforms) bool, were there."""
    return maps.drop_platforms(torch.from_numpy(~kept).to(maps.features.device))


def _observe_frames(batch: PerceptionBatch, model: PerceptionModel, device: torch.device) -> list[PlatformMaps]:
    """Observe each frame, with gradients through the last one alone."""
    observed: list[PlatformMaps] = []
    for number, views in enumerate(batch.frames, start=1):
        with torch.set_grad_enabled(torch.is_grad_enabled() and number == len(batch.frames)):
            observed.append(model.observe(views.to(device)))
    return observed


def head_losses(
    model: PerceptionModel, outputs: dict[str, HeadOutputs], objects: Sequence[ObjectTargets]
) -> dict[str, Tensor]:
    """Return every head's losses by ``head/loss``.

    Args:
        model: that made the outputs.
        outputs: of its heads, (batch, ...) each.
        objects: of each sample of the batch.
    """
    parts: dict[str, Tensor] = {}
    for name, head in model.heads.items():
        device = next(iter(outputs[name].values())).device
        losses = head.loss(outputs, head.targets(objects, device))
        parts |= {f"{name}/{loss}": value for loss, value in losses.items()}
    return parts


def _observed_by(batch: PerceptionBatch, kept: np.ndarray) -> list[ObjectTargets]:
    """The objects of each sample, observed being what its kept platforms, (samples, platforms) bool, saw."""
    return [
        sample.objects.observed_by(mask[: len(sample.platforms)])
        for sample, mask in zip(batch.samples, kept, strict=True)
    ]


def lift_loss(bins: Bins, views: Views, maps: PlatformMaps) -> Tensor:
    """Return the mean cross-entropy of the lift's depths at the centre of each feature cell, where depths are known.

    Args:
        bins: of the lift.
        views: of one frame of a batch, with depths.
        maps: that were lifted from these views.
    """
    losses = []
    for logits, cameras, depths, indices in zip(maps.depth, views.cameras, views.depths, views.maps, strict=True):
        shape = (logits.shape[-2], logits.shape[-1])
        for image_logits, camera, depth, index in zip(logits, cameras, depths, indices, strict=True):
            if depth is None:
                continue
            row = ((np.arange(shape[0]) + 0.5) * depth.shape[0] / shape[0]).astype(int)
            column = ((np.arange(shape[1]) + 0.5) * depth.shape[1] / shape[1]).astype(int)
            truth = torch.from_numpy(depth[row[:, None], column]).double().to(image_logits.device)
            rays = ground_rays(camera, views.grounds[index // views.platforms], shape, image_logits.device)
            targets, mask = depth_targets(torch.unflatten(bins.depths(rays), 0, shape), truth)
            losses.append(depth_loss(image_logits[None].float(), targets[None], mask[None]))
    return torch.stack(losses).mean() if losses else maps.features.sum() * 0

"""The training step of collaboration."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from skyweave.collaboration.batches import CollaborationBatch, CollaborationDataset, collate_batches
from skyweave.collaboration.config import CollaborationLossConfig
from skyweave.collaboration.model import CollaborativeModel
from skyweave.core.errors import ConfigError
from skyweave.perception.module import PerceptionOptimiserConfig, head_losses
from skyweave.training.module import SkyweaveModule, StepLoss

LOSS_MEAN_DECAY = 0.95  # of a loss's mean from step to step


class CollaborationModule(SkyweaveModule[CollaborationBatch]):
    """A collaborative model under Lightning."""

    optimiser: PerceptionOptimiserConfig

    def __init__(
        self,
        model: CollaborativeModel,
        optimiser: PerceptionOptimiserConfig,
        losses: CollaborationLossConfig,
        moments: CollaborationDataset | None = None,
        reader_rate: float = 0.0,
        workers: int = 0,
    ) -> None:
        super().__init__(optimiser)
        self.reader_rate, self.workers = reader_rate, workers
        if reader_rate:
            for part in (model.perception.memory, model.perception.trunk, model.perception.heads):
                part.requires_grad_(True)
        self.model, self.losses, self.moments = model, losses, moments
        tasks = model.perception.config.tasks
        unknown = sorted(set(losses.active_tasks) - set(tasks))
        if unknown:
            raise ConfigError(f"losses.active_tasks names {unknown[0]!r}; the perception model has {', '.join(tasks)}")
        self.tasks = losses.active_tasks or tasks
        for task in self.tasks:
            self.register_buffer(f"usual_{task}", torch.zeros(()))

    def step_loss(self, batch: CollaborationBatch) -> StepLoss:
        """Return the loss of a batch."""
        total, parts = self.loss(batch)
        return StepLoss(total, len(batch.samples), parts)

    def loss(self, moments: CollaborationBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and parts."""
        model, weights = self.model, self.losses
        exchanged = model.exchange(moments)
        parts: dict[str, Tensor] = {}
        total = moments.own.new_zeros(())
        if weights.distillation:
            wanted = model.teacher(moments)
            parts["distillation"] = torch.stack(
                [_distance(*pair) for pair in zip(exchanged.fused, wanted, strict=True)]
            ).mean()
            total = total + weights.distillation * parts["distillation"]
        if weights.tasks:
            outputs = model.perception.perceive(exchanged.fused, moments.present)
            found = head_losses(model.perception, outputs, [sample.objects for sample in moments.samples])
            parts |= {name: value for name, value in found.items() if name.split("/")[0] in self.tasks}
            for task in self.tasks:
                own = torch.stack([value for name, value in found.items() if name.startswith(task + "/")]).sum()
                total = total + weights.tasks * own / self._usual(task, own)
        if model.sends_features:
            parts["bits"] = exchanged.bits
            total = total + weights.rate * exchanged.bits
        decoded = exchanged.decoded
        if decoded is not None and decoded.logits is not None:
            guess = functional.binary_cross_entropy_with_logits(decoded.logits.float(), exchanged.visible.float())
            parts["visible"] = guess
            total = total + weights.visible * guess
        return total, parts

    def _usual(self, task: str, value: Tensor) -> Tensor:
        """A task's loss as it has been: in these units all tasks weigh the same, whatever their scale."""
        usual = self.get_buffer(f"usual_{task}")
        if self.training:
            share = LOSS_MEAN_DECAY if bool(usual > 0) else 0.0
            usual.mul_(share).add_((1 - share) * value.detach().float())
        return usual.clamp(min=1e-3) if bool(usual > 0) else value.detach().clamp(min=1e-3)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters, those of perception (of which at most the reader is trained) with a smaller rate."""
        rate = self.optimiser.learning_rate
        perception = {id(p) for p in self.model.perception.parameters()} if self.reader_rate else set()
        shared = [p for p in self.model.parameters() if id(p) not in perception]
        reader = [p for p in self.model.parameters() if id(p) in perception]
        return [(shared, rate), (reader, rate * self.reader_rate)]

    def train_dataloader(self) -> "DataLoader[Any]":
        """Return the batches from where the run stands: Lightning's hook."""
        assert self.moments is not None
        return self.resumable_loader(
            self.moments, self.optimiser.batch, collate_batches, self.moments.seed, self.workers
        )


def _distance(fused: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance of maps in units of the wanted one's spread; cells that carry much count more."""
    fused, wanted = fused.float(), wanted.float()
    weight = 0.1 + wanted.square().mean(1, keepdim=True) / wanted.square().mean().clamp(min=1e-8)
    error = ((fused - wanted).square() * weight.clamp(max=10)).mean()
    return error / (wanted.var().clamp(min=1e-8) * weight.clamp(max=10).mean())

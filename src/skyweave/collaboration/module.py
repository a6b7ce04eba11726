"""The training step of collaboration."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from skyweave.collaboration.batches import CollaborationBatch, CollaborationDataset, collate_batches
from skyweave.collaboration.config import CollaborationLossConfig
from skyweave.collaboration.model import CollaborativeModel, ExchangeResult
from skyweave.core.errors import ConfigError
from skyweave.perception.module import PerceptionOptimiserConfig, head_losses
from skyweave.training.module import SkyweaveModule, StepLoss

LOSS_MEAN_DECAY = 0.95  # of a loss's mean from step to step


class CollaborationModule(SkyweaveModule[CollaborationBatch]):
    """A collaborative model under Lightning.

    Args:
        model: to be trained; its perception stays as it is but for the reader.
        optimiser: steps, rates and batch.
        losses: weights of the losses.
        dataset: of training; None where only losses are asked for.
        reader_rate: learning rate of what reads the fused map (memory, trunk and heads), in that of everything else;
            0: it stays as it is.
        workers: processes that prepare samples besides.

    Raises:
        ConfigError: ``losses.active_tasks`` names a task that the perception model does not have.
    """

    optimiser: PerceptionOptimiserConfig

    def __init__(
        self,
        model: CollaborativeModel,
        optimiser: PerceptionOptimiserConfig,
        losses: CollaborationLossConfig,
        dataset: CollaborationDataset | None = None,
        reader_rate: float = 0.0,
        workers: int = 0,
    ) -> None:
        super().__init__(optimiser)
        self.reader_rate, self.workers = reader_rate, workers
        _train_reader(reader_rate, model)
        self.model, self.losses, self.dataset = model, losses, dataset
        tasks = model.perception.config.tasks
        _check_tasks(losses, tasks)
        self.tasks = losses.active_tasks or tasks
        for task in self.tasks:
            self.register_buffer(f"usual_{task}", torch.zeros(()))

    def step_loss(self, batch: CollaborationBatch) -> StepLoss:
        """Return the loss of a batch.

        Args:
            batch: maps of all platforms.
        """
        total, parts = self.loss(batch)
        return StepLoss(total, len(batch.samples), parts)

    def loss(self, batch: CollaborationBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and the parts that it is made of, by their names in the log.

        Args:
            batch: maps of all platforms.
        """
        exchanged = self.model.exchange(batch)
        parts: dict[str, Tensor] = {}
        total = batch.ego.new_zeros(())
        if self.losses.distillation:
            parts["distillation"] = self._distillation(batch, exchanged)
            total = total + self.losses.distillation * parts["distillation"]
        if self.losses.tasks:
            by_head = self._head_losses(batch, exchanged)
            parts |= by_head
            for task in self.tasks:
                summed = torch.stack([value for name, value in by_head.items() if name.startswith(task + "/")]).sum()
                total = total + self.losses.tasks * summed / self._usual(task, summed)
        if self.model.sends_features:
            parts["bits"] = exchanged.bits
            total = total + self.losses.rate * exchanged.bits
        decoded = exchanged.decoded
        if decoded is not None and decoded.logits is not None:
            parts["visible"] = functional.binary_cross_entropy_with_logits(
                decoded.logits.float(), exchanged.visible.float()
            )
            total = total + self.losses.visible * parts["visible"]
        return total, parts

    def _distillation(self, batch: CollaborationBatch, exchanged: ExchangeResult) -> Tensor:
        """Return the distance between the fused maps and the teacher's."""
        pairs = zip(exchanged.fused, self.model.teacher_maps(batch), strict=True)
        return torch.stack([_distance(fused, target) for fused, target in pairs]).mean()

    def _head_losses(self, batch: CollaborationBatch, exchanged: ExchangeResult) -> dict[str, Tensor]:
        """Return the losses of the heads whose tasks count."""
        perception = self.model.perception
        outputs = perception.perceive(exchanged.fused, batch.present)
        by_head = head_losses(perception, outputs, [sample.objects for sample in batch.samples])
        return {name: value for name, value in by_head.items() if name.split("/")[0] in self.tasks}

    def _usual(self, task: str, value: Tensor) -> Tensor:
        """Return the running mean of a task's loss: in these units all tasks weigh the same, whatever their scale."""
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
        if self.dataset is None:
            raise ValueError("a module without a dataset has no batches")
        return self.resumable_loader(
            self.dataset, self.optimiser.batch, collate_batches, self.dataset.seed, self.workers
        )


def _train_reader(reader_rate: float, model: CollaborativeModel) -> None:
    """Let the parts that read the fused map learn."""
    if reader_rate:
        for part in (model.perception.memory, model.perception.trunk, model.perception.heads):
            part.requires_grad_(True)


def _check_tasks(losses: CollaborationLossConfig, tasks: tuple[str, ...]) -> None:
    """Check that the perception model has the tasks of the losses."""
    unknown = sorted(set(losses.active_tasks) - set(tasks))
    if unknown:
        raise ConfigError(f"losses.active_tasks names {unknown[0]!r}; the perception model has {', '.join(tasks)}")


def _distance(fused: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of maps in units of the target's variance; cells with much energy count more."""
    fused, target = fused.float(), target.float()
    weight = 0.1 + target.square().mean(1, keepdim=True) / target.square().mean().clamp(min=1e-8)
    error = ((fused - target).square() * weight.clamp(max=10)).mean()
    return error / (target.var().clamp(min=1e-8) * weight.clamp(max=10).mean())

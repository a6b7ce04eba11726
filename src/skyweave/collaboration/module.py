"""The training step of collaboration."""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from skyweave.collaboration.batches import CollaborationBatch, CollaborationDataset, collate_batches
from skyweave.collaboration.config import CollaborationLossConfig
from skyweave.collaboration.model import CollaborativeModel
from skyweave.core.errors import ConfigError
from skyweave.perception.module import PerceptionOptimiserConfig, task_losses
from skyweave.training.trainer import ResumableSampler, log_loss, make_optimiser

LOSS_MEAN_DECAY = 0.95  # of a loss's mean from step to step


class CollaborationModule(lightning.LightningModule):
    """A collaborative model under Lightning."""

    def __init__(
        self,
        model: CollaborativeModel,
        optimiser: PerceptionOptimiserConfig,
        losses: CollaborationLossConfig,
        moments: CollaborationDataset | None = None,
        reader_rate: float = 0.0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.reader_rate, self.workers = reader_rate, workers
        if reader_rate:
            for part in (model.perception.memory, model.perception.trunk, model.perception.heads):
                part.requires_grad_(True)
        self.model, self.optimiser, self.losses, self.moments = model, optimiser, losses, moments
        tasks = model.perception.config.tasks
        unknown = sorted(set(losses.active_tasks) - set(tasks))
        if unknown:
            raise ConfigError(f"losses.active_tasks names {unknown[0]!r}; the perception model has {', '.join(tasks)}")
        self.tasks = losses.active_tasks or tasks
        for task in self.tasks:
            self.register_buffer(f"usual_{task}", torch.zeros(()))

    def training_step(self, moments: CollaborationBatch, index: int) -> Tensor:
        """The loss of a batch."""
        total, parts = self.loss(moments)
        log_loss(self, total, parts, len(moments.samples))
        return total

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
            found = task_losses(model.perception, outputs, [sample.objects for sample in moments.samples])
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

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine over everything but perception, of which at most the reader learns, slower."""
        chosen = self.optimiser
        theirs = {id(p) for p in self.model.perception.parameters()} if self.reader_rate else set()
        ours = [p for p in self.model.parameters() if id(p) not in theirs]
        reader = [p for p in self.model.parameters() if id(p) in theirs]
        groups = [(ours, chosen.learning_rate), (reader, chosen.learning_rate * self.reader_rate)]
        return make_optimiser(groups, chosen.steps, chosen.warmup, chosen.weight_decay)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip by norm here: Lightning refuses to clip for fused optimisers."""
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], self.optimiser.clip)

    def train_dataloader(self) -> "DataLoader[Any]":
        """Batches from where the run stands; what a step has is a function of seed and step."""
        assert self.moments is not None
        start = self.global_step * self.optimiser.batch
        numbers = ResumableSampler(
            len(self.moments), start, self.optimiser.steps * self.optimiser.batch, self.moments.seed
        )
        return DataLoader(
            self.moments, self.optimiser.batch, sampler=numbers, collate_fn=collate_batches, num_workers=self.workers
        )

    def transfer_batch_to_device(
        self, batch: CollaborationBatch, device: torch.device, dataloader_idx: int
    ) -> CollaborationBatch:
        """As a whole, where the model is."""
        if device.type == "cpu":
            return batch
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(batch).items()}
        return CollaborationBatch(**moved)  # type: ignore[arg-type]


def _distance(fused: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance of maps in units of the wanted one's spread; cells that carry much count more."""
    fused, wanted = fused.float(), wanted.float()
    weight = 0.1 + wanted.square().mean(1, keepdim=True) / wanted.square().mean().clamp(min=1e-8)
    error = ((fused - wanted).square() * weight.clamp(max=10)).mean()
    return error / (wanted.var().clamp(min=1e-8) * weight.clamp(max=10).mean())

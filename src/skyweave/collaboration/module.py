"""The training step of collaboration."""

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from skyweave.collaboration.config import Losses
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.moments import Moments, TrainingMoments, collate
from skyweave.perception.module import OptimiserConfig, task_losses

KEPT = 0.95  # of a loss's mean from step to step


class CollaborationModule(lightning.LightningModule):
    """A collaborative model under Lightning."""

    def __init__(
        self,
        model: CollaborativeModel,
        optimiser: OptimiserConfig,
        losses: Losses,
        moments: TrainingMoments | None = None,
        reader_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.reader_rate = reader_rate
        if reader_rate:
            for part in (model.perception.memory, model.perception.trunk, model.perception.heads):
                part.requires_grad_(True)
        self.model, self.optimiser, self.losses, self.moments = model, optimiser, losses, moments
        tasks = model.perception.config.tasks
        unknown = sorted(set(losses.use) - set(tasks))
        if unknown:
            raise ValueError(f"losses.use names {unknown[0]!r}; the perception model has {', '.join(tasks)}")
        self.tasks = losses.use or tasks
        for task in self.tasks:
            self.register_buffer(f"usual_{task}", torch.zeros(()))

    def training_step(self, moments: Moments, index: int) -> Tensor:
        """The loss of a batch."""
        total, parts = self.loss(moments)
        if not torch.isfinite(total):
            broken = [name for name, value in parts.items() if not torch.isfinite(value)]
            raise FloatingPointError(
                f"the loss of {', '.join(broken)} is not finite at step {self.global_step}; the last checkpoint is "
                "kept. Lower optimiser.learning_rate"
            )
        self.log("loss", total.detach(), prog_bar=True, batch_size=len(moments.samples))
        self.log_dict({name: value.detach() for name, value in parts.items()}, batch_size=len(moments.samples))
        return total

    def loss(self, moments: Moments) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and parts."""
        model, weights = self.model, self.losses
        exchanged = model.exchange(moments)
        parts: dict[str, Tensor] = {}
        total = moments.own.new_zeros(())
        if weights.match:
            wanted = model.teacher(moments)
            parts["match"] = torch.stack(
                [_distance(*pair) for pair in zip(exchanged.fused, wanted, strict=True)]
            ).mean()
            total = total + weights.match * parts["match"]
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
            share = KEPT if bool(usual > 0) else 0.0
            usual.mul_(share).add_((1 - share) * value.detach().float())
        return usual.clamp(min=1e-3) if bool(usual > 0) else value.detach().clamp(min=1e-3)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine over everything but perception, of which at most the reader learns, slower."""
        chosen = self.optimiser
        theirs = {id(p) for p in self.model.perception.parameters()} if self.reader_rate else set()
        groups = []
        for reads in (False, True):
            peak = chosen.learning_rate * (self.reader_rate if reads else 1.0)
            mine = [p for p in self.model.parameters() if p.requires_grad and (id(p) in theirs) == reads]
            groups += [
                {"params": [p for p in mine if p.ndim > 1], "weight_decay": chosen.weight_decay, "lr": peak},
                {"params": [p for p in mine if p.ndim <= 1], "weight_decay": 0.0, "lr": peak},
            ]
        groups = [group for group in groups if group["params"]]
        optimiser = torch.optim.AdamW(groups, lr=chosen.learning_rate, betas=(0.9, 0.98), fused=True)

        def rate(step: int) -> float:
            return min(1.0, (step + 1) / max(1, chosen.warmup)) * 0.5 * (1 + math.cos(math.pi * step / chosen.steps))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip by norm here: Lightning refuses to clip for fused optimisers."""
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], self.optimiser.clip)

    def train_dataloader(self) -> "DataLoader[Any]":
        """Batches from where the run stands; what a step has is a function of seed and step."""
        assert self.moments is not None
        numbers = _Numbers(len(self.moments), self.global_step * self.optimiser.batch, self.moments.seed,
                           self.optimiser.steps * self.optimiser.batch)  # fmt: skip
        return DataLoader(self.moments, batch_size=self.optimiser.batch, sampler=numbers, collate_fn=collate)

    def transfer_batch_to_device(self, batch: Moments, device: torch.device, dataloader_idx: int) -> Moments:
        """As a whole, where the model is."""
        if device.type == "cpu":
            return batch
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(batch).items()}
        return Moments(**moved)  # type: ignore[arg-type]


def _distance(fused: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance of maps in units of the wanted one's spread; cells that carry much count more."""
    fused, wanted = fused.float(), wanted.float()
    weight = 0.1 + wanted.square().mean(1, keepdim=True) / wanted.square().mean().clamp(min=1e-8)
    error = ((fused - wanted).square() * weight.clamp(max=10)).mean()
    return error / (wanted.var().clamp(min=1e-8) * weight.clamp(max=10).mean())


class _Numbers(torch.utils.data.Sampler[int]):
    """Numbers of samples from ``start`` to ``stop``, each pass another permutation; has no length on purpose."""

    def __init__(self, length: int, start: int, seed: int, stop: int) -> None:
        self.length, self.start, self.seed, self.stop = length, start, seed, stop

    def __iter__(self) -> Any:
        order, drawn = torch.empty(0), -1
        for number in range(self.start, self.stop):
            epoch, place = divmod(number, self.length)
            if epoch != drawn:
                generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**63)
                order, drawn = torch.randperm(self.length, generator=generator), epoch
            yield epoch * self.length + int(order[place])

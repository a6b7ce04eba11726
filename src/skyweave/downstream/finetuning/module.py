"""One training: the Lightning module, its optimiser, and the callback that keeps what validates best."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.batches import BatchSource, LabelledBatch, StepDataset, iterate_batches
from skyweave.downstream.finetuning.config import TrainingConfig
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.scores import MAIN_METRIC, compute_scores
from skyweave.downstream.finetuning.tasks import Prediction, compute_loss, probabilities
from skyweave.downstream.labels.labelled_data import LabelledSample, Task

Log = Callable[[str], None]


@dataclass(frozen=True)
class Schedule:
    """The numbers of one training.

    Attributes:
        learning_rate: peak.
        layer_decay: the learning rate of a block is that of the one above it times this.
        seed: of the order of the samples.
    """

    steps: int
    learning_rate: float
    layer_decay: float = 1.0
    seed: int = 0


class FinetuneModule(lightning.LightningModule):
    """A model under Lightning."""

    def __init__(
        self,
        model: FinetunedModel,
        feed: BatchSource,
        training: TrainingConfig,
        schedule: Schedule,
        weights: Tensor | None,
    ) -> None:
        super().__init__()
        self.model, self.feed, self.training_config, self.schedule = model, feed, training, schedule
        self.class_weights = weights

    def training_step(self, batch: list[LabelledBatch], index: int) -> Tensor:
        """The mean loss of a batch. Raises ``ValueError`` where it is not finite."""
        count, dice = sum(len(part) for part in batch), self.training_config.dice
        weights = None if self.class_weights is None else self.class_weights.to(self.device)
        total = torch.zeros((), device=self.device)
        for part in batch:
            answer = batch_logits(self.model, part)
            targets = standardise_targets(self.model, part.targets)
            total = total + compute_loss(self.model.task, answer, targets, weights, dice) * len(part) / count
        if not torch.isfinite(total):
            raise ConfigError(
                f"{self.model.task.name}: the loss is {float(total.detach())} at step {self.global_step} with learning "
                f"rate {self.schedule.learning_rate:g}; use smaller learning rates, or look for broken pixels"
            )
        self.log("compute_loss", total.detach(), prog_bar=True, batch_size=count)
        return total

    def configure_optimizers(self) -> Any:
        """AdamW; matrices are decayed, deeper layers learn faster; warm-up and cosine."""
        training, schedule = self.training_config, self.schedule
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                decay = training.weight_decay if parameter.ndim > 1 else 0.0
                peak = schedule.learning_rate * _share(name, self.model, schedule.layer_decay)
                groups.setdefault((peak, decay), []).append(parameter)
        optimiser = torch.optim.AdamW(
            [{"params": own, "lr": peak, "weight_decay": decay} for (peak, decay), own in groups.items()],
            lr=schedule.learning_rate,
        )
        rising = max(1, round(training.warmup * schedule.steps))

        def rate(step: int) -> float:
            fallen = 0.5 * (1 + math.cos(math.pi * min(step, schedule.steps) / schedule.steps))
            return min(1.0, (step + 1) / rising) * max(fallen, 0.01)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip by norm."""
        nn.utils.clip_grad_norm_(
            [own for own in self.model.parameters() if own.requires_grad], self.training_config.clip
        )

    def train_dataloader(self) -> "DataLoader[Any]":
        """Batches from where the run stands, so that a resumed run sees what it would have seen."""
        steps = StepDataset(self.feed, self.training_config.batch, self.schedule.seed)
        return DataLoader(steps, batch_size=None, sampler=_Going(self.global_step, self.schedule.steps))

    def transfer_batch_to_device(
        self, batch: list[LabelledBatch], device: torch.device, dataloader_idx: int
    ) -> list[LabelledBatch]:
        """Every part moves itself."""
        return [part.to(device) for part in batch]


class _Going(Sampler[int]):
    """Steps from where a run stands; its length is that of the whole run, by which Lightning counts."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop


class BestWeightsCallback(Callback):
    """Scores validation now and then, keeps the best weights, and stops where they no longer get better.

    Args:
        start: the weights before the first step, and what they score: what a head could do already is not lost. None
            for weights that nothing has trained: their luck on a small validation part is no merit.
    """

    def __init__(
        self,
        validation: "Validator",
        start: tuple[tuple[float, float], dict[str, Tensor]] | None,
        every: int,
        last: int,
        patience: int,
        report: Log,
    ) -> None:
        self.validation, self.every, self.last, self.patience, self.report = validation, every, last, patience, report
        self.best, self.weights = start or ((-math.inf, -math.inf), {})
        self.waited = 0
        self.seen = 0
        self.history: list[list[float]] = [[0, self.best[0]]] if start else []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Lightning's hook."""
        step = trainer.global_step
        if step == self.seen or (step % self.every and step != self.last):
            return
        self.seen = step
        best = self.validation.measure(pl_module.model)
        score = best[0]
        self.history.append([step, score])
        pl_module.log("validation", score, batch_size=1)
        self.report(f"step {step} of {self.last}, validation {self.validation.name} {score:.3f}")
        if best > self.best or not self.weights:
            self.best, self.waited = best, 0
            self.weights = trained_state(pl_module.model)
        else:
            self.waited += 1
            trainer.should_stop = trainer.should_stop or self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Lightning's hook."""
        kept = ("best", "weights", "waited", "seen", "history")
        return {name: getattr(self, name) for name in kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning's hook."""
        for name, value in state_dict.items():
            setattr(self, name, tuple(value) if name == "best" else value)


@dataclass(frozen=True)
class Validator:
    """Samples to choose by, with the labels."""

    task: Task
    feed: BatchSource
    samples: Sequence[LabelledSample]
    batch: int

    @property
    def name(self) -> str:
        """Of the score."""
        return MAIN_METRIC[self.task.kind]

    @torch.no_grad()
    def measure(self, model: FinetunedModel) -> tuple[float, float]:
        """The score, and minus the mean loss: small validation parts tie on the score often, and the loss decides.

        A part without any positive label scores 0.
        """
        model.eval()
        device = model.target_mean.device
        found: dict[int, Prediction] = {}
        total = 0.0
        for part in iterate_batches(self.feed, self.batch):
            part = part.to(device)
            answer = batch_logits(model, part)
            total += float(compute_loss(self.task, answer, standardise_targets(model, part.targets))) * len(part)
            own = model.predictions(probabilities(self.task, answer))
            found.update(zip(part.indices, own, strict=True))
        model.train()
        score = compute_scores(self.task, [found[index] for index in range(len(found))], self.samples)[self.name]
        return (score if math.isfinite(score) else 0.0), -total / len(found)


@torch.no_grad()
def predict_samples(model: FinetunedModel, feed: BatchSource, batch: int) -> list[Prediction]:
    """A prediction for every sample of a feed, in order."""
    training = model.training
    model.eval()
    device = model.target_mean.device
    found: dict[int, Prediction] = {}
    for part in iterate_batches(feed, batch):
        part = part.to(device)
        if part.gathered is None:
            assert part.inputs is not None
            own = model.predictions(model.likelihoods(part.inputs))
        else:
            own = model.predictions(probabilities(model.task, batch_logits(model, part)))
        found.update(zip(part.indices, own, strict=True))
    model.train(training)
    return [found[index] for index in range(len(feed))]


def batch_logits(model: FinetunedModel, part: LabelledBatch) -> Tensor:
    """From images, or from what was gathered of them before."""
    if part.gathered is None:
        assert part.inputs is not None
        answer: Tensor = model(part.inputs)
        return answer
    assert isinstance(model.network, EncoderWithHead)
    gathered = tuple(own.float() if own.is_floating_point() else own for own in part.gathered)
    return model.network.answer(gathered, part.shape)


def standardise_targets(model: FinetunedModel, targets: Any) -> Any:
    """Values of a regression as the network answers them; other targets as they are."""
    return (targets - model.target_mean) / model.target_std if model.task.kind == "regression" else targets


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights that learn."""
    return {name: own.detach().clone() for name, own in model.named_parameters() if own.requires_grad}


def load_trained(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what `trained_state` gave."""
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


def _share(name: str, model: FinetunedModel, decay: float) -> float:
    """The part of the learning rate that a parameter has: heads 1, the topmost block ``decay``, and so on down."""
    if decay == 1.0 or not name.startswith("network.backbone."):
        return 1.0
    depth = 1 + max(
        (int(found[1]) for own, _ in model.named_parameters() if (found := re.search(r"\bblocks\.(\d+)\.", own))),
        default=-1,
    )
    found = re.search(r"\bblocks\.(\d+)\.", name)
    if found:
        return float(decay ** (depth - int(found[1])))
    return float(decay if ".norm." in name else decay ** (depth + 1))

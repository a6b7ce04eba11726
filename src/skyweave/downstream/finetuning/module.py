"""One training: the Lightning module, its optimiser, and the callback that keeps what validates best."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skyweave.downstream.finetuning.batches import BatchSource, LabelledBatch, StepDataset, iterate_batches
from skyweave.downstream.finetuning.config import TrainingConfig
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.scores import MAIN_METRIC, compute_scores
from skyweave.downstream.finetuning.tasks import Prediction, compute_loss, probabilities
from skyweave.downstream.labels.labelled_data import LabelledSample, Task
from skyweave.training.module import SkyweaveModule, StepLoss
from skyweave.training.optim import OptimiserConfig

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


class FinetuneModule(SkyweaveModule[list[LabelledBatch]]):
    """A model under Lightning."""

    fused = False

    def __init__(
        self,
        model: FinetunedModel,
        feed: BatchSource,
        training: TrainingConfig,
        schedule: Schedule,
        weights: Tensor | None,
    ) -> None:
        super().__init__(
            OptimiserConfig(
                steps=schedule.steps,
                learning_rate=schedule.learning_rate,
                warmup=max(1, round(training.warmup * schedule.steps)),
                weight_decay=training.weight_decay,
                betas=(0.9, 0.999),
                clip=training.clip,
                final_share=0.01,
            )
        )
        self.advice = (
            f"The learning rate of {model.task.name} was {schedule.learning_rate:g}: use smaller learning rates, or "
            "look for broken pixels"
        )
        self.model, self.feed, self.training_config, self.schedule = model, feed, training, schedule
        self.class_weights = weights

    def step_loss(self, batch: list[LabelledBatch]) -> StepLoss:
        """Return the mean loss of a batch.

        Args:
            batch: parts, each of samples of the same sensors and size.
        """
        count, dice = sum(len(part) for part in batch), self.training_config.dice
        weights = None if self.class_weights is None else self.class_weights.to(self.device)
        total = torch.zeros((), device=self.device)
        for part in batch:
            logits = batch_logits(self.model, part)
            targets = standardise_targets(self.model, part.targets)
            total = total + compute_loss(self.model.task, logits, targets, weights, dice) * len(part) / count
        return StepLoss(total, count)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters that are trained by their learning rate: deeper layers learn faster."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                share = _share(name, self.model, self.schedule.layer_decay)
                groups.setdefault(self.schedule.learning_rate * share, []).append(parameter)
        return [(parameters, rate) for rate, parameters in groups.items()]

    def train_dataloader(self) -> "DataLoader[Any]":
        """Return the batches from where the run stands: Lightning's hook."""
        return self.resumable_loader(StepDataset(self.feed, self.training_config.batch, self.schedule.seed))


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

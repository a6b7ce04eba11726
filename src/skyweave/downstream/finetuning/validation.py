"""Validation: the score by which a training is steered, and the callback that keeps the weights that score best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from skyweave.downstream.finetuning.batches import BatchSource, iterate_batches
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.module import Log, batch_logits, trained_state
from skyweave.downstream.finetuning.tasks.base import Prediction, Task
from skyweave.downstream.labels.sample import LabelledSample

Score = tuple[float, float]
"""Main score, and minus the mean loss, which decides where scores tie."""


@dataclass(frozen=True)
class Validator:
    """Samples to choose by, with the labels.

    A model that is trained with sensors left out is chosen by the mean over all sensors and all without each: what
    scores best with all of them may have forgotten how to do without one.

    Attributes:
        task: scores them.
        source: of the batches.
        samples: in the order of the source.
        batch: samples that are predicted together.
    """

    task: Task
    source: BatchSource
    samples: Sequence[LabelledSample]
    batch: int

    def measure(self, model: FinetunedModel) -> Score:
        """Return the main score, and minus the mean loss: small validation parts tie on the score often.

        A part without any positive label scores 0.

        Args:
            model: as trained so far; left in training mode.
        """
        model.eval()
        scores = [self._measure(model, kept) for kept in _kept_sensors(model)]
        model.train()
        return fmean(score for score, _ in scores), fmean(loss for _, loss in scores)

    @torch.no_grad()
    def _measure(self, model: FinetunedModel, kept: Tensor | None) -> Score:
        """Return the score with those sensors that are kept, (1, sensors) bool; None: all."""
        device = model.target_mean.device
        predictions: dict[int, Prediction] = {}
        total = 0.0
        for part in iterate_batches(self.source, self.batch):
            part = replace(part.to(device), kept=None if kept is None else kept.expand(len(part), -1))
            logits = batch_logits(model, part)
            total += float(model.loss(logits, part.targets)) * len(part)
            predictions.update(zip(part.indices, model.decode(self.task.probabilities(logits)), strict=True))
        ordered = [predictions[index] for index in range(len(predictions))]
        score = self.task.scores(ordered, self.samples)[self.task.main_metric]
        return (score if math.isfinite(score) else 0.0), -total / len(predictions)


def _kept_sensors(model: FinetunedModel) -> list[Tensor | None]:
    """Return which sensors a model is chosen by: all, and where it is trained with some left out, all but each."""
    network, count = model.network, len(model.sensors)
    if count == 1 or not (isinstance(network, EncoderWithHead) and network.config.leaves_out):
        return [None]
    return [None, *(~torch.eye(count, dtype=torch.bool)).split(1)]


class BestWeightsCallback(Callback):
    """Scores validation now and then, keeps the best weights, and stops where they no longer get better.

    Args:
        validator: scores the model.
        start: the weights before the first step, and what they score: what a head could do already is not lost. None
            for weights that nothing has trained: their luck on a small validation part is no merit.
        every: steps between evaluations.
        last_step: of the training, after which validation is scored in any case.
        patience: evaluations without a better score before training stops.
        log: called with a line for each evaluation.
    """

    def __init__(
        self,
        validator: Validator,
        start: tuple[Score, dict[str, Tensor]] | None,
        every: int,
        last_step: int,
        patience: int,
        log: Log,
    ) -> None:
        self.validator, self.every, self.last_step, self.patience = validator, every, last_step, patience
        self._log = log  # Lightning gives callbacks a `log` of its own
        self.best, self.weights = start or ((-math.inf, -math.inf), {})
        self.best_step = 0
        self.waited = 0
        self.seen = 0
        self.history: list[list[float]] = [[0, self.best[0]]] if start else []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Score, keep and perhaps stop: Lightning's hook.

        Args:
            trainer: of the run.
            pl_module: that is trained.
        """
        step = trainer.global_step
        if step == self.seen or (step % self.every and step != self.last_step):
            return
        self.seen = step
        score = self.validator.measure(pl_module.model)
        self.history.append([step, score[0]])
        pl_module.log("validation", score[0], batch_size=1)
        self._log(f"step {step} of {self.last_step}, validation {self.validator.task.main_metric} {score[0]:.3f}")
        if score > self.best or not self.weights:
            self.best, self.best_step, self.waited = score, step, 0
            self.weights = trained_state(pl_module.model)
        else:
            self.waited += 1
            trainer.should_stop = trainer.should_stop or self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: Lightning's hook."""
        names = ("best", "best_step", "weights", "waited", "seen", "history")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned: Lightning's hook.

        Args:
            state_dict: of the checkpoint.
        """
        for name, value in state_dict.items():
            setattr(self, name, tuple(value) if name == "best" else value)

"""One training: the Lightning module, and what it predicts of a batch."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skyweave.downstream.finetuning.batches import BatchSource, LabelledBatch, StepDataset, iterate_batches
from skyweave.downstream.finetuning.config import TrainingConfig
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.models.heads import HeadInputs
from skyweave.downstream.finetuning.tasks.base import Prediction
from skyweave.training.module import SkyweaveModule, StepLoss
from skyweave.training.optim import OptimiserConfig

Log = Callable[[str], None]
"""Called with a line now and then."""
BLOCK_NUMBER = re.compile(r"\bblocks\.(\d+)\.")


@dataclass(frozen=True)
class Schedule:
    """The numbers of one training.

    Attributes:
        steps: of the optimiser.
        learning_rate: peak.
        layer_decay: the learning rate of a block is that of the one above it times this.
        seed: of the order of the samples.
    """

    steps: int
    learning_rate: float
    layer_decay: float = 1.0
    seed: int = 0


class FinetuneModule(SkyweaveModule[list[LabelledBatch]]):
    """A model to be fine-tuned, under Lightning.

    Args:
        model: of which the parameters that require a gradient learn.
        source: of the training batches.
        training: optimiser and losses.
        schedule: steps and rates.
        class_weights: (classes,) of the loss.
    """

    fused = False

    def __init__(
        self,
        model: FinetunedModel,
        source: BatchSource,
        training: TrainingConfig,
        schedule: Schedule,
        class_weights: Tensor | None,
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
        self.model, self.source, self.training_config, self.schedule = model, source, training, schedule
        self.class_weights = class_weights

    def step_loss(self, batch: list[LabelledBatch]) -> StepLoss:
        """Return the mean loss of a batch; where sensors are left out, the mean of that with all and that without them.

        Args:
            batch: parts, each of samples of the same sensors and size.
        """
        count, dice = sum(len(part) for part in batch), self.training_config.dice
        weights = None if self.class_weights is None else self.class_weights.to(self.device)
        total = torch.zeros((), device=self.device)
        for part in batch:
            versions = _with_all_and_some(self.model, part)
            for one in versions:
                loss = self.model.loss(batch_logits(self.model, one), one.targets, weights, dice)
                total = total + loss * len(part) / (count * len(versions))
        return StepLoss(total, count)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters that are trained by their learning rate: deeper layers learn faster."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                share = rate_share(name, self.model, self.schedule.layer_decay)
                groups.setdefault(self.schedule.learning_rate * share, []).append(parameter)
        return [(parameters, rate) for rate, parameters in groups.items()]

    def train_dataloader(self) -> "DataLoader[Any]":
        """Return the batches from where the run stands: Lightning's hook."""
        network = self.model.network
        left_out = network.config.leaves_out if isinstance(network, EncoderWithHead) else 0.0
        batch, seed = self.training_config.batch, self.schedule.seed
        return self.resumable_loader(StepDataset(self.source, batch, seed, len(self.model.sensors), left_out))


def _with_all_and_some(model: FinetunedModel, batch: LabelledBatch) -> list[LabelledBatch]:
    """Return a batch with all sensors and, where some are left out, without them; images are encoded once."""
    network = model.network
    if batch.kept is None or not isinstance(network, EncoderWithHead):
        return [batch]
    encoded = replace(batch, head_inputs=_read_head_inputs(network, batch))
    return [replace(encoded, kept=None), encoded]


@torch.no_grad()
def predict_samples(
    model: FinetunedModel, source: BatchSource, batch: int, without: Sequence[int] = ()
) -> list[Prediction]:
    """Return a prediction for every sample of a source, in order.

    Args:
        model: as trained.
        source: of the batches.
        batch: samples that are predicted together.
        without: observations that are left out, by number.

    Raises:
        ConfigError: the model needs every observation.
    """
    training = model.training
    model.eval()
    device = model.target_mean.device
    predictions: dict[int, Prediction] = {}
    for part in iterate_batches(source, batch):
        part = part.to(device)
        if without:
            kept = torch.tensor([[number not in without for number in range(len(model.sensors))]])
            part = replace(part, kept=kept.expand(len(part), -1))
        if part.head_inputs is None and part.kept is None:
            assert part.inputs is not None
            decoded = model.decode(model.probabilities(part.inputs))
        else:
            decoded = model.decode(model.task.probabilities(batch_logits(model, part)))
        predictions.update(zip(part.indices, decoded, strict=True))
    model.train(training)
    return [predictions[index] for index in range(len(source))]


def batch_logits(model: FinetunedModel, batch: LabelledBatch) -> Tensor:
    """Return the logits of a batch, from images or from what the head reads of them.

    Args:
        model: on the batch's device.
        batch: of images, or of head inputs.

    Returns:
        (batch, outputs) or (batch, outputs, rows, columns).
    """
    network = model.network
    if not isinstance(network, EncoderWithHead) or (batch.head_inputs is None and batch.kept is None):
        assert batch.inputs is not None
        logits: Tensor = model(batch.inputs)
        return logits
    head_inputs = _read_head_inputs(network, batch)
    if batch.kept is not None:
        head_inputs = network.head.leave_out(head_inputs, batch.kept)
    return network.logits(head_inputs, batch.shape)


def _read_head_inputs(network: EncoderWithHead, batch: LabelledBatch) -> HeadInputs:
    """Return what the head reads: as it was kept, or of the images."""
    if batch.head_inputs is None:
        assert batch.inputs is not None
        return network.head_inputs(batch.inputs)
    return tuple(values.float() if values.is_floating_point() else values for values in batch.head_inputs)


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights that learn, by name.

    Args:
        model: of which some parameters require a gradient.
    """
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def load_trained(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what `trained_state` returned.

    Args:
        model: changed in place.
        state: weights by name.
    """
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            parameters[name].copy_(value)


def rate_share(name: str, model: FinetunedModel, decay: float) -> float:
    """Return the part of the learning rate that a parameter has: heads 1, the topmost block ``decay``, and so on down.

    Args:
        name: of the parameter in the model.
        model: that it is in.
        decay: from a block to the one below, 0 to 1.
    """
    if decay == 1.0 or not name.startswith("network.backbone."):
        return 1.0
    blocks = (BLOCK_NUMBER.search(other) for other, _ in model.named_parameters())
    depth = 1 + max((int(match[1]) for match in blocks if match), default=-1)
    match = BLOCK_NUMBER.search(name)
    if match:
        return float(decay ** (depth - int(match[1])))
    return float(decay if ".norm." in name else decay ** (depth + 1))

"""What every model has under Lightning: optimiser, clipping, loader, batch transfer, log and the check of the loss."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from skyweave.core.errors import TrainingError
from skyweave.training.optim import OptimiserConfig, make_optimiser
from skyweave.training.sampler import ResumableSampler

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class StepLoss:
    """The loss of one batch.

    Attributes:
        total: scalar that is minimised.
        samples: in the batch, by which logged values are weighted.
        parts: scalars by the name under which they are logged; they may carry gradients.
    """

    total: Tensor
    samples: int
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class SkyweaveModule(lightning.LightningModule, Generic[Batch]):
    """Base of the Lightning modules of all trainings. A subclass gives the loss of a batch and its dataset.

    Nothing here depends on the device or on the precision: Lightning moves the module and sets autocast.

    Args:
        optimiser: steps, rates, decay and clipping.

    Attributes:
        advice: what helps against a loss that is not finite; ends the message of the error.
        fused: see `make_optimiser`.
    """

    advice = "Lower optimiser.learning_rate"
    fused = True

    def __init__(self, optimiser: OptimiserConfig) -> None:
        super().__init__()
        self.optimiser = optimiser

    @abstractmethod
    def step_loss(self, batch: Batch) -> StepLoss:
        """Return the loss of a batch.

        Args:
            batch: of the loader, on the module's device.
        """

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch, checked and logged: Lightning's hook.

        Args:
            batch: of the loader, on the module's device.
            index: of the batch in the epoch.

        Raises:
            TrainingError: the loss is not finite.
        """
        loss = self.step_loss(batch)
        self.check_finite(loss)
        self.log("loss", loss.total.detach(), prog_bar=True, batch_size=loss.samples)
        self.log_dict({name: part.detach() for name, part in loss.parts.items()}, batch_size=loss.samples)
        return loss.total

    def check_finite(self, loss: StepLoss) -> None:
        """Stop the training where a loss is not finite.

        Args:
            loss: of a step.

        Raises:
            TrainingError: it is not finite; names its parts that are not, the step and what helps.
        """
        if torch.isfinite(loss.total):
            return
        broken = [name.removeprefix("loss/") for name, part in loss.parts.items() if not torch.isfinite(part)]
        raise TrainingError(
            f"the loss of {', '.join(broken) or 'all together'} is not finite at step {self.global_step}; the last "
            f"checkpoint is kept. {self.advice}"
        )

    def parameter_groups(self) -> Sequence[tuple[Iterable[nn.Parameter], float]]:
        """Return parameters with their peak learning rates; default: all, with the optimiser's."""
        return [(self.parameters(), self.optimiser.learning_rate)]

    def configure_optimizers(self) -> Any:
        """Return optimiser and schedule: Lightning's hook."""
        return make_optimiser(self.parameter_groups(), self.optimiser, self.fused)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of the gradient: Lightning's hook, as Lightning refuses to clip for fused optimisers.

        Args:
            optimizer: whose step comes next.

        Raises:
            TrainingError: a gradient is not finite, so that the step would destroy the weights; in 16-bit floats with
                scaled losses that is usual, and such a step is left out.
        """
        named = [(name, p) for name, p in self.named_parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for _, p in named if p.grad is not None])
        scaled = self._trainer is not None and self._trainer.precision == "16-mixed"
        if not (torch.isfinite(norm) or scaled):
            broken = [name for name, p in named if p.grad is not None and not p.grad.isfinite().all()]
            raise TrainingError(
                f"the gradient of {_shortened(broken)} is not finite at step {self.global_step}, though the loss is; "
                f"the last checkpoint is kept. {self.advice}"
            )
        nn.utils.clip_grads_with_norm_([p for _, p in named], self.optimiser.clip, norm)

    def resumable_loader(
        self,
        dataset: "Dataset[Any]",
        batch_size: int | None = None,
        collate: Callable[[list[Any]], Batch] | None = None,
        seed: int | None = None,
        workers: int = 0,
    ) -> "DataLoader[Any]":
        """Return a loader of the batches from where the run stands to its end.

        Args:
            dataset: of samples, or of whole batches by the number of the step.
            batch_size: samples a micro step; None: an item of the dataset is a batch.
            collate: joins samples to a batch.
            seed: permutes the samples in every pass over them; None: items come in order.
            workers: processes that prepare batches besides; 0: in the training process.
        """
        per_step = (batch_size or 1) * self._accumulated()
        length = None if seed is None else len(dataset)  # type: ignore[arg-type]  # datasets of samples have one
        sampler = ResumableSampler(
            self.global_step * per_step, self.optimiser.steps * per_step, length, 0 if seed is None else seed
        )
        return DataLoader(
            dataset,
            batch_size,
            sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return a batch on another device: Lightning's hook.

        Args:
            batch: with a ``to`` of its own, or a dataclass or list of what has one.
            device: of the module.
            dataloader_idx: Lightning's number of the loader.
        """
        moved: Batch = move_to_device(batch, device)
        return moved

    def _accumulated(self) -> int:
        """Return the micro steps of an optimiser step; 1 outside of a training."""
        trainer = self._trainer
        return 1 if trainer is None else int(trainer.accumulate_grad_batches)


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return (", ".join(names[:2]) or "all together") + more


def move_to_device(batch: Any, device: torch.device) -> Any:
    """Return a batch whose tensors are on a device; what is no tensor stays as it is.

    Args:
        batch: something with a ``to`` (a tensor, a batch of images), a list or tuple of those, or a dataclass of them.
        device: where to.
    """
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, list):
        return [move_to_device(item, device) if hasattr(item, "to") else item for item in batch]
    if not dataclasses.is_dataclass(batch) or isinstance(batch, type):
        return batch
    return _move_fields(batch, device)


def _move_fields(batch: Any, device: torch.device) -> Any:
    """Return a dataclass with the fields moved that can be."""
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch) if field.init}
    movable = {name: value for name, value in values.items() if hasattr(value, "to") or isinstance(value, list)}
    return dataclasses.replace(batch, **{name: move_to_device(value, device) for name, value in movable.items()})

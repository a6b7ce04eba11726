"""The training step: everything random in it is a function of (seed, step, rank), so a resumed run repeats itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from skyweave.data.batch import SensorBatch
from skyweave.data.dataset import ImageDataset
from skyweave.data.mixing import MixedBatches
from skyweave.pretraining.config import PretrainConfig
from skyweave.pretraining.masked_autoencoder import MaskedAutoencoder
from skyweave.training.trainer import make_optimiser


@dataclass
class PretrainingStep:
    """One micro step's input.

    Attributes:
        number: micro steps since the start of the run, on every rank.
        batches: one per sensor, band subset and size.
    """

    number: int
    batches: list[SensorBatch]


class PretrainingModule(lightning.LightningModule):
    """A masked autoencoder under Lightning.

    Args:
        model: what is trained.
        config: how.
        dataset: on what.
    """

    def __init__(self, model: MaskedAutoencoder, config: PretrainConfig, dataset: ImageDataset) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.dataset = dataset
        self.batches()  # a wrong configuration is found now, not in a worker

    def batches(self, rank: int = 0, world_size: int = 1) -> MixedBatches:
        """What one of ``world_size`` processes is fed, by micro step."""
        config = self.config
        views = {name: replace(view, patches=config.patches) for name, view in config.views.items()}
        return MixedBatches(
            self.dataset,
            views,
            config.images_per_step,
            config.optimiser.steps * config.accumulate,
            seed=config.seed,
            rank=rank,
            world_size=world_size,
        )

    def training_step(self, step: PretrainingStep, index: int) -> Tensor:
        """The loss of a mix of sensors: the mean over images of each sensor's loss, weighted."""
        generator = torch.Generator().manual_seed(hash((self.config.seed, step.number, self.global_rank)) % 2**63)
        sizes = [batch.pixels.shape[-1] // self.config.patches for batch in step.batches]
        losses = self.model(step.batches, generator, sizes)
        images = sum(len(batch) for batch in step.batches)
        weights = [self.config.loss_weights.get(batch.sensor.name, 1.0) * len(batch) / images for batch in step.batches]
        total = torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()
        if not torch.isfinite(total):
            broken = [b.sensor.name for b, loss in zip(step.batches, losses, strict=True) if not torch.isfinite(loss)]
            raise FloatingPointError(
                f"the loss of {', '.join(broken) or 'the mix'} is not finite at micro step {step.number}; the last "
                "checkpoint is kept. Lower optimiser.learning_rate, or look for broken values in that source"
            )
        self.log("loss", total.detach(), prog_bar=True, batch_size=images)
        for name, value in _by_sensor(step.batches, losses).items():
            self.log(f"loss/{name}", value, batch_size=images)
        return total

    def configure_optimizers(self) -> Any:
        """AdamW, matrices decayed, vectors not; warm-up and cosine."""
        chosen = self.config.optimiser
        groups = [(self.parameters(), chosen.learning_rate)]
        return make_optimiser(groups, chosen.steps, chosen.warmup, chosen.weight_decay, chosen.betas)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip by norm here: Lightning refuses to clip for fused optimisers."""
        torch.nn.utils.clip_grad_norm_(self.parameters(), self.config.optimiser.clip)

    def train_dataloader(self) -> "DataLoader[PretrainingStep]":
        """The micro steps from where the run stands."""
        start = self.global_step * self.config.accumulate
        workers = self.config.workers
        batches = self.batches(self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(
            _Steps(batches),
            batch_size=None,
            sampler=_Range(start, len(batches)),
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def transfer_batch_to_device(
        self, batch: PretrainingStep, device: torch.device, dataloader_idx: int
    ) -> PretrainingStep:
        """Move the tensors."""
        return PretrainingStep(batch.number, [part.to(device) for part in batch.batches])


class _Steps(Dataset[PretrainingStep]):
    def __init__(self, batches: MixedBatches) -> None:
        self.batches = batches

    def __getitem__(self, number: int) -> PretrainingStep:
        return PretrainingStep(number, self.batches[number])


class _Range(Sampler[int]):
    """Whole numbers in order; has no length on purpose, lest a resumed epoch be cut short by what it already did."""

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))


def _by_sensor(batches: list[SensorBatch], losses: list[Tensor]) -> dict[str, Tensor]:
    """Mean loss of each sensor over its images."""
    totals: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for batch, loss in zip(batches, losses, strict=True):
        name = batch.sensor.name
        totals[name] = totals.get(name, torch.zeros_like(loss.detach())) + loss.detach() * len(batch)
        counts[name] = counts.get(name, 0) + len(batch)
    return {name: total / counts[name] for name, total in totals.items()}

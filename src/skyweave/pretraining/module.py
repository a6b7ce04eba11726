"""The training step: everything random in it is a function of (seed, step, rank), so a resumed run repeats itself."""

import itertools

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import ConfigError
from skyweave.data.dataset import ImageDataset
from skyweave.pretraining.config import PretrainConfig
from skyweave.pretraining.mixing import MixedBatches, MixedStep
from skyweave.pretraining.pretrainer import Pretrainer
from skyweave.training.module import SkyweaveModule, StepLoss


class PretrainingModule(SkyweaveModule[MixedStep]):
    """A pretraining under Lightning.

    Args:
        model: what is trained.
        config: how.
        dataset: on what.
    """

    advice = "Lower optimiser.learning_rate, or look for broken values in that source"

    def __init__(self, model: Pretrainer, config: PretrainConfig, dataset: ImageDataset) -> None:
        super().__init__(config.optimiser)
        self.model = model
        self.config = config
        self.dataset = dataset
        self.batches()  # a wrong configuration is found now, not in a worker
        self.patch_sizes = patch_sizes_of(config, dataset)

    def batches(self, rank: int = 0, world_size: int = 1) -> MixedBatches:
        """Return the images of every micro step of one process.

        Args:
            rank: of the process.
            world_size: processes in all.
        """
        config = self.config
        return MixedBatches(
            self.dataset,
            config.views,
            config.images_per_step,
            config.optimiser.steps * config.trainer.accumulate,
            minimum_batch=config.minimum_batch,
            seed=config.seed,
            rank=rank,
            world_size=world_size,
        )

    def step_loss(self, step: MixedStep) -> StepLoss:
        """Return the loss of a mix of sensors: the mean over images of each sensor's loss, weighted.

        Args:
            step: images of every sensor.
        """
        generator = torch.Generator().manual_seed(hash((self.config.seed, step.number, self.global_rank)) % 2**63)
        sizes = [self.patch_sizes[batch.sensor.name, batch.pixels.shape[-1]] for batch in step.batches]
        losses = self.model(step.batches, generator, sizes, step.pairs)
        images = sum(len(batch) for batch in step.batches)
        shares = torch.tensor([len(batch) / images for batch in step.batches]).to(losses.batches)
        weights = [self.config.loss_weights.get(batch.sensor.name, 1.0) for batch in step.batches]
        total = (losses.batches * shares * torch.tensor(weights).to(shares)).sum()
        parts = {f"loss/{name}": value for name, value in _by_sensor(step.batches, losses.batches).items()}
        parts |= {f"objective/{kind}": (part.detach() * shares).sum() for kind, part in losses.objectives.items()}
        return StepLoss(total, images, parts)

    def train_dataloader(self) -> "DataLoader[MixedStep]":
        """Return the micro steps from where the run stands to its end: Lightning's hook."""
        batches = self.batches(self.trainer.global_rank, self.trainer.world_size)
        return self.resumable_loader(batches, workers=self.config.trainer.workers)


def patch_sizes_of(config: PretrainConfig, dataset: ImageDataset) -> dict[tuple[str, int], int]:
    """Return pixels per patch side of every training image, by its sensor and its own side.

    Args:
        config: of the run.
        dataset: that is trained on.

    Raises:
        ConfigError: two views of one sensor make images of one size with patches of two.
    """
    sizes: dict[tuple[str, int], int] = {}
    by_name = {source.name: source.sensor.name for source in dataset.sources}
    for source in dataset.sources:
        name = next((n for n in (source.name, source.sensor.name) if n in config.views), "default")
        view = config.views[name]
        partners = {by_name[dataset.source_name(other)] for index in source.indices for other in dataset.paired(index)}
        for sensor, size in itertools.product([source.sensor.name, *sorted(partners)], view.patch_sizes):
            key = sensor, view.patches * size
            if sizes.setdefault(key, size) != size:
                raise ConfigError(
                    f"views: images of {key[1]} pixels of {sensor} would have patches of {size} and of {sizes[key]} "
                    f"pixels; change patches or patch_sizes of view {name!r}"
                )
    return sizes


def _by_sensor(batches: list[SensorBatch], losses: list[Tensor]) -> dict[str, Tensor]:
    """Mean loss of each sensor over its images."""
    totals: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for batch, loss in zip(batches, losses, strict=True):
        name = batch.sensor.name
        totals[name] = totals.get(name, torch.zeros_like(loss.detach())) + loss.detach() * len(batch)
        counts[name] = counts.get(name, 0) + len(batch)
    return {name: total / counts[name] for name, total in totals.items()}

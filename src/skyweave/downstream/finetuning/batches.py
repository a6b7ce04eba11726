"""Samples to batches: read when needed, or encoded once where the backbone is frozen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead
from skyweave.downstream.finetuning.models.heads import HeadInputs
from skyweave.downstream.finetuning.tasks.base import Task
from skyweave.downstream.labels.labelled_images import check_sample
from skyweave.downstream.labels.sample import LabelledSample

GIB = 2**30
DEFAULT_CACHE_GIB = 4.0
ORDER_STREAM, AUGMENTATION_STREAM, LEFT_OUT_STREAM = 1, 2, 3
"""Second words of the seeds: order of the samples, their augmentation and what is left out are independent."""


@dataclass(frozen=True)
class LabelledBatch:
    """Samples of the same sensors and size.

    Attributes:
        inputs: one batch an observation; None where ``head_inputs`` is there.
        head_inputs: what the head reads, computed before.
        targets: of the task, see `skyweave.downstream.finetuning.tasks.base.Task.collate`.
        shape: (rows, columns) of the images.
        indices: of the samples.
        kept: (batch, observations) bool: which of the observations are used; None: all.
    """

    inputs: tuple[SensorBatch, ...] | None
    head_inputs: HeadInputs | None
    targets: Any
    shape: tuple[int, int]
    indices: tuple[int, ...]
    kept: Tensor | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> "LabelledBatch":
        """Return the same on another device.

        Args:
            device: where to.
        """
        is_list = isinstance(self.targets, list)
        return replace(
            self,
            inputs=None if self.inputs is None else tuple(batch.to(device) for batch in self.inputs),
            head_inputs=None if self.head_inputs is None else tuple(values.to(device) for values in self.head_inputs),
            targets=[target.to(device) for target in self.targets] if is_list else self.targets.to(device),
        )


class SampleCache(Sequence[LabelledSample]):
    """Samples, checked against the task, kept in memory up to a limit once they were read.

    Args:
        samples: to be read.
        task: whose kind their labels must be.
        cache_gib: of memory.
    """

    def __init__(self, samples: Sequence[LabelledSample], task: Task, cache_gib: float = DEFAULT_CACHE_GIB) -> None:
        self.samples, self.task = samples, task
        self.max_bytes = cache_gib * GIB
        self._cached: dict[int, LabelledSample] = {}
        self._free_bytes = self.max_bytes

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> LabelledSample: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelledSample]: ...
    def __getitem__(self, index: int | slice) -> "LabelledSample | list[LabelledSample]":
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index not in self._cached:
            sample = check_sample(self.samples[index], self.task.label_kind, len(self.task.classes))
            size = sum(image.pixels.nbytes + image.valid.nbytes for image in sample.observations)
            if size > self._free_bytes:
                return sample
            self._cached[index] = sample
            self._free_bytes -= size
        return self._cached[index]


class ImageBatches:
    """Batches of images, mirrored and turned where asked.

    Args:
        samples: checked.
        augment: mirror and turn where a generator is given.
    """

    def __init__(self, samples: SampleCache, augment: bool) -> None:
        self.samples, self.augment = samples, augment

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, indices: Sequence[int], generator: np.random.Generator | None = None) -> list[LabelledBatch]:
        """Return samples, those of the same sensors and size together.

        Args:
            indices: of the samples.
            generator: augments; None: the samples as they are.
        """
        groups: dict[Any, list[tuple[int, LabelledSample]]] = {}
        for index in indices:
            sample = self.samples[index]
            if generator is not None and self.augment:
                sample = random_dihedral(sample, self.samples.task, generator)
            key = tuple((image.sensor, image.shape) for image in sample.observations)
            groups.setdefault(key, []).append((index, sample))
        return [self._stack(members) for members in groups.values()]

    def _stack(self, members: list[tuple[int, LabelledSample]]) -> LabelledBatch:
        samples = [sample for _, sample in members]
        inputs = tuple(
            stack_observations(images) for images in zip(*(sample.observations for sample in samples), strict=True)
        )
        task = self.samples.task
        targets = task.collate([task.target(sample) for sample in samples])
        return LabelledBatch(inputs, None, targets, samples[0].observations[0].shape, tuple(i for i, _ in members))


class FeatureBatches:
    """Batches of what the head reads of every sample, computed once.

    Args:
        samples: checked.
        network: whose encoder is frozen.
        batch: samples that are encoded together.
        device: where they are encoded.
    """

    def __init__(self, samples: SampleCache, network: EncoderWithHead, batch: int, device: torch.device) -> None:
        self.task = samples.task
        self.head_inputs: list[HeadInputs] = [()] * len(samples)
        self.targets: list[Tensor] = [torch.empty(0)] * len(samples)
        self.shapes = [(0, 0)] * len(samples)
        network.eval()
        with torch.no_grad():
            for images in iterate_batches(ImageBatches(samples, False), batch):
                assert images.inputs is not None
                head_inputs = network.head_inputs([image.to(device) for image in images.inputs])
                for row, index in enumerate(images.indices):
                    # half precision: features are normalised, and twice as many fit
                    self.head_inputs[index] = tuple(
                        values[row].half() if values.is_floating_point() else values[row].clone()
                        for values in head_inputs
                    )
                    self.targets[index] = images.targets[row]
                    self.shapes[index] = images.shape

    def __len__(self) -> int:
        return len(self.head_inputs)

    def batches(self, indices: Sequence[int], generator: np.random.Generator | None = None) -> list[LabelledBatch]:
        """Return samples, those of the same size together.

        Args:
            indices: of the samples.
            generator: not used: features are computed once, without augmentation.
        """
        groups: dict[Any, list[int]] = {}
        for index in indices:
            groups.setdefault((self.shapes[index], self.head_inputs[index][0].shape), []).append(index)
        return [
            LabelledBatch(
                None,
                tuple(torch.stack(values) for values in zip(*(self.head_inputs[i] for i in members), strict=True)),
                self.task.collate([self.targets[i] for i in members]),
                shape,
                tuple(members),
            )
            for (shape, _), members in groups.items()
        ]


BatchSource = ImageBatches | FeatureBatches


class StepDataset(Dataset[list[LabelledBatch]]):
    """The batches of a training: samples of a step and their augmentation are a function of seed and step.

    Args:
        source: of the batches.
        batch: samples a step.
        seed: of order and augmentation.
        observations: of a sample.
        left_out: probability with which each of several observations is left out of a sample.
    """

    def __init__(
        self, source: BatchSource, batch: int, seed: int, observations: int = 1, left_out: float = 0.0
    ) -> None:
        self.source, self.batch, self.seed = source, batch, seed
        self.observations, self.left_out = observations, left_out

    def __getitem__(self, step: int) -> list[LabelledBatch]:
        length = len(self.source)
        indices = []
        for number in range(step * self.batch, (step + 1) * self.batch):
            epoch, position = divmod(number, length)
            order = np.random.default_rng([self.seed, ORDER_STREAM, epoch]).permutation(length)
            indices.append(int(order[position]))
        batches = self.source.batches(indices, np.random.default_rng([self.seed, AUGMENTATION_STREAM, step]))
        if self.observations == 1 or not self.left_out:
            return batches
        generator = np.random.default_rng([self.seed, LEFT_OUT_STREAM, step])
        return [
            replace(batch, kept=draw_kept(len(batch), self.observations, self.left_out, generator)) for batch in batches
        ]


def draw_kept(samples: int, observations: int, left_out: float, generator: np.random.Generator) -> Tensor:
    """Return (samples, observations) bool: which observations of a sample are used, at least one.

    Args:
        samples: how many.
        observations: of a sample.
        left_out: probability with which each is left out.
        generator: draws them.
    """
    kept = generator.random((samples, observations)) >= left_out
    kept[np.arange(samples), generator.integers(observations, size=samples)] |= ~kept.any(1)
    return torch.from_numpy(kept)


def iterate_batches(source: BatchSource, batch: int) -> Iterator[LabelledBatch]:
    """Yield every sample once, in order.

    Args:
        source: of the batches.
        batch: samples that are read together; a batch has fewer where their sizes differ.
    """
    for start in range(0, len(source), batch):
        yield from source.batches(range(start, min(start + batch, len(source))))


def random_dihedral(sample: LabelledSample, task: Task, generator: np.random.Generator) -> LabelledSample:
    """Return one of the eight mirror and quarter-turn images (of four where the image is no square), with its label.

    Args:
        sample: as it was.
        task: knows how its label is mirrored and turned.
        generator: draws the image.
    """
    mirrored = bool(generator.random() < 0.5)
    quarter_turns = int(generator.integers(4))
    if any(image.shape[0] != image.shape[1] for image in sample.observations):
        quarter_turns = 2 * (quarter_turns // 2)
    return task.dihedral(sample, mirrored, quarter_turns)

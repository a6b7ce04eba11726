"""Samples to batches: read when needed, or encoded once where the backbone is frozen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead
from skyweave.downstream.finetuning.models.heads import HeadInputs
from skyweave.downstream.finetuning.tasks import collate_targets, make_target
from skyweave.downstream.labels.labelled_data import LabelledSample, Task, check_sample

GIB = 2**30


@dataclass(frozen=True)
class LabelledBatch:
    """Samples of the same sensors and size.

    Attributes:
        inputs: one batch an observation; None where ``gathered`` is there.
        gathered: what the head needs, computed before.
        targets: see `skyweave.downstream.finetuning.tasks.collate_targets`.
        shape: (rows, columns) of the images.
        indices: of the samples.
    """

    inputs: tuple[SensorBatch, ...] | None
    gathered: HeadInputs | None
    targets: Any
    shape: tuple[int, int]
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same on another device."""
        targets = [own.to(device) for own in self.targets] if isinstance(self.targets, list) else self.targets
        return replace(
            self,
            inputs=None if self.inputs is None else tuple(own.to(device) for own in self.inputs),
            gathered=None if self.gathered is None else tuple(own.to(device) for own in self.gathered),
            targets=targets if isinstance(targets, list) else targets.to(device),
        )


class SampleCache(Sequence[LabelledSample]):
    """Samples, checked against the task, kept in memory up to a limit once they were read."""

    def __init__(self, samples: Sequence[LabelledSample], task: Task, cache_gib: float = 4.0) -> None:
        self.samples, self.task = samples, task
        self._kept: dict[int, LabelledSample] = {}
        self.cache_limit = cache_gib * GIB
        self._room = self.cache_limit

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        """One sample; raises ``ValueError`` where its label does not fit."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index not in self._kept:
            sample = check_sample(self.samples[index], self.task)
            size = sum(own.pixels.nbytes + own.valid.nbytes for own in sample.observations)
            if size > self._room:
                return sample
            self._kept[index] = sample
            self._room -= size
        return self._kept[index]


class ImageBatches:
    """Batches of images, mirrored and turned where asked."""

    def __init__(self, examples: SampleCache, augment: bool) -> None:
        self.examples, self.augment = examples, augment

    def __len__(self) -> int:
        return len(self.examples)

    def parts(self, indices: Sequence[int], generator: np.random.Generator | None = None) -> list[LabelledBatch]:
        """The samples, those of the same sensors and size together; augmented with a generator."""
        groups: dict[Any, list[tuple[int, LabelledSample]]] = {}
        for index in indices:
            sample = self.examples[index]
            if generator is not None and self.augment:
                sample = random_dihedral(sample, self.examples.task, generator)
            key = tuple((own.sensor, own.shape) for own in sample.observations)
            groups.setdefault(key, []).append((index, sample))
        return [self._part(members) for members in groups.values()]

    def _part(self, members: list[tuple[int, LabelledSample]]) -> LabelledBatch:
        samples = [sample for _, sample in members]
        inputs = tuple(
            stack_observations(own) for own in zip(*(sample.observations for sample in samples), strict=True)
        )
        task = self.examples.task
        targets = collate_targets([make_target(sample, task) for sample in samples], task)
        return LabelledBatch(
            inputs, None, targets, samples[0].observations[0].shape, tuple(index for index, _ in members)
        )


class FeatureBatches:
    """What the head needs of every sample, computed once."""

    def __init__(self, examples: SampleCache, network: EncoderWithHead, batch: int, device: torch.device) -> None:
        self.task = examples.task
        self.kept: list[HeadInputs] = [()] * len(examples)
        self.targets: list[Tensor] = [torch.empty(0)] * len(examples)
        self.shapes = [(0, 0)] * len(examples)
        network.eval()
        with torch.no_grad():
            for part in iterate_batches(ImageBatches(examples, False), batch):
                assert part.inputs is not None
                gathered = network.gather([own.to(device) for own in part.inputs])
                for place, index in enumerate(part.indices):
                    # half precision: features are normalised, and twice as many fit
                    self.kept[index] = tuple(
                        own[place].half() if own.is_floating_point() else own[place].clone() for own in gathered
                    )
                    self.targets[index] = part.targets[place]
                    self.shapes[index] = part.shape

    def __len__(self) -> int:
        return len(self.kept)

    def parts(self, indices: Sequence[int], generator: np.random.Generator | None = None) -> list[LabelledBatch]:
        """The samples, those of the same size together."""
        groups: dict[Any, list[int]] = {}
        for index in indices:
            groups.setdefault((self.shapes[index], self.kept[index][0].shape), []).append(index)
        return [
            LabelledBatch(
                None,
                tuple(
                    torch.stack([self.kept[index][place] for index in members])
                    for place in range(len(self.kept[members[0]]))
                ),
                collate_targets([self.targets[index] for index in members], self.task),
                shape,
                tuple(members),
            )
            for (shape, _), members in groups.items()
        ]


BatchSource = ImageBatches | FeatureBatches


class StepDataset(Dataset[list[LabelledBatch]]):
    """The batches of a training: which samples a step has, and how they are turned, is a function of seed and step."""

    def __init__(self, feed: BatchSource, batch: int, seed: int) -> None:
        self.feed, self.batch, self.seed = feed, batch, seed

    def __getitem__(self, step: int) -> list[LabelledBatch]:
        """The batch of a step."""
        length = len(self.feed)
        indices = []
        for number in range(step * self.batch, (step + 1) * self.batch):
            epoch, place = divmod(number, length)
            indices.append(int(np.random.default_rng([self.seed, 1, epoch]).permutation(length)[place]))
        return self.feed.parts(indices, np.random.default_rng([self.seed, 2, step]))


def iterate_batches(feed: BatchSource, batch: int) -> Iterator[LabelledBatch]:
    """Every sample once, in order."""
    for start in range(0, len(feed), batch):
        yield from feed.parts(range(start, min(start + batch, len(feed))))


def random_dihedral(sample: LabelledSample, task: Task, generator: np.random.Generator) -> LabelledSample:
    """One of the eight mirror and quarter-turn images (of four where the image is no square); boxes go along."""
    rows, columns = sample.observations[0].shape
    mirrored = bool(generator.random() < 0.5)
    turns = int(generator.integers(4))
    if any(own.shape[0] != own.shape[1] for own in sample.observations):
        turns = 2 * (turns // 2)

    def of(values: np.ndarray) -> np.ndarray:
        values = values[..., ::-1] if mirrored else values
        return np.ascontiguousarray(np.rot90(values, turns, (-2, -1)))

    observations = tuple(
        replace(own, pixels=of(own.pixels), valid=of(own.valid), geometry=None) for own in sample.observations
    )
    label = np.asarray(sample.label)
    if task.kind in ("segmentation", "change", "regression"):
        label = of(label)
    elif task.kind == "detection":
        label = dihedral_boxes(label, rows, columns, mirrored, turns)
    return replace(sample, observations=observations, label=label)


def dihedral_boxes(boxes: np.ndarray, rows: int, columns: int, mirrored: bool, turns: int) -> np.ndarray:
    """Boxes (number, 5 or more) of an image that was mirrored left-right, then turned counter-clockwise."""
    boxes = np.array(boxes, np.float32)
    if mirrored:
        boxes[:, [0, 2]] = columns - boxes[:, [2, 0]]
    for _ in range(turns):
        left, top, right, bottom = boxes[:, :4].T.copy()
        boxes[:, :4] = np.stack([top, columns - right, bottom, columns - left], axis=1)
        rows, columns = columns, rows
    return boxes

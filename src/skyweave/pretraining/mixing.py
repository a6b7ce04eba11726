"""Training batches that mix sensors: what step n holds is a function of (seed, n, rank, world size) alone.

There is no state to save: a run that resumes at step n asks for item n, and gets what it would have got.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.data.augment import Augmentation
from skyweave.data.dataset import ImageDataset, SourceIndex


@dataclass(frozen=True)
class Pair:
    """Two images of a step that show the same ground.

    Attributes:
        batches: numbers of the two batches.
        rows: of the images, in each of them.
    """

    batches: tuple[int, int]
    rows: tuple[int, int]


@dataclass(frozen=True)
class MixedStep:
    """The images of a training step.

    Attributes:
        number: of the step, from 0.
        batches: one per sensor, band subset and size.
        pairs: which of the images show the same ground.
    """

    number: int
    batches: list[SensorBatch]
    pairs: list[Pair] = field(default_factory=list)

    def to(self, device: torch.device | str) -> "MixedStep":
        """Return the step on another device.

        Args:
            device: such as ``cuda``.
        """
        return replace(self, batches=[batch.to(device) for batch in self.batches])


@runtime_checkable
class StepView(Protocol):
    """A view of which something is drawn once for all images of a source in a step, so that they are of one size."""

    def draw_view(self, generator: np.random.Generator) -> Augmentation:
        """Return what is done to the images of a step.

        Args:
            generator: that everything random is drawn from.
        """
        ...


View: TypeAlias = Augmentation | StepView


class MixedBatches(Dataset[MixedStep]):
    """Item n holds the images of training step n, in one batch per sensor, band subset and size.

    Images are drawn from groups (by sensor, or by source), so that a sensor with few images is seen as often as one
    with many; inside a group they are drawn in turns (each once before any twice), or by the sources' weights where
    these differ. Images need not be aligned or of equal size: the view brings each to its size. An image that is one of
    a pair brings a partner with it, another sensor's image of the same ground in the same view.

    Args:
        dataset: the images.
        view: makes the training image; or one per source or sensor name (sensors of other size or zoom).
        images_per_step: of one process in one step, over all groups; or a count per source or sensor name, which then
            makes the groups.
        steps: length of the training.
        groups: what is balanced when ``images_per_step`` is a number.
        balance: a group's share is proportional to its number of images to this power: 0 equal, 1 as they are.
        minimum_batch: images of a group in a step, at least: a group that would have fewer comes in every n-th step
            only, with n times as many. Every batch costs something of its own, whatever its length.
        seed: of the run.
        rank: of this process.
        world_size: number of processes.

    Raises:
        ConfigError: fewer images per step than groups, a name that no source or sensor has, or counts below 1.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        view: View | Mapping[str, View],
        images_per_step: int | Mapping[str, int],
        steps: int,
        *,
        groups: Literal["sensor", "source"] = "sensor",
        balance: float = 0.0,
        minimum_batch: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.dataset = dataset
        self.steps = steps
        self.seed, self.rank, self.world_size = seed, rank, world_size
        if isinstance(images_per_step, Mapping):
            self.groups = {name: _members(dataset, name) for name in images_per_step}
            self._expected = _declared_counts(images_per_step)
        else:
            names = [source.sensor.name if groups == "sensor" else source.name for source in dataset.sources]
            self.groups = {name: _members(dataset, name) for name in dict.fromkeys(names)}
            self._expected = _balanced_counts(self.groups, images_per_step, balance)
        self._periods = [max(1, math.ceil(minimum_batch / count)) for count in self._expected.tolist()]
        self._views = {source.name: _view_of(view, source) for source in dataset.sources}

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> MixedStep:
        """Return the images of a step.

        Args:
            step: its number, from 0.

        Raises:
            IndexError: the training has no such step.
            DataError: an image cannot be read as declared, or a pair does not share a grid.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a training of {self.steps}")
        collected, views = _Collected(), self._views_of_step(step)
        for number, (source, index) in enumerate(self.draw(step)):
            view = views[source.name]
            place = collected.add(*self._viewed(source, index, view, step, number))
            if partner := self._partner(index, step, number):
                collected.pair(place, collected.add(*self._viewed(*partner, view, step, number)))
        return MixedStep(step, collected.batches(), collected.pairs)

    def _views_of_step(self, step: int) -> dict[str, Augmentation]:
        """Return what is done to the images of each source in a step."""
        generator = np.random.Generator(np.random.PCG64([self.seed, 4, step, self.rank]))
        return {
            name: view.draw_view(generator) if isinstance(view, StepView) else view
            for name, view in self._views.items()
        }

    def _viewed(
        self, source: SourceIndex, index: int, view: Augmentation, step: int, number: int
    ) -> tuple[Sensor, Observation]:
        """Return an image as the view of the first of a pair makes it: the same window, flip and turn of both."""
        generator = np.random.Generator(np.random.PCG64([self.seed, 1, step, self.rank, number]))
        return source.sensor, view(self.dataset.open(index), generator)

    def _partner(self, index: int, step: int, number: int) -> tuple[SourceIndex, int] | None:
        """Return source and number of an image that shows the same ground, if there is one."""
        choices = self.dataset.paired(index)
        if not choices:
            return None
        generator = np.random.Generator(np.random.PCG64([self.seed, 3, step, self.rank, number]))
        partner = choices[int(generator.integers(len(choices)))]
        one, other = self.dataset.open(index), self.dataset.open(partner)
        if one.shape != other.shape or not math.isclose(
            one.ground_sample_distance, other.ground_sample_distance, rel_tol=0.01
        ):
            raise DataError(
                f"{one.source} and {other.source} show one place but do not share a grid of pixels "
                f"({one.shape[1]} x {one.shape[0]} of {one.ground_sample_distance:g} m, {other.shape[1]} x "
                f"{other.shape[0]} of {other.ground_sample_distance:g} m); resample one of them (gdalwarp), or leave "
                "'place' out of its source"
            )
        name = self.dataset.source_name(partner)
        return next(source for source in self.dataset.sources if source.name == name), partner

    def draw(self, step: int) -> list[tuple[SourceIndex, int]]:
        """Return (source, image number) of every image of a step, group by group.

        Args:
            step: its number, from 0.
        """
        generator = np.random.Generator(np.random.PCG64([self.seed, 0, step, self.rank, self.world_size]))
        images: list[tuple[SourceIndex, int]] = []
        is_due = [(step + number) % period == 0 for number, period in enumerate(self._periods)]
        counts = _whole_counts(self._expected * self._periods * is_due, generator)
        for number, (members, count) in enumerate(zip(self.groups.values(), counts, strict=True)):
            period = self._periods[number]
            draw = (step // period) * self.world_size + self.rank
            first = draw * math.ceil(self._expected[number] * period)
            for position in range(first, first + count):
                images.append(self._image(number, members, position, generator))
        return images

    def loader(self, workers: int = 0, start: int = 0, **options: Any) -> "DataLoader[MixedStep]":
        """Return a loader of the steps in order.

        Args:
            workers: processes that prepare the batches; 0: the calling one.
            start: first step.
            options: further arguments of ``torch.utils.data.DataLoader``.
        """
        if workers:
            options.setdefault("persistent_workers", True)
        return DataLoader(self, batch_size=None, sampler=range(start, self.steps), num_workers=workers, **options)

    def sensors(self) -> list[Sensor]:
        """Return the sensors that batches can hold, in the dataset's order; band subsets count as their own."""
        return list({id(source.sensor): source.sensor for source in self.dataset.sources}.values())

    def _image(
        self, group: int, members: list[SourceIndex], position: int, generator: np.random.Generator
    ) -> tuple[SourceIndex, int]:
        """Return the image at a position of a group's endless stream."""
        sizes = np.array([len(source) for source in members])
        if len({source.weight for source in members}) == 1:
            index = _shuffled(self.seed, group, position // int(sizes.sum()), int(sizes.sum()))[position % sizes.sum()]
            which = int(np.searchsorted(np.cumsum(sizes), index, side="right"))
            return members[which], int(members[which].indices[index - sizes[:which].sum()])
        shares = sizes * np.array([source.weight for source in members])
        which = int(generator.choice(len(members), p=shares / shares.sum()))
        order = _shuffled(self.seed, group, position // int(sizes[which]), int(sizes[which]))
        return members[which], int(members[which].indices[order[position % sizes[which]]])


class _Collected:
    """Images of a step, by sensor and size, in the order in which these come."""

    def __init__(self) -> None:
        self.members: dict[tuple[int, tuple[int, int]], list[Observation]] = {}
        self.pairs: list[Pair] = []

    def add(self, sensor: Sensor, observation: Observation) -> tuple[int, int]:
        """Add an image, and return the number of its batch and its row there."""
        key = id(sensor), observation.shape
        rows = self.members.setdefault(key, [])
        rows.append(observation)
        return list(self.members).index(key), len(rows) - 1

    def pair(self, first: tuple[int, int], second: tuple[int, int]) -> None:
        """Note that two images show the same ground."""
        self.pairs.append(Pair((first[0], second[0]), (first[1], second[1])))

    def batches(self) -> list[SensorBatch]:
        """Return the batches of all images."""
        return [stack_observations(rows) for rows in self.members.values()]


@lru_cache(maxsize=64)
def _shuffled(seed: int, group: int, epoch: int, length: int) -> np.ndarray:
    """Return the order of a group's images in its n-th epoch."""
    return np.random.Generator(np.random.PCG64([seed, 2, group, epoch])).permutation(length)


def _declared_counts(images_per_step: Mapping[str, int]) -> np.ndarray:
    counts = np.array(list(images_per_step.values()), float)
    if (counts < 1).any() or (counts % 1).any():
        raise ConfigError(f"images_per_step must be whole numbers of at least 1, is {dict(images_per_step)}")
    return counts


def _balanced_counts(groups: Mapping[str, list[SourceIndex]], images_per_step: int, balance: float) -> np.ndarray:
    """Return the expected images of each group in a step, in proportion to its size to the power ``balance``."""
    sizes = np.array([sum(map(len, members)) for members in groups.values()], float)
    if images_per_step < len(groups):
        raise ConfigError(
            f"{images_per_step} images per step cannot hold {len(groups)} groups "
            f"({', '.join(groups)}); give at least as many"
        )
    return np.asarray(images_per_step * sizes**balance / (sizes**balance).sum())


def _whole_counts(expected: np.ndarray, generator: np.random.Generator) -> list[int]:
    """Return whole numbers with the same sum and expectation: systematic sampling of the fractions."""
    start = 0.999 * generator.random()
    ends = start + np.cumsum(np.concatenate([[0.0], expected]))
    whole = np.floor(ends + 1e-9).astype(int)
    return [int(count) for count in np.diff(whole)]


def _members(dataset: ImageDataset, name: str) -> list[SourceIndex]:
    """Return the sources of that sensor or source name with any weight."""
    members = [source for source in dataset.sources if name in (source.sensor.name, source.name) and source.weight > 0]
    if not members:
        valid = dict.fromkeys(text for source in dataset.sources for text in (source.sensor.name, source.name))
        raise ConfigError(f"no source or sensor of weight above 0 is called {name!r}; valid names: {', '.join(valid)}")
    return members


def _view_of(view: View | Mapping[str, View], source: SourceIndex) -> View:
    if not isinstance(view, Mapping):
        return view
    for name in (source.name, source.sensor.name, "default"):
        if name in view:
            return view[name]
    raise ConfigError(f"no view for source {source.name!r} ({source.sensor.name}); give one, or one called 'default'")

"""Training batches that mix sensors: what step n holds is a function of (seed, n, rank, world size) alone.

There is no state to save: a run that resumes at step n asks for item n, and gets what it would have got.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from torch.utils.data import DataLoader, Dataset

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.data.augment import Augmentation
from skyweave.data.batch import SensorBatch, stack_observations
from skyweave.data.dataset import ImageDataset, SourceIndex


class MixedBatches(Dataset[list[SensorBatch]]):
    """Item n is the list of batches of training step n, one batch per sensor, band subset and size.

    Images are drawn from groups (by sensor, or by source), so that a sensor with few images is seen as often as one
    with many; inside a group they are drawn in turns (each once before any twice), or by the sources' weights where
    these differ. Images need not be aligned or of equal size: the view brings each to its size.

    Args:
        dataset: the images.
        view: makes the training image; or one per source or sensor name (sensors of other size or zoom).
        images_per_step: of one process in one step, over all groups; or a count per source or sensor name, which then
            makes the groups.
        steps: length of the training.
        groups: what is balanced when ``images_per_step`` is a number.
        balance: a group's share is proportional to its number of images to this power: 0 equal, 1 as they are.
        seed, rank, world_size: of the run and this process in it.

    Raises:
        ValueError: fewer images per step than groups, a name that no source or sensor has, or counts below 1.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        view: Augmentation | Mapping[str, Augmentation],
        images_per_step: int | Mapping[str, int],
        steps: int,
        *,
        groups: Literal["sensor", "source"] = "sensor",
        balance: float = 0.0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.dataset = dataset
        self.steps = steps
        self.seed, self.rank, self.world_size = seed, rank, world_size
        if isinstance(images_per_step, Mapping):
            self.groups = {name: _members(dataset, name) for name in images_per_step}
            self._exact = np.array(list(images_per_step.values()), float)
            if (self._exact < 1).any() or (self._exact % 1).any():
                raise DataError(f"images_per_step must be whole numbers of at least 1, is {dict(images_per_step)}")
        else:
            keys = [source.sensor.name if groups == "sensor" else source.name for source in dataset.sources]
            self.groups = {key: _members(dataset, key) for key in dict.fromkeys(keys)}
            sizes = np.array([sum(map(len, members)) for members in self.groups.values()], float)
            self._exact = images_per_step * sizes**balance / (sizes**balance).sum()
            if images_per_step < len(self.groups):
                raise DataError(
                    f"{images_per_step} images per step cannot hold {len(self.groups)} groups "
                    f"({', '.join(self.groups)}); give at least as many"
                )
        self._views = {source.name: _view_of(view, source) for source in dataset.sources}

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> list[SensorBatch]:
        """The batches of that step. Raises ``IndexError`` outside the training."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a training of {self.steps}")
        buckets: dict[tuple[int, tuple[int, int]], list[Observation]] = {}
        for number, (source, index) in enumerate(self.draw(step)):
            generator = np.random.Generator(np.random.PCG64([self.seed, 1, step, self.rank, number]))
            observation = self._views[source.name](self.dataset.open(index), generator)
            buckets.setdefault((id(source.sensor), observation.shape), []).append(observation)
        return [stack_observations(members) for members in buckets.values()]

    def draw(self, step: int) -> list[tuple[SourceIndex, int]]:
        """(source, image number) of every image of the step, group by group."""
        generator = np.random.Generator(np.random.PCG64([self.seed, 0, step, self.rank, self.world_size]))
        drawn: list[tuple[SourceIndex, int]] = []
        counts = _whole_counts(self._exact, generator)
        for number, (members, count) in enumerate(zip(self.groups.values(), counts, strict=True)):
            first = (step * self.world_size + self.rank) * math.ceil(self._exact[number])
            for position in range(first, first + count):
                drawn.append(self._image(number, members, position, generator))
        return drawn

    def loader(self, workers: int = 0, start: int = 0, **options: Any) -> "DataLoader[list[SensorBatch]]":
        """A loader of the steps from ``start`` on, in order, prepared by worker processes."""
        if workers:
            options.setdefault("persistent_workers", True)
        return DataLoader(self, batch_size=None, sampler=range(start, self.steps), num_workers=workers, **options)

    def sensors(self) -> list[Sensor]:
        """The sensors (band subsets count as their own) that batches can hold, in the dataset's order."""
        return list({id(source.sensor): source.sensor for source in self.dataset.sources}.values())

    def _image(
        self, group: int, members: list[SourceIndex], position: int, generator: np.random.Generator
    ) -> tuple[SourceIndex, int]:
        """The image at a position of a group's endless stream."""
        sizes = np.array([len(source) for source in members])
        if len({source.weight for source in members}) == 1:
            place = _shuffled(self.seed, group, position // int(sizes.sum()), int(sizes.sum()))[position % sizes.sum()]
            which = int(np.searchsorted(np.cumsum(sizes), place, side="right"))
            return members[which], int(members[which].indices[place - sizes[:which].sum()])
        shares = sizes * np.array([source.weight for source in members])
        which = int(generator.choice(len(members), p=shares / shares.sum()))
        order = _shuffled(self.seed, group, position // int(sizes[which]), int(sizes[which]))
        return members[which], int(members[which].indices[order[position % sizes[which]]])


@lru_cache(maxsize=64)
def _shuffled(seed: int, group: int, turn: int, length: int) -> np.ndarray:
    """The order of a group's images in its n-th turn."""
    return np.random.Generator(np.random.PCG64([seed, 2, group, turn])).permutation(length)


def _whole_counts(exact: np.ndarray, generator: np.random.Generator) -> list[int]:
    """Whole numbers with the same sum whose expectation is ``exact``: systematic sampling of the fractions."""
    start = 0.999 * generator.random()
    ends = start + np.cumsum(np.concatenate([[0.0], exact]))
    whole = np.floor(ends + 1e-9).astype(int)
    return np.diff(whole).tolist()


def _members(dataset: ImageDataset, name: str) -> list[SourceIndex]:
    """The sources of that sensor or source name with any weight."""
    found = [source for source in dataset.sources if name in (source.sensor.name, source.name) and source.weight > 0]
    if not found:
        valid = dict.fromkeys(text for source in dataset.sources for text in (source.sensor.name, source.name))
        raise DataError(f"no source or sensor of weight above 0 is called {name!r}; valid names: {', '.join(valid)}")
    return found


def _view_of(view: Augmentation | Mapping[str, Augmentation], source: SourceIndex) -> Augmentation:
    if not isinstance(view, Mapping):
        return view
    for name in (source.name, source.sensor.name, "default"):
        if name in view:
            return view[name]
    raise DataError(f"no view for source {source.name!r} ({source.sensor.name}); give one, or one called 'default'")

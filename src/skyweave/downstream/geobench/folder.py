"""A task's folder as labelled data: split as its publisher did, samples read when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args, overload

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors import Sensor
from skyweave.data.units import check_unit
from skyweave.downstream.finetuning.dataset import LabelledData
from skyweave.downstream.geobench.partitions import (
    SPLITS,
    available_samples,
    check_specification,
    missing_class_notes,
    read_partition,
    sample_count_notes,
)
from skyweave.downstream.geobench.sample import Unlabelled, read_sample
from skyweave.downstream.geobench.tasks import GeobenchTask, get_task, list_tasks
from skyweave.downstream.labels.sample import LabelledSample

MAX_STATISTICS_SAMPLES = 64
"""Samples from which statistics are measured."""
MAX_UNIT_CHECK_SAMPLES = 5
"""Samples that are read when a task is opened, until one has values of the declared unit."""
Statistics = Literal["auto", "sensor", "task"]


def open_task(
    folder: str | Path,
    name: str | None = None,
    *,
    fraction: float = 1.0,
    sensors: Sequence[str] | None = None,
    unlabelled: Unlabelled = "class",
    statistics: Statistics = "auto",
    partial: bool = False,
) -> LabelledData:
    """One of the twelve tasks, as its publisher split it.

    Args:
        folder: the task's own folder, or one above it (that of the archive, or of one collection).
        name: of the task; default: what the folder is called.
        fraction: of the training samples: the published subset (validation and test stay whole).
        sensors: those of the task's sensors to read; default: all (see ``tasks.yaml``).
        unlabelled: ``class``: classes that mean that nobody knows count, as in the benchmark; ``ignore``: they do not.
        statistics: which mean and spread of each band the observations carry for a model to normalise with:
            ``sensor``: the catalogue's (a model that knows the sensor uses its own); ``task``: measured on this
            training set, and the sensors are called ``NAME of TASK``, so that a model takes these; ``auto``: what the
            task's table says, ``task`` where its unit is uncertain.
        partial: leave samples out whose files are missing, with a note, instead of refusing the folder.

    Returns:
        Its sequences read a file each time they are asked; ``notes`` say what to know of the task, of classes that a
        split lacks, and where the folder is not the published whole.

    Raises:
        FileNotFoundError: no such folder or task in it, a partition or samples are missing.
        ValueError: a partition that cannot be read, a fraction without partition, a folder of another version, and
            what `read_sample` raises: samples are read to find out.
    """
    _check_statistics(statistics)
    place, task = _place(Path(folder), name)
    partition, notes = read_partition(place, task, fraction)
    check_specification(place, task)
    partition, missing = available_samples(partition, place, task, partial)
    notes = [*task.notes, *notes, *missing]
    notes += [*sample_count_notes(partition, task, fraction), *missing_class_notes(partition, place, task)]

    selected = tuple(stored.name for stored in task.select(list(sensors) if sensors is not None else None))
    samples = {split: GeobenchSamples(place, task, partition[split], selected, unlabelled) for split in SPLITS}
    _check_units(samples["train"])
    if _takes_task_statistics(statistics, task):
        normalised = _measured(samples["train"])
        samples = {split: replace(part, normalised=normalised) for split, part in samples.items()}
    train, validation, test = (samples[split] for split in SPLITS)
    return LabelledData(task.task, train, validation, test, tuple(notes))


def _takes_task_statistics(statistics: Statistics, task: GeobenchTask) -> bool:
    """Return whether statistics are those of the task's own images."""
    return "task" in (statistics, task.statistics if statistics == "auto" else "")


def _check_statistics(statistics: Statistics) -> None:
    """Check the name of the statistics."""
    if statistics not in get_args(Statistics):
        raise DataError(f"statistics is {statistics!r}; use one of {', '.join(get_args(Statistics))}")


def find_tasks(folder: str | Path) -> dict[str, Path]:
    """Return the folders of the tasks that lie in a folder, in a collection in it, or that it is itself.

    Args:
        folder: of the archive, of a collection, or of a task.

    Returns:
        Name to folder, in the order of the table.
    """
    root = Path(folder)
    folders = {}
    for name, task in list_tasks().items():
        for place in (root, root / name, root / task.collection / name):
            if place.name == name and place.is_dir():
                folders[name] = place
    return folders


@dataclass(frozen=True)
class GeobenchSamples(Sequence[LabelledSample]):
    """Samples of one split, read from their files one by one.

    Attributes:
        folder: of the task.
        task: whose table says how to read them.
        names: of the samples.
        sensors: of the task, in the order of the observations.
        unlabelled: as in `open_task`.
        normalised: the observations' sensors with other statistics; empty: as they are.
    """

    folder: Path
    task: GeobenchTask
    names: tuple[str, ...]
    sensors: tuple[str, ...]
    unlabelled: Unlabelled = "class"
    normalised: tuple[Sensor, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> LabelledSample: ...
    @overload
    def __getitem__(self, index: slice) -> "GeobenchSamples": ...
    def __getitem__(self, index: int | slice) -> "LabelledSample | GeobenchSamples":
        if isinstance(index, slice):
            return replace(self, names=self.names[index])
        sample = read_sample(self.folder / f"{self.names[index]}.hdf5", self.task, self.sensors, self.unlabelled)
        if not self.normalised:
            return sample
        observations = (replace(o, sensor=s) for o, s in zip(sample.observations, self.normalised, strict=True))
        return replace(sample, observations=tuple(observations))


def _check_units(samples: GeobenchSamples) -> None:
    """Check that the values of one of a few samples are of the declared unit: an image of open water proves little.

    Raises:
        DataError: a sample that cannot be read, or none that fits.
    """
    indices = _spaced_indices(len(samples), MAX_UNIT_CHECK_SAMPLES)
    for index in indices:
        observations = samples[index].observations
        try:
            for image, stored in zip(observations, samples.task.select(samples.sensors), strict=True):
                check_unit(image.pixels, image.valid, image.sensor, stored.encoding, image.source)
            return
        except ValueError:
            if index == indices[-1]:
                raise


def _spaced_indices(length: int, count: int) -> list[int]:
    """Return indices that are evenly spaced, ``count`` of them or fewer."""
    return [int(index) for index in np.unique(np.linspace(0, length - 1, min(count, length)).astype(int))]


def _place(folder: Path, name: str | None) -> tuple[Path, GeobenchTask]:
    """Return the folder of one task."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; download a task: skyweave download geobench --task ...")
    task = get_task(name if name is not None else folder.resolve().name)
    folders = find_tasks(folder)
    if task.name in folders:
        return folders[task.name], task
    return _folder_of_partitions(folder, task, folders)


def _folder_of_partitions(folder: Path, task: GeobenchTask, folders: dict[str, Path]) -> tuple[Path, GeobenchTask]:
    """Return the folder itself if it is the task's, or raise what says what it has."""
    if any(folder.glob("*_partition.json")):  # the task's own folder, called otherwise
        return folder, task
    there = f"it has {', '.join(folders)}" if folders else "it has no task at all"
    raise FileNotFoundError(
        f"{folder} has no folder {task.name}; {there}; run: skyweave download geobench --task {task.name} -o {folder}"
    )


def _measured(samples: GeobenchSamples) -> tuple[Sensor, ...]:
    """Return the samples' sensors with mean and standard deviation of up to `MAX_STATISTICS_SAMPLES` of them."""
    sums: list[np.ndarray] = []
    sensors: list[Sensor] = []
    sensors, sums = _sum_pixels(samples, sensors, sums)
    renamed = [replace(sensor, name=f"{sensor.name} of {samples.task.name}") for sensor in sensors]
    return tuple(_with_measured(sensor, *total) for sensor, total in zip(renamed, sums, strict=True))


def _sum_pixels(
    samples: GeobenchSamples, sensors: list[Sensor], sums: list[np.ndarray]
) -> tuple[list[Sensor], list[np.ndarray]]:
    """Sum number, values and squares of the pixels of each band."""
    for index in _spaced_indices(len(samples), MAX_STATISTICS_SAMPLES):
        observations = samples[index].observations
        sensors = sensors or [observation.sensor for observation in observations]
        sums = sums or [np.zeros((3, len(sensor))) for sensor in sensors]
        for total, observation in zip(sums, observations, strict=True):
            pixels, valid = observation.pixels.astype(np.float64), observation.valid
            total += [valid.sum((1, 2)), (pixels * valid).sum((1, 2)), (pixels**2 * valid).sum((1, 2))]
    return sensors, sums


def _with_measured(sensor: Sensor, count: np.ndarray, first: np.ndarray, second: np.ndarray) -> Sensor:
    """Return the sensor with statistics from (bands,) counts, sums and sums of squares, where these give any."""
    mean = first / np.maximum(count, 1)
    std = np.sqrt(np.maximum(second / np.maximum(count, 1) - mean**2, 0))
    known = (count > 0) & (std > 0)
    means, stds = np.where(known, mean, sensor.means), np.where(known, std, sensor.stds)
    return sensor.with_statistics(means.tolist(), stds.tolist())

"""A task's folder as labelled data: the partitions that it brings, checked, and samples read when asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np

from skyweave.data.units import check_unit
from skyweave.geobench.sample import Unlabelled, read_sample
from skyweave.geobench.tasks import GeobenchTask, task_named, tasks
from skyweave.geobench.unpickle import MAX_BYTES, Stored, read_pickle
from skyweave.labelled import LabelledData, LabelledSample
from skyweave.sensors import Sensor

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of the training samples, for which the benchmark publishes partitions."""
SPLITS = ("train", "valid", "test")
MEASURED = 64
"""Samples from which statistics are measured."""
LOOKED_AT = 5
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
    place, task = _place(Path(folder), name)
    partition, notes = _partition(place, task, fraction)
    _check_specification(place, task)
    partition, missing = _present(partition, place, task, partial)
    notes = [*task.notes, *notes, *missing, *_counts(partition, task, fraction), *_absent(partition, place, task)]

    selected = tuple(stored.name for stored in task.select(list(sensors) if sensors is not None else None))
    samples = {split: Samples(place, task, partition[split], selected, unlabelled) for split in SPLITS}
    _check_units(samples["train"])
    if statistics not in get_args(Statistics):
        raise ValueError(f"statistics is {statistics!r}; use one of {', '.join(get_args(Statistics))}")
    if "task" in (statistics, task.statistics if statistics == "auto" else ""):
        normalised = _measured(samples["train"])
        samples = {split: replace(part, normalised=normalised) for split, part in samples.items()}
    train, validation, test = (samples[split] for split in SPLITS)
    return LabelledData(task.task, train, validation, test, tuple(notes))


def find_tasks(folder: str | Path) -> dict[str, Path]:
    """The folders of the tasks that lie in ``folder``, in a collection in it, or that it is itself; in table order."""
    root = Path(folder)
    found = {}
    for name, task in tasks().items():
        for place in (root, root / name, root / task.collection / name):
            if place.name == name and place.is_dir():
                found[name] = place
    return found


@dataclass(frozen=True)
class Samples(Sequence[LabelledSample]):
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
    def __getitem__(self, index: slice) -> "Samples": ...
    def __getitem__(self, index: int | slice) -> "LabelledSample | Samples":
        if isinstance(index, slice):
            return replace(self, names=self.names[index])
        sample = read_sample(self.folder / f"{self.names[index]}.hdf5", self.task, self.sensors, self.unlabelled)
        if not self.normalised:
            return sample
        observations = (replace(o, sensor=s) for o, s in zip(sample.observations, self.normalised, strict=True))
        return replace(sample, observations=tuple(observations))


def _check_units(samples: Samples) -> None:
    """Of a few samples one at least has to look as the table says: a picture of open water may not look like much.

    Raises:
        ValueError: a sample that cannot be read, or none that looks right.
    """
    indices = _spread(len(samples), LOOKED_AT)
    for index in indices:
        observations = samples[index].observations
        try:
            for own, stored in zip(observations, samples.task.select(samples.sensors), strict=True):
                check_unit(own.pixels, own.valid, own.sensor, stored.encoding, own.source)
            return
        except ValueError:
            if index == indices[-1]:
                raise


def _spread(length: int, count: int) -> list[int]:
    """Indices, evenly spaced."""
    return [int(index) for index in np.unique(np.linspace(0, length - 1, min(count, length)).astype(int))]


def _place(folder: Path, name: str | None) -> tuple[Path, GeobenchTask]:
    """The folder of one task."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; download a task: skyweave download geobench --task ...")
    task = task_named(name if name is not None else folder.resolve().name)
    found = find_tasks(folder)
    if task.name in found:
        return found[task.name], task
    if any(folder.glob("*_partition.json")):  # the task's own folder, called otherwise
        return folder, task
    there = f"it has {', '.join(found)}" if found else "it has no task at all"
    raise FileNotFoundError(
        f"{folder} has no folder {task.name}; {there}; run: skyweave download geobench --task {task.name} -o {folder}"
    )


def _partition(place: Path, task: GeobenchTask, fraction: float) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Names of the samples of each split, for a fraction of the training samples."""
    if fraction not in FRACTIONS:
        published = ", ".join(f"{value:g}" for value in FRACTIONS)
        raise ValueError(f"fraction {fraction} of {task.name}: partitions are published for {published}")
    candidates = ["default"] if fraction == 1.0 else []
    candidates.append(f"{fraction:.2f}x_train")
    for candidate in candidates:
        path = place / f"{candidate}_partition.json"
        if path.is_file():
            partition = _splits(path)
            known = [name for split in SPLITS for name in partition[split]]
            twice = len(known) - len(set(known))
            return partition, [f"{path.name} names {twice} samples twice, perhaps to train and to test"] * bool(twice)
    there = ", ".join(sorted(path.name for path in place.glob("*_partition.json"))) or "none"
    raise FileNotFoundError(
        f"{place} has no partition {candidates[0]}_partition.json (it has {there}); download the task again"
    )


def _splits(path: Path) -> dict[str, tuple[str, ...]]:
    """A partition file, checked: names that are names of files in this folder."""
    content = _json(path)
    if not isinstance(content, Mapping) or any(split not in content for split in SPLITS):
        raise ValueError(f"{path}: it has to name the samples of {', '.join(SPLITS)}; download the task again")
    for split in SPLITS:
        names = content[split]
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"{path}: {split} is no list of names; download the task again")
        for name in names:
            if "/" in name or "\\" in name or "\0" in name or name.startswith(".."):
                raise ValueError(f"{path}: the sample name {name!r} leads out of the folder; refused")
        if not names:
            raise ValueError(f"{path}: {split} names no samples; download the task again")
    return {split: tuple(content[split]) for split in SPLITS}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON, or it breaks off ({error}); download the task again") from error


def _check_specification(place: Path, task: GeobenchTask) -> None:
    """The folder's own specification, where it is there, has to be of the same task."""
    path = place / "task_specs.pkl"
    if not path.is_file():
        return
    with path.open("rb") as stream:
        stored = read_pickle(stream.read(MAX_BYTES + 1), str(path))
    label = stored.get("label_type") if isinstance(stored, Stored) else None
    if not isinstance(label, Stored):
        raise ValueError(f"{path}: it specifies no task of GEO-Bench; download the task again")
    classes = label.get("n_classes")
    if classes != len(task.classes):
        raise ValueError(
            f"{path}: it specifies {classes} classes where {task.name} has {len(task.classes)}; this folder holds "
            "another task or version"
        )


def _present(
    partition: dict[str, tuple[str, ...]], place: Path, task: GeobenchTask, partial: bool
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The partition without samples whose files are missing, if that is allowed."""
    there = {path.stem for path in place.glob("*.hdf5")}
    missing = [name for split in SPLITS for name in partition[split] if name not in there]
    if not missing:
        return partition, []
    total = sum(len(partition[split]) for split in SPLITS)
    what = f"{len(missing)} of {total} samples have no file ({', '.join(missing[:3])}{', ...' * (len(missing) > 3)})"
    kept = {split: tuple(name for name in partition[split] if name in there) for split in SPLITS}
    if not partial:
        raise FileNotFoundError(
            f"{place} is not whole: {what}; run: skyweave download geobench --task {task.name}, or read what is there "
            "with partial"
        )
    if empty := [split for split in SPLITS if not kept[split]]:
        raise FileNotFoundError(f"{place} is not whole: {what}, and none of {', '.join(empty)}; download the task")
    return kept, [f"{what} and are left out"]


def _counts(partition: dict[str, tuple[str, ...]], task: GeobenchTask, fraction: float) -> list[str]:
    """Scores on fewer samples than published are not the benchmark's."""
    published = dict(zip(SPLITS, task.samples, strict=True))
    published["train"] = int(published["train"] * fraction)
    fewer = [f"{len(partition[s])} of {published[s]} ({s})" for s in SPLITS if len(partition[s]) != published[s]]
    if not fewer:
        return []
    return [f"not the published samples: {', '.join(fewer)}; scores do not compare with published ones"]


def _absent(partition: dict[str, tuple[str, ...]], place: Path, task: GeobenchTask) -> list[str]:
    """Classes that a split has no sample of, as far as the folder's own label statistics tell."""
    classes = _label_classes(place, len(task.classes))
    notes = []
    for split in SPLITS:
        if classes and all(name in classes for name in partition[split]):
            seen = set().union(*(classes[name] for name in partition[split]))
            lacking = [label for number, label in enumerate(task.classes) if number not in seen]
            if lacking:
                notes.append(f"no {split} sample has {', '.join(lacking)}")
    return notes


def _label_classes(place: Path, classes: int) -> dict[str, set[int]]:
    """Sample to its classes: from ``label_stats.json`` (share of each) or ``label_map.json`` (samples of each)."""
    if (path := place / "label_stats.json").is_file():
        rows = _json(path)
        if not isinstance(rows, dict) or not all(
            isinstance(row, list) and len(row) == classes and all(isinstance(share, int | float) for share in row)
            for row in rows.values()
        ):
            raise ValueError(f"{path}: it has to give {classes} numbers for each sample; download the task again")
        return {name: {number for number, share in enumerate(row) if share > 0} for name, row in rows.items()}
    if (path := place / "label_map.json").is_file():
        names_of = _json(path)
        found: dict[str, set[int]] = {}
        if not isinstance(names_of, dict) or not all(
            key.isdigit() and int(key) < classes and isinstance(names, list) for key, names in names_of.items()
        ):
            raise ValueError(f"{path}: it has to list samples for classes 0 to {classes - 1}; download the task again")
        for key, names in names_of.items():
            for name in names:
                found.setdefault(str(name), set()).add(int(key))
        return found
    return {}


def _measured(samples: Samples) -> tuple[Sensor, ...]:
    """The samples' sensors with mean and spread of what up to `MEASURED` of them hold, evenly spaced."""
    sums: list[np.ndarray] = []
    sensors: list[Sensor] = []
    for index in _spread(len(samples), MEASURED):
        observations = samples[index].observations
        sensors = sensors or [observation.sensor for observation in observations]
        sums = sums or [np.zeros((3, len(sensor))) for sensor in sensors]
        for total, observation in zip(sums, observations, strict=True):
            pixels, valid = observation.pixels.astype(np.float64), observation.valid
            total += [valid.sum((1, 2)), (pixels * valid).sum((1, 2)), (pixels**2 * valid).sum((1, 2))]
    normalised: list[Sensor] = []
    for (count, first, second), sensor in zip(sums, sensors, strict=True):
        mean = first / np.maximum(count, 1)
        spread = np.sqrt(np.maximum(second / np.maximum(count, 1) - mean**2, 0))
        known = (count > 0) & (spread > 0)
        means, stds = np.where(known, mean, sensor.means), np.where(known, spread, sensor.stds)
        own = replace(sensor, name=f"{sensor.name} of {samples.task.name}")
        normalised.append(own.normalised_with(means.tolist(), stds.tolist()))
    return tuple(normalised)

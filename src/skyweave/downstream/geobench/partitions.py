"""What a task's folder says of itself: its partitions, its specification, the classes of its samples; all checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyweave.core.errors import DataError
from skyweave.downstream.geobench.tasks import GeobenchTask
from skyweave.downstream.geobench.unpickle import MAX_PICKLE_BYTES, PickledObject, read_pickle

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of the training samples, for which the benchmark publishes partitions."""
SPLITS = ("train", "valid", "test")
Partition = dict[str, tuple[str, ...]]
"""Names of the samples of each split."""


def read_partition(place: Path, task: GeobenchTask, fraction: float) -> tuple[Partition, list[str]]:
    """Return the names of the samples of each split, and what to note of them.

    Args:
        place: folder of the task.
        task: that it should hold.
        fraction: of the training samples.

    Raises:
        FileNotFoundError: the folder has no such partition.
        DataError: no fraction that is published, a file that cannot be read, names that lead out of the folder.
    """
    _check_fraction(fraction, task)
    candidates = _partition_names(fraction)
    for candidate in candidates:
        path = place / f"{candidate}_partition.json"
        if path.is_file():
            partition = _splits(path)
            return partition, _repetition_notes(partition, path)
    there = ", ".join(sorted(path.name for path in place.glob("*_partition.json"))) or "none"
    raise FileNotFoundError(
        f"{place} has no partition {candidates[0]}_partition.json (it has {there}); download the task again"
    )


def _check_fraction(fraction: float, task: GeobenchTask) -> None:
    """Check that a partition is published for the fraction."""
    if fraction not in FRACTIONS:
        published = ", ".join(f"{value:g}" for value in FRACTIONS)
        raise DataError(f"fraction {fraction} of {task.name}: partitions are published for {published}")


def _partition_names(fraction: float) -> list[str]:
    """Return the names that the partition of a fraction may have."""
    candidates = ["default"] if fraction == 1.0 else []
    candidates.append(f"{fraction:.2f}x_train")
    return candidates


def check_specification(place: Path, task: GeobenchTask) -> None:
    """Check that the folder's own specification, where it is there, is of the same task.

    Args:
        place: folder of the task.
        task: that it should hold.

    Raises:
        DataError: it is of another.
    """
    path = place / "task_specs.pkl"
    if not path.is_file():
        return
    with path.open("rb") as stream:
        stored = read_pickle(stream.read(MAX_PICKLE_BYTES + 1), str(path))
    label = stored.get("label_type") if isinstance(stored, PickledObject) else None
    if not isinstance(label, PickledObject):
        raise DataError(f"{path}: it specifies no task of GEO-Bench; download the task again")
    classes = label.get("n_classes")
    if classes != len(task.classes):
        raise DataError(
            f"{path}: it specifies {classes} classes where {task.name} has {len(task.classes)}; this folder holds "
            "another task or version"
        )


def _missing_note(partition: Partition, missing: list[str]) -> str:
    """Return how many samples have no file, and the first of them."""
    total = sum(len(partition[split]) for split in SPLITS)
    return f"{len(missing)} of {total} samples have no file ({', '.join(missing[:3])}{', ...' * (len(missing) > 3)})"


def available_samples(
    partition: Partition, place: Path, task: GeobenchTask, partial: bool
) -> tuple[Partition, list[str]]:
    """Return the partition without samples whose files are missing, if that is allowed, and a note of them.

    Args:
        partition: names of the samples.
        place: folder of the task.
        task: that it holds.
        partial: samples may be missing.

    Raises:
        FileNotFoundError: samples are missing and that is not allowed, or none of a split is left.
    """
    there = {path.stem for path in place.glob("*.hdf5")}
    missing = _missing_samples(partition, there)
    if not missing:
        return partition, []
    what = _missing_note(partition, missing)
    kept = _kept_samples(partition, there)
    return _check_kept(partial, place, what, task, kept)


def _missing_samples(partition: Partition, there: set[str]) -> list[str]:
    """Return the samples that are not there."""
    return [name for split in SPLITS for name in partition[split] if name not in there]


def _kept_samples(partition: Partition, there: set[str]) -> Partition:
    """Return the samples that are there, by split."""
    return {split: tuple(name for name in partition[split] if name in there) for split in SPLITS}


def _check_kept(
    partial: bool, place: Path, what: str, task: GeobenchTask, kept: dict[str, tuple[str, ...]]
) -> tuple[Partition, list[str]]:
    """Keep what is there, if parts are wanted and no split is empty."""
    if not partial:
        raise FileNotFoundError(
            f"{place} is not whole: {what}; run: skyweave download geobench --task {task.name}, or read what is there "
            "with partial"
        )
    if empty := [split for split in SPLITS if not kept[split]]:
        raise FileNotFoundError(f"{place} is not whole: {what}, and none of {', '.join(empty)}; download the task")
    return kept, [f"{what} and are left out"]


def sample_count_notes(partition: Partition, task: GeobenchTask, fraction: float) -> list[str]:
    """Return a note where there are fewer samples than published: scores on them are not the benchmark's.

    Args:
        partition: names of the samples.
        task: with the published numbers.
        fraction: of the training samples.
    """
    published = dict(zip(SPLITS, task.samples, strict=True))
    published["train"] = int(published["train"] * fraction)
    fewer = [f"{len(partition[s])} of {published[s]} ({s})" for s in SPLITS if len(partition[s]) != published[s]]
    if not fewer:
        return []
    return [f"not the published samples: {', '.join(fewer)}; scores do not compare with published ones"]


def missing_class_notes(partition: Partition, place: Path, task: GeobenchTask) -> list[str]:
    """Return notes of classes that a split has no sample of, as far as the folder's own label statistics say.

    Args:
        partition: names of the samples.
        place: folder of the task.
        task: with its classes.

    Raises:
        DataError: statistics that cannot be read or are of other classes.
    """
    classes = _label_classes(place, len(task.classes))
    notes: list[str] = []
    for split in SPLITS:
        _note_missing_classes(classes, partition, split, task, notes)
    return notes


def _note_missing_classes(
    classes: dict[str, set[int]], partition: Partition, split: str, task: GeobenchTask, notes: list[str]
) -> None:
    """Note the classes that no sample of a split has."""
    if classes and _are_known(partition, split, classes):
        seen = set().union(*(classes[name] for name in partition[split]))
        lacking = [label for number, label in enumerate(task.classes) if number not in seen]
        if lacking:
            notes.append(f"no {split} sample has {', '.join(lacking)}")


def _are_known(partition: Partition, split: str, classes: dict[str, set[int]]) -> bool:
    """Return whether the classes of all samples of a split are known."""
    return all(name in classes for name in partition[split])


def _splits(path: Path) -> Partition:
    """Return the names in a partition file, checked."""
    content = _json(path)
    if not isinstance(content, Mapping) or any(split not in content for split in SPLITS):
        raise DataError(f"{path}: it has to name the samples of {', '.join(SPLITS)}; download the task again")
    return {split: _sample_names(content[split], split, path) for split in SPLITS}


def _repetition_notes(partition: Partition, path: Path) -> list[str]:
    """Return a note of samples that a partition names twice."""
    known = [name for split in SPLITS for name in partition[split]]
    twice = len(known) - len(set(known))
    return [f"{path.name} names {twice} samples twice, perhaps to train and to test"] * bool(twice)


def _leads_out(name: str) -> bool:
    """Say whether a file of this name could lie outside the folder."""
    return any(part in name for part in ("/", "\\", "\0")) or name.startswith("..")


def _sample_names(names: Any, split: str, path: Path) -> tuple[str, ...]:
    """Return the names of a split's samples, if they are names of files in its folder."""
    _check_names(names, path, split)
    _check_inside(names, path)
    if not names:
        raise DataError(f"{path}: {split} names no samples; download the task again")
    return tuple(names)


def _check_names(names: Any, path: Path, split: str) -> None:
    """Check that it is a list of names."""
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(f"{path}: {split} is no list of names; download the task again")


def _check_inside(names: list[Any], path: Path) -> None:
    """Check that no name leads out of the folder."""
    for name in names:
        if _leads_out(name):
            raise DataError(f"{path}: the sample name {name!r} leads out of the folder; refused")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON, or it breaks off ({error}); download the task again") from error


def _label_classes(place: Path, num_classes: int) -> dict[str, set[int]]:
    """Return the classes of each sample, as far as the folder says; nothing where it does not."""
    if (path := place / "label_stats.json").is_file():
        return _classes_from_shares(path, num_classes)
    if (path := place / "label_map.json").is_file():
        return _classes_from_map(path, num_classes)
    return {}


def _classes_from_shares(path: Path, num_classes: int) -> dict[str, set[int]]:
    """Read ``label_stats.json``: of each sample the share of each class."""
    rows = _json(path)
    if not isinstance(rows, dict) or not all(_are_shares(row, num_classes) for row in rows.values()):
        raise DataError(f"{path}: it has to give {num_classes} numbers for each sample; download the task again")
    return {name: _classes_with_share(row) for name, row in rows.items()}


def _classes_with_share(row: Any) -> set[int]:
    """Return the classes that have a share of a sample."""
    return {number for number, share in enumerate(row) if share > 0}


def _are_shares(row: Any, num_classes: int) -> bool:
    return isinstance(row, list) and len(row) == num_classes and all(isinstance(share, int | float) for share in row)


def _classes_from_map(path: Path, num_classes: int) -> dict[str, set[int]]:
    """Read ``label_map.json``: of each class its samples."""
    samples_of = _json(path)
    if not isinstance(samples_of, dict) or not all(
        key.isdigit() and int(key) < num_classes and isinstance(names, list) for key, names in samples_of.items()
    ):
        raise DataError(f"{path}: it has to list samples for classes 0 to {num_classes - 1}; download the task again")
    classes: dict[str, set[int]] = {}
    for key, names in samples_of.items():
        for name in names:
            classes.setdefault(str(name), set()).add(int(key))
    return classes

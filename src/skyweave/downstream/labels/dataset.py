"""Anybody's own data: a folder of rasters with masks, folders of classes or a table, as `LabelledData`."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.finetuning.tasks import count_classes
from skyweave.downstream.labels.config import LabelledDataConfig
from skyweave.downstream.labels.labelled_data import LabelledData, LabelledSample, Task
from skyweave.downstream.labels.reader import LabelledImageReader, TileLocation, Window, location_name
from skyweave.downstream.labels.samples import find_images
from skyweave.downstream.labels.splits import stratified_group_split


def load_labelled_dataset(data: LabelledDataConfig, root: Path, name: str) -> LabelledData:
    """The samples below ``root``; pixels are read when asked for.

    Raises:
        FileNotFoundError: no image, mask or table; named.
        ValueError: labels that do not fit images or classes, groups too few to split; named, with the remedy.
    """
    task = Task(name, data.task, data.labels.names)
    reader = LabelledImageReader(data, root, task)
    places = [place for path in find_images(data.source, root) for place in reader.places(path)]
    if not places:
        raise DataError(f"{name}: none of the images {data.source.files!r} in {root} has a label; check `labels`")
    counts = _counts(places, reader)
    notes: list[str] = []
    if data.split.kind == "given":
        part = np.array([reader.given(place.path) for place in places])
    else:
        group = [reader.group(place) for place in places]
        left_out, notes = _rare(counts, group, data.split.minimum_groups, task)
        reader.left_out = left_out
        counts[:, left_out] = 0
        keep = np.asarray(counts.any(1)) | (task.kind in ("regression", "detection", "multilabel"))
        chosen = np.flatnonzero(keep).tolist()
        places = [places[i] for i in chosen]
        part = stratified_group_split(counts[chosen], [group[i] for i in chosen], data.split)
    if data.split.kind == "blocks":
        places = _with_gaps(places, part, data.split.gap)
    train, validation, test = (
        TileSequence([places[i] for i in np.flatnonzero(part == number)], reader) for number in range(3)
    )
    return LabelledData(task, train, validation, test, notes=tuple(notes))


class TileSequence(Sequence[LabelledSample]):
    """Samples that are read when asked for."""

    def __init__(self, places: Sequence[TileLocation], reader: "LabelledImageReader") -> None:
        self.places, self.reader = places, reader

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        """One sample. Raises ``ValueError`` where its label does not fit."""
        return [self[i] for i in range(*index.indices(len(self)))] if isinstance(index, slice) else self._read(index)

    def _read(self, index: int) -> LabelledSample:
        return self.reader.sample(self.places[index])


def _counts(places: Sequence[TileLocation], reader: LabelledImageReader) -> np.ndarray:
    """(samples, classes) how much of each class a sample shows; quarters of the mean for regression."""
    task = reader.task
    if task.kind == "regression":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a tile without any value has no mean
            means = np.array([np.nanmean(reader.label(place)) for place in places])
        quarter = np.digitize(means, np.nanquantile(means, [0.25, 0.5, 0.75]))
        return np.eye(4)[quarter]
    counts = [count_classes(task, [LabelledSample((), reader.label(place), location_name(place))]) for place in places]
    return np.stack(counts)


def _rare(counts: np.ndarray, group: Sequence[str], minimum: int, task: Task) -> tuple[np.ndarray, list[str]]:
    """Classes that too few groups show, and a note of each."""
    if task.kind in ("regression", "multilabel", "detection") or not minimum:
        return np.zeros(counts.shape[1], bool), []
    index = np.unique(np.asarray(group), return_inverse=True)[1]
    shown = np.stack([np.bincount(index, counts[:, i]) > 0 for i in range(counts.shape[1])], 1).sum(0)
    rare = shown < minimum
    notes = [
        f"class {name!r} left out: {number} groups show it, fewer than {minimum}"
        for name, number, own in zip(task.classes, shown, rare, strict=True)
        if own and number
    ]
    return rare, notes


def _with_gaps(places: list[TileLocation], part: np.ndarray, gap: int) -> list[TileLocation]:
    """Training and validation places that know which windows around them are kept from them."""
    kept: dict[tuple[Path, int], list[Window]] = {}
    for place, own in zip(places, part, strict=True):
        if own and place.window:
            kept.setdefault((place.path, int(own)), []).append(place.window)
    result = []
    for place, own in zip(places, part, strict=True):
        if own == 0:
            near = (*kept.get((place.path, 1), ()), *kept.get((place.path, 2), ()))
            place = replace(place, near=near, gap=gap)
        elif own == 1:
            place = replace(place, near=tuple(kept.get((place.path, 2), ())), gap=gap)
        result.append(place)
    return result

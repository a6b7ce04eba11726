"""Labelled data of a task, split into training, validation and test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.finetuning.tasks.base import Task
from skyweave.downstream.labels.config import LabelledDataConfig
from skyweave.downstream.labels.images import image_notes
from skyweave.downstream.labels.labelled_images import LabelledImages, left_out_note
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.downstream.labels.splits import PARTS, stratified_group_split
from skyweave.downstream.labels.tiles import TileLocation, Window


@dataclass(frozen=True)
class LabelledData:
    """A task with its samples; the sequences may read from disk when asked for a sample.

    Attributes:
        task: what is predicted.
        train: samples to learn from.
        validation: samples to choose learning rates and weights by.
        test: samples that are scored once, at the end.
        notes: what a reader of the scores should know.
    """

    task: Task
    train: Sequence[LabelledSample]
    validation: Sequence[LabelledSample]
    test: Sequence[LabelledSample]
    notes: tuple[str, ...] = ()


class TileSequence(Sequence[LabelledSample]):
    """Samples that are read when asked for.

    Args:
        tiles: where they lie.
        images: that they are tiles of.
    """

    def __init__(self, tiles: Sequence[TileLocation], images: LabelledImages) -> None:
        self.tiles, self.images = tiles, images

    def __len__(self) -> int:
        return len(self.tiles)

    @overload
    def __getitem__(self, index: int) -> LabelledSample: ...
    @overload
    def __getitem__(self, index: slice) -> "TileSequence": ...
    def __getitem__(self, index: int | slice) -> "LabelledSample | TileSequence":
        if isinstance(index, slice):
            return TileSequence(self.tiles[index], self.images)
        return self.images.sample(self.tiles[index])


def load_labelled_dataset(
    config: LabelledDataConfig, task: Task, root: Path, test_root: Path | None = None
) -> LabelledData:
    """Find the samples below a data folder and split them; pixels are read when asked for.

    Args:
        config: images, labels and split, as declared.
        task: what is predicted.
        root: data folder.
        test_root: data folder of the same layout, all of which is the test part; that of ``root`` is not used then.

    Raises:
        FileNotFoundError: no image, mask or table; named.
        DataError: labels that do not fit images or classes, groups too few to split; named, with the remedy.
    """
    images = LabelledImages(config, root, task.label_kind)
    tiles = [tile for path in images.images.paths for tile in images.tiles(path)]
    if not tiles:
        raise DataError(f"{task.name}: no image in {root} is as large as a tile of {config.tiles}; use smaller ones")
    counts = task.label_kind.stratification([images.label(tile) for tile in tiles], len(task.classes))
    notes: list[str] = []
    if config.split.kind == "given":
        part = np.array([images.given_part(tile.path) for tile in tiles])
    else:
        tiles, part, notes = _split_by_groups(tiles, counts, images, task)
    if config.split.kind == "blocks":
        tiles = _with_gaps(tiles, part, config.split.gap)
    train, validation, test = (
        TileSequence([tiles[i] for i in np.flatnonzero(part == number)], images) for number in range(len(PARTS))
    )
    if test_root is not None:
        notes.append(f"tested on {test_root}; {len(test)} test samples of {root} are not used")
        test = _whole_folder(images, task, test_root)
        notes += left_out_note(test.images.reader)
    notes += image_notes(config.source, list(dict.fromkeys(tile.path for tile in tiles)))
    return LabelledData(task, train, validation, test, notes=(*left_out_note(images.reader), *notes))


def _whole_folder(images: LabelledImages, task: Task, root: Path) -> TileSequence:
    """Return all labelled tiles of another folder, without the classes that are left out of training."""
    others = LabelledImages(images.config, root, task.label_kind)
    others.left_out = images.left_out
    tiles = [tile for path in others.images.paths for tile in others.tiles(path)]
    counts = task.label_kind.stratification([others.label(tile) for tile in tiles], len(task.classes))
    if task.label_kind.is_exclusive and len(tiles):
        counts[:, others.left_out] = 0
        tiles = [tiles[i] for i in np.flatnonzero(counts.any(1))]
    return TileSequence(tiles, others)


def _split_by_groups(
    tiles: list[TileLocation], counts: np.ndarray, images: LabelledImages, task: Task
) -> tuple[list[TileLocation], np.ndarray, list[str]]:
    """Return the tiles that have a label, the part of each, and notes of the classes that are left out."""
    groups = [images.group(tile) for tile in tiles]
    notes: list[str] = []
    chosen = np.arange(len(tiles))
    if task.label_kind.is_exclusive:
        images.left_out, notes = _rare_classes(counts, groups, images.config.split.minimum_groups, task.classes)
        counts[:, images.left_out] = 0
        chosen = np.flatnonzero(counts.any(1))
    kept = chosen.tolist()
    part = stratified_group_split(counts[kept], [groups[i] for i in kept], images.config.split)
    return [tiles[i] for i in kept], part, notes


def _rare_classes(
    counts: np.ndarray, groups: Sequence[str], minimum: int, classes: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Return (classes,) bool of those that too few groups show, and a note of each."""
    if not minimum:
        return np.zeros(len(classes), bool), []
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    shown = np.stack([np.bincount(index, counts[:, i]) > 0 for i in range(len(classes))], 1).sum(0)
    rare = shown < minimum
    notes = [
        f"class {name!r} left out: {number} groups show it, fewer than {minimum}"
        for name, number, is_rare in zip(classes, shown, rare, strict=True)
        if is_rare and number
    ]
    return rare, notes


def _with_gaps(tiles: list[TileLocation], part: np.ndarray, gap: int) -> list[TileLocation]:
    """Return the tiles with the windows of the same image that are held out from them."""
    windows: dict[tuple[Path, int], list[Window]] = {}
    for tile, number in zip(tiles, part.tolist(), strict=True):
        if number and tile.window:
            windows.setdefault((tile.path, number), []).append(tile.window)
    result = []
    for tile, number in zip(tiles, part.tolist(), strict=True):
        held_out = [window for later in range(number + 1, len(PARTS)) for window in windows.get((tile.path, later), ())]
        result.append(tile if number == len(PARTS) - 1 else replace(tile, held_out=tuple(held_out), gap=gap))
    return result

"""Images with their labels, tile by tile, read when asked for."""

import re
from functools import cached_property
from pathlib import Path

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import Observation
from skyweave.downstream.labels.config import LabelConfig, LabelledDataConfig
from skyweave.downstream.labels.further_sources import read_further
from skyweave.downstream.labels.grouping import group_names
from skyweave.downstream.labels.image_files import ImageFiles, find_image_files
from skyweave.downstream.labels.images import image_header, read_cached_image
from skyweave.downstream.labels.kinds.base import LabelKind
from skyweave.downstream.labels.readers.base import LABEL_READERS, LabelReader
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.downstream.labels.second_dates import align_second, read_second
from skyweave.downstream.labels.splits import block_name, gap_mask, parse_part
from skyweave.downstream.labels.tiles import TileLocation, tile_windows

MAX_NAMES = 3
"""Of one kind in a note."""


class LabelledImages:
    """Images and labels below a data folder.

    Args:
        config: as declared.
        root: data folder.
        kind: of the labels.

    Attributes:
        left_out: (classes,) bool, classes whose labels do not count.

    Raises:
        ConfigError: labels that cannot be of this kind, or whose reader lacks a key.
        FileNotFoundError: no table of labels.
        DataError: a table without the columns that are asked for.
    """

    def __init__(self, config: LabelledDataConfig, root: Path, kind: LabelKind) -> None:
        self.config, self.root, self.kind = config, root, kind
        self.images = find_image_files(config.source, root, config.name)
        self.reader = open_labels(config.labels, self.images, kind.is_exclusive)
        self.left_out: np.ndarray = np.zeros(len(config.labels.class_names), bool)

    def tiles(self, path: Path) -> list[TileLocation]:
        """Return where the tiles of an image lie; none where it has no label.

        Args:
            path: of the image.
        """
        if not self.reader.has_label(path):
            return []
        if self.config.second is not None:
            align_second(self.images, self.config.second, path)
        return [TileLocation(path, window) for window in tile_windows(image_header(path).shape, self.config.tiles)]

    def sample(self, tile: TileLocation) -> LabelledSample:
        """Read images and label of a tile, without classes that are left out and what is near held-out blocks.

        Args:
            tile: where it lies.

        Raises:
            FileNotFoundError: no image of the second date.
            DataError: a label that does not fit; names the file.
        """
        label = self.kind.without_classes(self.label(tile), self.left_out)
        if tile.held_out and tile.window is not None:
            label = self.kind.without_pixels(label, gap_mask(tile.window, tile.held_out, tile.gap))
        sample = LabelledSample(self._observations(tile), label, tile.name)
        return check_sample(sample, self.kind, len(self.config.labels.class_names))

    def label(self, tile: TileLocation) -> Label:
        """Read the label of a tile, with all classes.

        Args:
            tile: where it lies.

        Raises:
            DataError: what is stored does not fit; names the file.
        """
        stored = self.reader.read(tile.path, tile.window, image_header(tile.path).shape)
        return self.kind.parse(stored, self.config.labels, self.reader.source(tile.path))

    def group(self, tile: TileLocation) -> str:
        """Return the name of what must stay together: a block of the image, or a group of files.

        Args:
            tile: where it lies.

        Raises:
            DataError: the split's pattern does not match the file name.
        """
        split = self.config.split
        if split.kind == "blocks":
            top, left = tile.window[:2] if tile.window else (0, 0)
            return block_name(split, str(tile.path), top, left)
        return self._groups[tile.path]

    @cached_property
    def _groups(self) -> dict[Path, str]:
        paths = self.images.paths
        return dict(zip(paths, group_names(self.config.split, paths, self.images), strict=True))

    def given_part(self, path: Path) -> int:
        """Return the part of the split that a column of the table or the path names.

        Args:
            path: of the image.

        Returns:
            Index into `skyweave.downstream.labels.splits.PARTS`.

        Raises:
            DataError: neither says one.
        """
        split = self.config.split
        if split.column is not None:
            text = self.reader.column_value(path, split.column)
            if text is None:
                raise DataError(f"{path}: no column {split.column!r} in the table of labels says its part")
            return parse_part(text, str(path))
        return parse_part(self._part_in_path(path, split.pattern or ""), str(path))

    def _part_in_path(self, path: Path, pattern: str) -> str:
        """Return what the pattern of the split captures in the path of an image."""
        try:
            match = re.search(pattern, self.images.relative(path))
        except re.error as error:
            raise ConfigError(f"split.pattern {pattern!r} is no regular expression: {error}") from error
        if match is None:
            raise DataError(f"split.pattern {pattern!r} does not match {path}; correct it")
        return match["part"]

    def _observations(self, tile: TileLocation) -> tuple[Observation, ...]:
        images = [read_cached_image(self.config.source, tile.path)]
        if self.config.second is not None:
            images.append(read_second(self.images, self.config.source, self.config.second, tile.path, images[0]))
        parts = [image if tile.window is None else image.window(*tile.window) for image in images]
        others = (
            read_further(self.images, source, tile.path, images[0], tile.window) for source in self.config.further
        )
        return (*parts, *others)


def open_labels(config: LabelConfig, images: ImageFiles, is_exclusive: bool) -> LabelReader:
    """Return the reader of the labels of images.

    Args:
        config: as declared.
        images: that may be labelled.
        is_exclusive: an image has one class.

    Raises:
        UnknownNameError: no such kind of label files.
        ConfigError: a key that the reader needs is missing.
        FileNotFoundError: no table of labels.
        DataError: a table without the columns that are asked for; no image that has a label, or labels of which it
            cannot be told whose they are.
    """
    reader = LABEL_READERS[config.kind](config, images, is_exclusive)
    if not any(map(reader.has_label, images.paths)):
        first = images.paths[0]
        raise DataError(
            f"none of the images ({len(images.paths)}) has a label: {images.relative(first)} has none in "
            f"{reader.source(first)}; check `labels`"
        )
    return reader


def left_out_note(reader: LabelReader) -> list[str]:
    """Return one note that names and counts what is left out or was guessed; none where all is used.

    Args:
        reader: of the labels, after all of them were read.
    """
    parts = []
    for reason, names in reader.left_out().items():
        if names:
            parts.append(f"{reason}: {_count_names(names)}")
    return [f"labels: {'; '.join(parts)}"] if parts else []


def _count_names(names: list[str]) -> str:
    """Return how many names there are, and the first of them."""
    more = "" if len(names) <= MAX_NAMES else f" and {len(names) - MAX_NAMES} more"
    return f"{len(names)} ({', '.join(names[:MAX_NAMES])}{more})"


def check_labels(config: LabelConfig, kind: LabelKind, user: str) -> None:
    """Check that labels can be of a kind, before anything is read.

    Args:
        config: as declared.
        kind: that is needed.
        user: what needs it, for messages.

    Raises:
        ConfigError: they cannot; names what can.
    """
    if config.kind not in LABEL_READERS or config.kind not in kind.readers:
        raise ConfigError(f"{user} cannot have labels of kind {config.kind!r}; use {', '.join(kind.readers)}")
    LABEL_READERS[config.kind].check_config(config)
    if kind.needs_stored_values and not isinstance(config.classes, dict):
        raise ConfigError("masks need `classes` as a mapping from stored value to name, such as {0: no, 1: yes}")


def check_sample(sample: LabelledSample, kind: LabelKind, num_classes: int) -> LabelledSample:
    """Return the sample, if its label fits its images and the classes.

    Args:
        sample: any.
        kind: that its label should be of.
        num_classes: of the task.

    Raises:
        DataError: a class out of range, a mask of another size, values that are not finite; names sample and remedy.
    """
    label = np.asarray(sample.label)
    where = sample.name or sample.observations[0].source
    kind.check(label, num_classes, sample.observations[0].shape, where)
    return sample

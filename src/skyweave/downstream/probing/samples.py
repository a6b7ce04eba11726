"""From files to the samples of a probe: tiles, cells with a target, and the groups that must stay together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.downstream.labels.grouping import group_names
from skyweave.downstream.labels.image_files import ImageFiles, find_image_files
from skyweave.downstream.labels.images import image_notes, read_image
from skyweave.downstream.labels.kinds.image_labels import class_index
from skyweave.downstream.labels.kinds.masks import ClassMask, ValueMask
from skyweave.downstream.labels.labelled_images import left_out_note, open_labels
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.readers.mask import StoredMask
from skyweave.downstream.labels.readers.stored_boxes import StoredBoxes
from skyweave.downstream.labels.second_dates import read_second
from skyweave.downstream.labels.shared_ground import refuse_shared_files
from skyweave.downstream.labels.splits import block_name
from skyweave.downstream.labels.tiles import tile_windows
from skyweave.downstream.probing.cells import box_classes, majority_classes, positive_shares
from skyweave.downstream.probing.config import ProbeConfig

MINIMUM_VALID_SHARE = 0.5
"""A sample needs at least this share of pixels with a valid band."""
Cell = tuple[int, int, float]
"""Row and column in a tile's grid of cells, and the target."""


@dataclass(frozen=True)
class ProbeSamples:
    """Everything a row of the table needs, whichever features it uses.

    Attributes:
        images: the tiles (or whole images) that features are computed from.
        image: (samples,) int, index of the sample's tile.
        cell: (samples, 2) int, row and column in the tile's grid of cells; zeros where the sample is the whole tile.
        target: (samples,) int class index, or float.
        group: (samples,) int, samples of one group are never on both sides of a split.
        place: (samples,) int, the file a sample is from.
        position: (samples, 2) int, upper left pixel of the sample in its file.
        testable: (samples,) bool, False for samples that are only ever trained on.
        classes: names, empty for regression.
        cell_size: side in pixels, None where the sample is the whole tile.
        notes: what the reader should know (files that a rule caught, images left out).
        later: of change, the same tiles on the second date; empty otherwise.
    """

    images: list[Observation]
    image: np.ndarray
    cell: np.ndarray
    target: np.ndarray
    group: np.ndarray
    place: np.ndarray
    position: np.ndarray
    testable: np.ndarray
    classes: list[str]
    cell_size: int | None
    notes: list[str] = field(default_factory=list)
    later: list[Observation] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.target)

    def gather_features(self, compute: Callable[[list[Observation]], list[np.ndarray]]) -> np.ndarray:
        """Return (samples, channels) float32 of maps: of change, the amount by which they differ between the dates.

        Args:
            compute: from tiles to (channels, cell rows, cell columns) of each.
        """
        maps = compute([*self.images, *self.later])
        values = self.gather(maps[: len(self.images)])
        return np.abs(values - self.gather(maps[len(self.images) :])) if self.later else values

    def gather(self, maps: list[np.ndarray]) -> np.ndarray:
        """Return (samples, channels) float32: each sample's cell of its tile's map.

        Args:
            maps: (channels, cell rows, cell columns) of each tile.
        """
        rows = [maps[i][:, row, column] for i, (row, column) in zip(self.image, self.cell, strict=True)]
        return np.stack(rows).astype(np.float32)

    @cached_property
    def rows_of_image(self) -> list[np.ndarray]:
        """Indices of the samples of each tile."""
        order = np.argsort(self.image, kind="stable")
        return np.split(order, np.searchsorted(self.image[order], np.arange(1, len(self.images))))

    def keep(self, kept: np.ndarray, notes: list[str]) -> "ProbeSamples":
        """Return some of the samples.

        Args:
            kept: (samples,) bool.
            notes: that are added.
        """
        rows = {f.name: getattr(self, f.name)[kept] for f in fields(self) if f.type is np.ndarray}
        return replace(self, **rows, notes=[*self.notes, *notes])


@dataclass(frozen=True)
class _Row:
    """A sample before all are known."""

    image: int
    cell: tuple[int, int]
    target: float
    group: str
    place: str
    position: tuple[int, int]
    testable: bool


def load_probe_samples(config: ProbeConfig, data: Path, test_data: Path | None = None) -> ProbeSamples:
    """Read all images and labels of a probe.

    Args:
        config: of the probe.
        data: folder that its paths start from.
        test_data: folder of the same layout: then everything below ``data`` is training only, and tests come from here.

    Raises:
        FileNotFoundError: no file matches; the pattern and the folder are named.
        DataError: labels that do not fit the images; the file and the value are named.
    """
    collected = _Collected(config)
    if test_data is None:
        collected.read_folder(data, testable=True, maximum=config.max_images)
    else:
        collected.read_folder(data, testable=False, maximum=config.max_images)
        collected.read_folder(test_data, testable=True)
        refuse_shared_files(collected.paths[False], collected.paths[True])
    return collected.samples()


def without_rare_classes(samples: ProbeSamples, minimum: int) -> ProbeSamples:
    """Leave out classes with too few samples to test, each with a note; classes keep their index.

    Args:
        samples: of the probe.
        minimum: samples to test.

    Raises:
        DataError: no class is left.
    """
    count = [int((samples.target[samples.testable] == index).sum()) for index in range(len(samples.classes))]
    rare = [index for index, number in enumerate(count) if number < minimum]
    if not rare:
        return samples
    kept = ~np.isin(samples.target, rare)
    if not (kept & samples.testable).any():
        raise DataError(f"no class has {minimum} samples to test; lower minimum_class_samples")
    notes = [f"class {samples.classes[i]!r} left out: {count[i]} samples, fewer than {minimum}" for i in rare]
    return samples.keep(kept, notes)


class _Collected:
    """Tiles and samples as they are read."""

    def __init__(self, config: ProbeConfig) -> None:
        self.config = config
        self.images: list[Observation] = []
        self.later: list[Observation] = []
        self.rows: list[_Row] = []
        self.notes: list[str] = []
        self.paths: dict[bool, list[Path]] = {False: [], True: []}  # by whether they are tested on

    def read_folder(self, root: Path, testable: bool, maximum: int | None = None) -> None:
        """Read the images below a data folder that have a label, or as many of them drawn with a fixed seed."""
        config = self.config
        images = find_image_files(config.data.source, root, config.data.name)
        labels = open_labels(config.data.labels, images, is_exclusive=True)
        paths = _draw_images(list(filter(labels.has_label, images.paths)), maximum)
        self.paths[testable] += paths
        groups = group_names(config.data.split, paths, images)
        for path, group in zip(paths, groups, strict=True):
            before = len(self.rows)
            self._read_file(path, group, root, images, labels, testable)
            if len(self.rows) == before:
                self.notes.append(f"{path.name}: no labelled, valid sample in it")
        self.notes += [*left_out_note(labels), *(image_notes(config.data.source, paths) if paths else [])]

    def _read_file(
        self, path: Path, group: str, root: Path, images: ImageFiles, labels: LabelReader, testable: bool
    ) -> None:
        """Read one image, its second date where there is one, and its samples."""
        config = self.config
        observation, note = read_image(config.data.source, path)
        self.notes += [note] if note else []
        later = None
        if config.data.second is not None:
            later = read_second(images, config.data.source, config.data.second, path, observation)
        for tile, corner, cells in _labelled_tiles(observation, labels, path, config):
            self.images.append(tile)
            if later is not None:
                self.later.append(later if tile.shape == later.shape else later.window(*corner, *tile.shape))
            self.rows += self._rows(cells, corner, root, path, group, testable)

    def _rows(
        self, cells: list[Cell], corner: tuple[int, int], root: Path, path: Path, file_group: str, testable: bool
    ) -> Iterator[_Row]:
        split, side = self.config.data.split, self.config.cell or 0
        place, group = f"{root}:{path.relative_to(root)}", f"{root}:{file_group}"
        for row, column, target in cells:
            y, x = corner[0] + row * side, corner[1] + column * side
            name = block_name(split, place, y, x) if split.kind == "blocks" else group
            yield _Row(len(self.images) - 1, (row, column), target, name, place, (y, x), testable)

    def samples(self) -> ProbeSamples:
        """Return all that was read. Raises ``DataError`` where nothing has a label."""
        config, rows = self.config, self.rows
        if not rows:
            raise DataError(f"probe {config.name!r}: no sample has both a label and valid pixels")
        return ProbeSamples(
            images=self.images,
            image=np.array([row.image for row in rows]),
            cell=np.array([row.cell for row in rows]),
            target=np.array([row.target for row in rows], np.float32 if config.is_regression else np.int64),
            group=_indices([row.group for row in rows]),
            place=_indices([row.place for row in rows]),
            position=np.array([row.position for row in rows]),
            testable=np.array([row.testable for row in rows]),
            classes=list(config.class_names),
            cell_size=config.cell,
            notes=self.notes,
            later=self.later,
        )


def _labelled_tiles(
    observation: Observation, labels: LabelReader, path: Path, config: ProbeConfig
) -> Iterator[tuple[Observation, tuple[int, int], list[Cell]]]:
    """Yield tile, its upper left pixel and its samples, for every tile of an image that has a sample."""
    stored = labels.read(path, None, observation.shape)
    grid = None if config.cell is None else _cell_targets(stored, observation.shape, labels.source(path), config)
    windows = tile_windows(observation.shape, config.data.tiles)
    for window in windows:
        tile = observation if window is None else observation.window(*window)
        top, left = (0, 0) if window is None else window[:2]
        seen = np.asarray(tile.valid.any(axis=0))
        if grid is None or config.cell is None:
            index = class_index(stored, config.data.labels, labels.source(path))
            cells = [(0, 0, float(index))] if seen.mean() >= MINIMUM_VALID_SHARE else []
        else:
            cells = _valid_cells(seen, grid, top, left, config.cell)
            cells = _draw_cells(cells, config, len(windows), seed=top * 65536 + left)
        if cells:
            yield tile, (top, left), cells


def _draw_cells(cells: list[Cell], config: ProbeConfig, tiles: int, seed: int) -> list[Cell]:
    """Return some of a tile's cells: its part of those of an image, and not too many of a class."""
    if config.samples_per_image:
        cells = _draw(cells, max(1, round(config.samples_per_image / tiles)), seed)
    if config.samples_per_class:
        cells = _draw_classes(cells, config.samples_per_class, seed)
    return cells


def _cell_targets(
    stored: StoredMask | StoredBoxes, shape: tuple[int, int], source: str, config: ProbeConfig
) -> np.ndarray:
    """Return (cell rows, cell columns) float32 target of each cell, NaN where it has none."""
    assert config.cell is not None
    labels = config.data.labels
    if isinstance(stored, StoredBoxes):
        return box_classes(stored, shape, config.cell, config.class_names)
    if config.is_regression:
        return positive_shares(np.asarray(ValueMask().parse(stored, labels, source)), config.cell)
    classes = np.asarray(ClassMask().parse(stored, labels, source))
    return majority_classes(classes, config.cell, len(labels.class_names), config.minimum_share)


def _valid_cells(seen: np.ndarray, grid: np.ndarray, top: int, left: int, cell: int) -> list[Cell]:
    rows, columns = seen.shape[0] // cell, seen.shape[1] // cell
    share = seen[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).mean(axis=(1, 3))
    part = grid[top // cell : top // cell + rows, left // cell : left // cell + columns]
    kept = np.isfinite(part) & (share >= MINIMUM_VALID_SHARE)
    return [(int(row), int(column), float(part[row, column])) for row, column in np.argwhere(kept)]


def _draw_images(paths: list[Path], maximum: int | None) -> list[Path]:
    if maximum is None or len(paths) <= maximum:
        return paths
    return [paths[i] for i in sorted(np.random.default_rng(0).permutation(len(paths))[:maximum])]


def _draw(cells: list[Cell], count: int, seed: int) -> list[Cell]:
    if len(cells) <= count:
        return cells
    chosen = np.random.default_rng(seed).choice(len(cells), count, replace=False)
    return [cells[i] for i in sorted(chosen)]


def _draw_classes(cells: list[Cell], count: int, seed: int) -> list[Cell]:
    of_class: dict[float, list[Cell]] = {}
    for cell in cells:
        of_class.setdefault(cell[2], []).append(cell)
    return [cell for members in of_class.values() for cell in _draw(members, count, seed)]


def _indices(names: list[str]) -> np.ndarray:
    return np.unique(np.array(names), return_inverse=True)[1]

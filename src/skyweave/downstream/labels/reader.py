"""Images and labels of a user's files, tile by tile."""

import csv
import re
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.data.header import read_header
from skyweave.downstream.labels.config import LabelConfig, LabelledDataConfig
from skyweave.downstream.labels.label_files import load_labels
from skyweave.downstream.labels.labelled_data import IGNORE_INDEX, LabelledSample, Task, check_sample
from skyweave.downstream.labels.probe_config import ImageSourceConfig, ProbeLabelConfig
from skyweave.downstream.labels.samples import read_image
from skyweave.downstream.labels.splits import gap_mask, group_name, parse_part

Window = tuple[int, int, int, int]
"""Top, left, rows, columns."""
MIN_TILE_SIDE = 8
"""Pixels below which what is left at an image's edge makes no tile."""


@dataclass(frozen=True)
class TileLocation:
    """A sample that was not read yet: a window of a file (None: all of it); ``near``: held-out windows around it."""

    path: Path
    window: Window | None
    near: tuple[Window, ...] = ()
    gap: int = 0


class LabelledImageReader:
    """Images and labels of places."""

    def __init__(self, data: LabelledDataConfig, root: Path, task: Task) -> None:
        self.data, self.root, self.task = data, root, task
        self.left_out: np.ndarray = np.zeros(len(task.classes), bool)
        self.values = list(data.labels.classes) if isinstance(data.labels.classes, dict) else []
        labels = data.labels
        self.table = _read_table(root / (labels.files or ""), labels) if labels.kind in ("csv", "boxes") else {}
        plain = ProbeLabelConfig(
            "pattern" if labels.kind != "folder" else "folder",
            pattern=labels.pattern or "(?P<label>)",
            file_column=labels.file_column,
            classes=list(labels.names) or ["value"],
            where=labels.where,
            where_files=labels.where_files or labels.files,
        )
        self.targets = load_labels(plain, root)

    def places(self, path: Path) -> list[TileLocation]:
        """The tiles of a file, none where it has no label."""
        labels = self.data.labels
        if not self.targets.has(path):
            return []
        if labels.kind == "mask" and not self.mask_path(path).is_file():
            return []
        if labels.kind in ("csv", "boxes") and path.stem not in self.table:
            return []
        tile = self.data.tile
        rows, columns = _shape(path)
        if tile is None or max(rows, columns) <= tile:
            return [TileLocation(path, None)]
        return [
            TileLocation(path, (top, left, min(tile, rows - top), min(tile, columns - left)))
            for top in range(0, rows, tile)
            for left in range(0, columns, tile)
            if min(rows - top, columns - left) >= MIN_TILE_SIDE
        ]

    def sample(self, place: TileLocation) -> LabelledSample:
        """Images and label of a place."""
        paths = [place.path]
        if self.data.second is not None:
            paths.append(self.root / self.data.second.format(name=self.name(place.path)))
        observations = []
        for path in paths:
            whole = _image(self.data.source, path)
            observations.append(whole if place.window is None else whole.window(*place.window))
        sample = LabelledSample(tuple(observations), self.label(place), location_name(place))
        return check_sample(self._without(sample, place), self.task)

    def _without(self, sample: LabelledSample, place: TileLocation) -> LabelledSample:
        """The label without rare classes and without what is near held-out blocks."""
        label = np.asarray(sample.label)
        if self.task.kind in ("segmentation", "change"):
            label = np.where(np.isin(label, np.flatnonzero(self.left_out)), IGNORE_INDEX, label)
        if place.near and place.window is not None:
            near = gap_mask(place.window, place.near, place.gap)
            label = np.where(near, np.nan if self.task.kind == "regression" else IGNORE_INDEX, label).astype(
                label.dtype
            )
        return replace(sample, label=label if label.ndim else sample.label)

    def label(self, place: TileLocation) -> Any:
        """Of a place, as `LabelledSample` wants it."""
        labels, path = self.data.labels, place.path
        if labels.kind in ("folder", "pattern"):
            return self.targets.image(path)
        if labels.kind == "csv":
            return self._from_table(path)
        if labels.kind == "boxes":
            return self._boxes(path, place.window)
        stored = self._mask(path, place.window)
        if self.task.kind == "regression":
            return stored
        return _as_classes(stored, self.values, labels.ignore, str(self.mask_path(path)))

    def _from_table(self, path: Path) -> Any:
        text = self.table[path.stem][0].get(self.data.labels.label_column or "label", "")
        names = [own.strip() for own in text.split(";") if own.strip()] if self.task.kind == "multilabel" else [text]
        if unknown := [own for own in names if own not in self.task.classes]:
            raise DataError(
                f"{path}: label {unknown[0]!r} is none of the classes {', '.join(self.task.classes)}; correct the "
                "table, or name the class"
            )
        index = [self.task.classes.index(own) for own in names]
        if self.task.kind != "multilabel":
            return index[0]
        return np.isin(np.arange(len(self.task.classes)), index)

    def _boxes(self, path: Path, window: Window | None) -> np.ndarray:
        """Boxes whose centre lies in the window, cut to it."""
        column = self.data.labels.label_column
        boxes = []
        for row in self.table[path.stem]:
            name = row[column] if column else self.task.classes[0]
            if name not in self.task.classes:
                raise DataError(f"{path}: box of {name!r}, none of the classes {', '.join(self.task.classes)}")
            sides = [row[own].strip() for own in self.data.labels.box_columns]
            if all(sides):  # a row without numbers says that there is nothing
                boxes.append([*(float(own) for own in sides), self.task.classes.index(name)])
        found = np.array(boxes, np.float32).reshape(-1, 5)
        if window is None:
            return found
        top, left, rows, columns = window
        found[:, [0, 2]] -= left
        found[:, [1, 3]] -= top
        x, y = (found[:, 0] + found[:, 2]) / 2, (found[:, 1] + found[:, 3]) / 2
        found = found[(x >= 0) & (x < columns) & (y >= 0) & (y < rows)]
        found[:, [0, 2]] = found[:, [0, 2]].clip(0, columns)
        found[:, [1, 3]] = found[:, [1, 3]].clip(0, rows)
        return found

    def _mask(self, path: Path, window: Window | None) -> np.ndarray:
        """Stored classes int64, or values float32 with NaN."""
        stored, valid = _stored_mask(self.mask_path(path))
        shape = _shape(path)
        if stored.shape != shape:
            raise DataError(
                f"{self.mask_path(path)} has {stored.shape[0]} x {stored.shape[1]} pixels, its image {shape[0]} x "
                f"{shape[1]}; bring both to one grid"
            )
        if window is not None:
            part = (slice(window[0], window[0] + window[2]), slice(window[1], window[1] + window[3]))
            stored, valid = stored[part], valid[part]
        if self.task.kind == "regression":
            known = valid if self.data.labels.nodata is None else valid & (stored != self.data.labels.nodata)
            return np.where(known, stored, np.nan).astype(np.float32)
        return stored.astype(np.int64)

    def mask_path(self, path: Path) -> Path:
        """The mask of an image."""
        return self.root / (self.data.labels.files or "").format(name=self.name(path))

    def name(self, path: Path) -> str:
        """An image's name, by which masks and second dates are found."""
        if self.data.name is None:
            return path.stem
        match = re.search(self.data.name, path.name)
        if match is None:
            raise DataError(f"name {self.data.name!r} does not match the file name {path.name!r}; correct it")
        return match.group(1) if match.groups() else match.group(0)

    def group(self, place: TileLocation) -> str:
        """What must stay together."""
        if self.data.split.kind == "blocks":
            top, left = place.window[:2] if place.window else (0, 0)
            return f"{place.path}:{top // self.data.split.block}:{left // self.data.split.block}"
        folder = place.path.parent.name if self.data.split.pattern is None else ""
        return f"{folder}:{group_name(self.data.split, place.path)}"

    def given(self, path: Path) -> int:
        """The part that a column or the path names."""
        if self.data.split.column is not None:
            rows = self.table.get(path.stem)
            if not rows or self.data.split.column not in rows[0]:
                raise DataError(f"{path}: no column {self.data.split.column!r} in the table of labels says its part")
            return parse_part(rows[0][self.data.split.column], str(path))
        match = re.search(self.data.split.pattern or "", str(path.relative_to(self.root)))
        if match is None:
            raise DataError(f"split.pattern {self.data.split.pattern!r} does not match {path}; correct it")
        return parse_part(match["part"], str(path))


def _as_classes(stored: np.ndarray, values: list[int], ignore: list[int], source: str) -> np.ndarray:
    """Stored values to class indices. Raises ``ValueError`` for values that are neither classes nor ignored."""
    unknown = sorted(set(np.unique(stored).tolist()) - set(values) - set(ignore))
    if unknown:
        raise DataError(
            f"{source}: values {unknown[:8]} are neither classes {values} nor ignored {ignore}; add them to one of both"
        )
    label = np.full(stored.shape, IGNORE_INDEX, np.int64)
    for index, value in enumerate(values):
        label[stored == value] = index
    return label


@lru_cache(maxsize=4096)
def _shape(path: Path) -> tuple[int, int]:
    return read_header(path).shape


@lru_cache(maxsize=8)
def _stored_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            stored = dataset.read(1)
            nodata = dataset.nodata
    valid = np.isfinite(stored) if stored.dtype.kind == "f" else np.ones(stored.shape, bool)
    return stored, valid if nodata is None else valid & (stored != nodata)


_IMAGES: dict[tuple[str, Path], Observation] = {}


def _image(source: ImageSourceConfig, path: Path) -> Observation:
    """A whole image; the last few are kept, since their tiles are read one after the other."""
    key = (repr(source), path)
    if key not in _IMAGES:
        if not path.is_file():
            raise FileNotFoundError(f"no image {path}; check `second` and `name`")
        while len(_IMAGES) >= 4:
            _IMAGES.pop(next(iter(_IMAGES)))
        _IMAGES[key] = read_image(source, path)[0]
    return _IMAGES[key]


def _read_table(path: Path, labels: LabelConfig) -> dict[str, list[dict[str, str]]]:
    """Rows by the name of their file."""
    if not path.is_file():
        raise FileNotFoundError(f"no table of labels {path}; check labels.files")
    wanted = [labels.file_column]
    if labels.kind == "boxes":
        wanted += labels.box_columns
    if labels.label_column or labels.kind == "csv":
        wanted.append(labels.label_column or "label")
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in wanted if column not in (reader.fieldnames or [])]
        if missing:
            raise DataError(f"{path}: no column {missing[0]!r}; it has {', '.join(reader.fieldnames or [])}")
        rows: dict[str, list[dict[str, str]]] = {}
        for row in reader:
            rows.setdefault(Path(row[labels.file_column]).stem, []).append(row)
    return rows


def location_name(place: TileLocation) -> str:
    """For messages."""
    return place.path.name if place.window is None else f"{place.path.name}[{place.window[0]}:{place.window[1]}]"

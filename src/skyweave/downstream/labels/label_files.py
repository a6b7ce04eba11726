"""Reading labels: folders, file names, tables, label rasters and masks."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.labels.probe_config import ProbeLabelConfig


@dataclass(frozen=True)
class LabelLookup:
    """Labels of one data directory.

    Attributes:
        classes: names in index order, empty for regression.
        has: whether an image is labelled at all.
        image: class index of a whole image.
        grid: (path, image shape, cell) to (rows, columns) float, class index or share, NaN where unlabelled.
    """

    classes: list[str]
    has: Callable[[Path], bool]
    image: Callable[[Path], int]
    grid: Callable[[Path, tuple[int, int], int], np.ndarray]


def load_labels(labels: ProbeLabelConfig, root: Path) -> LabelLookup:
    """The labels below ``root``. Raises ``ValueError`` naming the file and the value that does not fit."""
    chosen = _where(labels, root)
    if labels.kind in ("dense", "fraction"):
        files = labels.files or ""

        def raster(path: Path) -> Path:
            return root / files.format(name=path.stem)

        def grid(path: Path, shape: tuple[int, int], cell: int) -> np.ndarray:
            mask = _read_mask(raster(path), shape)
            if labels.kind == "fraction":
                return share_of_positive(mask, cell)
            assert isinstance(labels.classes, dict)
            return majority(mask, cell, labels.classes, labels.ignore, labels.minimum_share, str(raster(path)))

        names = list(labels.classes.values()) if isinstance(labels.classes, dict) else []
        return LabelLookup(names, lambda path: chosen(path) and raster(path).is_file(), _no_image_label, grid)
    label_of = _label_function(labels, root)
    names = list(labels.classes.values()) if isinstance(labels.classes, dict) else list(labels.classes or [])
    if not names:
        raise DataError("labels need `classes`, the list of names in a fixed order")

    def image(path: Path) -> int:
        label = label_of(path)
        if label not in names:
            raise DataError(f"{path}: label {label!r} is none of the classes {', '.join(names)}")
        return names.index(label)

    return LabelLookup(names, lambda path: chosen(path) and label_of(path) is not None, image, _no_grid)


def majority(
    mask: np.ndarray, cell: int, classes: dict[int, str], ignore: list[int], minimum_share: float, source: str
) -> np.ndarray:
    """The class that most pixels of a cell carry.

    Args:
        mask: (rows, columns) stored label values.
        minimum_share: a cell is labelled if its majority class covers at least this share of all its pixels.

    Returns:
        (rows // cell, columns // cell) float32, index into ``classes`` or NaN.

    Raises:
        ValueError: a stored value that is neither a class nor ignored.
    """
    values = list(classes)
    unknown = sorted(set(np.unique(mask).tolist()) - set(values) - set(ignore))
    if unknown:
        raise DataError(f"{source}: label values {unknown} are neither classes {values} nor ignored {ignore}")
    shares = np.stack([_cell_mean((mask == value).astype(np.float32), cell) for value in values])
    return np.where(shares.max(axis=0) >= minimum_share, shares.argmax(axis=0), np.nan).astype(np.float32)


def share_of_positive(mask: np.ndarray, cell: int) -> np.ndarray:
    """(rows // cell, columns // cell) float32, share of a cell's pixels that are positive."""
    return _cell_mean((mask > 0).astype(np.float32), cell)


def _cell_mean(values: np.ndarray, cell: int) -> np.ndarray:
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    return values[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).mean(axis=(1, 3))


def _label_function(labels: ProbeLabelConfig, root: Path) -> Callable[[Path], str | None]:
    if labels.kind == "folder":
        return lambda path: path.parent.name
    if labels.kind == "pattern":
        pattern = re.compile(labels.pattern or "")

        def from_name(path: Path) -> str | None:
            match = pattern.search(path.name)
            return match["label"] if match else None

        return from_name
    table = _read_table(root / (labels.files or ""), [labels.file_column, labels.label_column])
    by_name = {Path(row[labels.file_column]).stem: row[labels.label_column] for row in table}
    return lambda path: by_name.get(path.stem)


def _where(labels: ProbeLabelConfig, root: Path) -> Callable[[Path], bool]:
    if not labels.where:
        return lambda path: True
    table_path = root / (labels.where_files or labels.files or "")
    table = _read_table(table_path, [labels.file_column, *labels.where])
    kept = {
        Path(row[labels.file_column]).stem
        for row in table
        if all(row[column] in values for column, values in labels.where.items())
    }
    return lambda path: path.stem in kept


def _read_table(path: Path, columns: list[str]) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or [])]
        if missing:
            raise DataError(f"{path}: no column {missing[0]!r}; it has {', '.join(reader.fieldnames or [])}")
        return list(reader)


def _read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            mask = dataset.read(1)
    if mask.shape != shape:
        raise DataError(
            f"{path}: label raster has {mask.shape[0]} x {mask.shape[1]} pixels, its image {shape[0]} x "
            f"{shape[1]}; bring both to one grid"
        )
    return mask


def _no_image_label(path: Path) -> int:
    raise TypeError(f"{path}: labels are dense, not per image")


def _no_grid(path: Path, shape: tuple[int, int], cell: int) -> np.ndarray:
    raise TypeError(f"{path}: labels are per image, not dense")

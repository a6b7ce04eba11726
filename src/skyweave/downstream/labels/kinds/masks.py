"""Labels of every pixel: a class, or a number."""

import warnings
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.kinds.base import LabelKind, dihedral_image
from skyweave.downstream.labels.readers.mask import StoredMask
from skyweave.downstream.labels.sample import IGNORE_INDEX, Label

MAX_LISTED_VALUES = 8
LOSSY = (".jpg", ".jpeg")


class ClassMask(LabelKind):
    """One class a pixel: (rows, columns) int64 of class indices, `IGNORE_INDEX` where unknown."""

    readers: ClassVar[tuple[str, ...]] = ("mask", "polygons")
    per_pixel = True
    is_exclusive = True
    needs_stored_values = True

    @override
    def parse(self, stored: StoredMask, config: LabelConfig, source: str) -> Label:
        # the class of each stored value
        label = np.full(stored.values.shape, IGNORE_INDEX, np.int64)
        for index, value in enumerate(config.stored_values):
            label[stored.values == value] = index
        _check_values(stored.values[(label == IGNORE_INDEX) & stored.valid], config, source)
        label[~stored.valid] = IGNORE_INDEX
        return label

    @override
    def check(self, label: np.ndarray, num_classes: int, shape: tuple[int, int], where: str) -> None:
        # that the mask is of the image's size and of classes
        check_mask_shape(label, shape, where)
        if label.size and (label.min() < IGNORE_INDEX or label.max() >= num_classes):
            wrong = sorted(set(np.unique(label).tolist()) - set(range(IGNORE_INDEX, num_classes)))[:5]
            raise DataError(
                f"{where}: the mask holds {wrong}, which are no classes (0 to {num_classes - 1}); list values without "
                "a class as ignored"
            )

    @override
    def class_counts(self, label: Label, num_classes: int) -> np.ndarray:
        # the pixels of each class
        mask = np.asarray(label)
        return np.bincount(mask[mask != IGNORE_INDEX].ravel(), minlength=num_classes)

    @override
    def is_known(self, label: Label) -> bool:
        # whether any pixel has a class
        return bool((np.asarray(label) != IGNORE_INDEX).any())

    @override
    def without_classes(self, label: Label, left_out: np.ndarray) -> Label:
        # the mask with pixels of some classes ignored
        return np.where(np.isin(label, np.flatnonzero(left_out)), IGNORE_INDEX, label)

    @override
    def without_pixels(self, label: Label, hidden: np.ndarray) -> Label:
        # the mask with some pixels ignored
        return np.where(hidden, IGNORE_INDEX, label).astype(np.asarray(label).dtype)

    @override
    def dihedral(self, label: Label, shape: tuple[int, int], mirrored: bool, quarter_turns: int) -> Label:
        # the mask of the mirrored and turned image
        return dihedral_image(np.asarray(label), mirrored, quarter_turns)


class ValueMask(LabelKind):
    """One number a pixel: (rows, columns) float32, NaN where unknown."""

    readers: ClassVar[tuple[str, ...]] = ("mask", "polygons")
    per_pixel = True

    @override
    def parse(self, stored: StoredMask, config: LabelConfig, source: str) -> Label:
        # the stored numbers, NaN where there is none
        known = stored.valid if config.nodata is None else stored.valid & (stored.values != config.nodata)
        return np.where(known, stored.values * stored.scale + stored.offset, np.nan).astype(np.float32)

    @override
    def check(self, label: np.ndarray, num_classes: int, shape: tuple[int, int], where: str) -> None:
        # that the mask is of the image's size and not infinite
        check_mask_shape(label, shape, where)
        if np.isinf(label).any():
            raise DataError(f"{where}: the mask holds infinity; use NaN where a pixel has no value")

    @override
    def stratification(self, labels: Sequence[Label], num_classes: int) -> np.ndarray:
        # the quarter that each sample's mean is in
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a tile without any value has no mean
            means = np.array([np.nanmean(label) for label in labels])
        quarter = np.digitize(means, np.nanquantile(means, [0.25, 0.5, 0.75]))
        return np.asarray(np.eye(4)[quarter])

    @override
    def is_known(self, label: Label) -> bool:
        # whether any pixel has a value
        return bool(np.isfinite(np.asarray(label)).any())

    @override
    def without_pixels(self, label: Label, hidden: np.ndarray) -> Label:
        # the mask with some pixels unknown
        return np.where(hidden, np.nan, label).astype(np.asarray(label).dtype)

    @override
    def dihedral(self, label: Label, shape: tuple[int, int], mirrored: bool, quarter_turns: int) -> Label:
        # the mask of the mirrored and turned image
        return dihedral_image(np.asarray(label), mirrored, quarter_turns)


def check_mask_shape(label: np.ndarray, shape: tuple[int, int], where: str) -> None:
    """Check that a mask has the size of its image.

    Args:
        label: the mask.
        shape: (rows, columns) of the image.
        where: name of the sample, for messages.

    Raises:
        DataError: it has another.
    """
    if label.shape != shape:
        raise DataError(f"{where}: the mask has shape {label.shape}, the image {shape}; give masks of its size")


def _check_values(values: np.ndarray, config: LabelConfig, source: str) -> None:
    """Refuse stored values that are no classes and not ignored; what the file declares as nodata is not among them."""
    unknown = sorted(set(np.unique(values).tolist()) - set(config.ignore))
    if unknown:
        hint = "; JPEG blurs class numbers, save masks as PNG or TIFF" if source.lower().endswith(LOSSY) else ""
        raise DataError(
            f"{source}: values {unknown[:MAX_LISTED_VALUES]} are neither classes {config.stored_values} nor ignored "
            f"{config.ignore}; add them to one of both{hint}"
        )

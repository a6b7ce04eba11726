"""Labels of whole images: one class, or any number of classes."""

import math
from typing import ClassVar

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError, did_you_mean
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.kinds.base import LabelKind
from skyweave.downstream.labels.readers.text import CLASS_SEPARATOR
from skyweave.downstream.labels.sample import IGNORE_INDEX, Label


class ClassLabel(LabelKind):
    """One class an image: its index."""

    readers: ClassVar[tuple[str, ...]] = ("folder", "pattern", "csv")
    is_exclusive = True

    @override
    def parse(self, stored: str, config: LabelConfig, source: str) -> Label:
        # the index of the class that is named
        return class_index(stored, config, source)

    @override
    def check(self, label: np.ndarray, num_classes: int, shape: tuple[int, int], where: str) -> None:
        # that the label is an index of a class
        if label.shape != () or not 0 <= int(label) < num_classes:
            raise DataError(f"{where}: label {label.tolist()!r} is no class; use 0 to {num_classes - 1}")

    @override
    def class_counts(self, label: Label, num_classes: int) -> np.ndarray:
        # 1 for the label's class
        index = np.asarray(label)
        return np.bincount(index[index != IGNORE_INDEX].ravel(), minlength=num_classes)


class MultiClassLabel(LabelKind):
    """Any number of classes an image: (classes,) bool."""

    readers: ClassVar[tuple[str, ...]] = ("csv", "folder", "pattern")

    @override
    def parse(self, stored: str, config: LabelConfig, source: str) -> Label:
        # which classes are named between semicolons
        names = [name.strip() for name in stored.split(CLASS_SEPARATOR) if name.strip()]
        indices = [class_index(name, config, source) for name in names]
        return np.isin(np.arange(len(config.class_names)), indices)

    @override
    def check(self, label: np.ndarray, num_classes: int, shape: tuple[int, int], where: str) -> None:
        # that there is yes or no for every class
        if label.shape != (num_classes,) or label.dtype != bool:
            raise DataError(f"{where}: label has shape {label.shape} ({label.dtype}); give ({num_classes},) bool")

    @override
    def class_counts(self, label: Label, num_classes: int) -> np.ndarray:
        # 1 for every class that the image has
        return np.asarray(label).astype(float)


def class_index(name: str, config: LabelConfig, source: str) -> int:
    """Return the index of a class.

    Args:
        name: as stored: a class, or its number where ``classes`` are a mapping from numbers to names.
        config: with the classes.
        source: where it is stored, for messages.

    Raises:
        DataError: no such class; names source and classes.
    """
    classes = [known.strip() for known in config.class_names]
    if name.strip() in classes:
        return classes.index(name.strip())
    number = _number(name)
    if number in config.stored_values:
        return config.stored_values.index(int(number))
    remedy = f"correct the label{did_you_mean(name, classes)}, or name the class"
    if not math.isnan(number):
        remedy = (
            f"say which number is which class, such as classes: {{{int(number)}: {classes[0] if classes else 'a'}}}"
        )
    raise DataError(f"{source}: label {name!r} is none of the classes {', '.join(classes)}; {remedy}")


def _number(text: str) -> float:
    """Return the number that a text is, NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan

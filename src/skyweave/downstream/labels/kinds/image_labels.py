"""Labels of whole images: one class, or any number of classes."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.kinds.base import LabelKind
from skyweave.downstream.labels.sample import IGNORE_INDEX, Label

CLASS_SEPARATOR = ";"


class ClassLabel(LabelKind):
    """One class an image: its index."""

    readers: ClassVar[tuple[str, ...]] = ("folder", "pattern", "csv")
    is_exclusive = True

    @override
    def parse(self, stored: str, config: LabelConfig, source: str) -> Label:
        # the index of the class that is named
        return class_index(stored, config.class_names, source)

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
        indices = [class_index(name, config.class_names, source) for name in names]
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


def class_index(name: str, classes: tuple[str, ...], source: str) -> int:
    """Return the index of a class.

    Args:
        name: as stored.
        classes: names in order.
        source: where it is stored, for messages.

    Raises:
        DataError: no such class; names source and classes.
    """
    if name not in classes:
        raise DataError(
            f"{source}: label {name!r} is none of the classes {', '.join(classes)}; correct the label, or "
            "name the class"
        )
    return classes.index(name)

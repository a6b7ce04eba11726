"""How the published files store each kind of label: reading it, and fabricating it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.geobench.hdf5 import dataset_name, read_dataset
from skyweave.downstream.geobench.pickling import stored_array
from skyweave.downstream.geobench.unpickle import PickledObject, decode_stored
from skyweave.downstream.labels.sample import IGNORE_INDEX, Label

if TYPE_CHECKING:
    import h5py

MASK_DATASET = "label"


class StoredLabel(ABC):
    """One kind of label in the published files.

    Attributes:
        is_mask: it is a dataset of the file; else a part of its description.
        mixes_classes: one image shows several classes.
    """

    is_mask: ClassVar[bool] = False
    mixes_classes: ClassVar[bool] = True

    @abstractmethod
    def read(self, file: "h5py.File", description: dict[str, Any], path: Path) -> Label:
        """Return the label of a sample.

        Args:
            file: opened.
            description: of the sample, see `skyweave.downstream.geobench.hdf5.read_description`.
            path: of the file, for messages.

        Raises:
            DataError: no label, or one of another kind.
        """

    def without_classes(self, label: Label, left_out: Sequence[int]) -> Label:
        """Return the label without some classes, where it can be without.

        Args:
            label: of `read`.
            left_out: indices of classes.
        """
        return label

    @abstractmethod
    def fabricate(self, class_mask: np.ndarray, num_classes: int) -> Label:
        """Return the label of a fabricated image.

        Args:
            class_mask: (rows, columns) class of each pixel.
            num_classes: of the task.
        """

    @abstractmethod
    def class_shares(self, label: Label, num_classes: int) -> list[float]:
        """Return the share of each class in a sample, as ``label_stats.json`` has it.

        Args:
            label: of the sample.
            num_classes: of the task.
        """

    @abstractmethod
    def specification(self, classes: Sequence[str], ground_sample_distance: float) -> PickledObject:
        """Return what ``task_specs.pkl`` says of the labels.

        Args:
            classes: names.
            ground_sample_distance: metres per pixel.
        """


class StoredClass(StoredLabel):
    """A number in the description: one class an image."""

    mixes_classes = False

    @override
    def read(self, file: "h5py.File", description: dict[str, Any], path: Path) -> Label:
        # the class
        value = _described_label(description, path)
        if isinstance(value, int):
            return value
        numbers = _whole_numbers(value, "class number", path)
        if len(numbers) != 1:
            raise DataError(f"{path}: its label is no class number")
        return int(numbers[0])

    @override
    def fabricate(self, class_mask: np.ndarray, num_classes: int) -> Label:
        # the class of the first pixel
        return int(class_mask[0, 0])

    @override
    def class_shares(self, label: Label, num_classes: int) -> list[float]:
        # 1 for the class
        return [float(number == label) for number in range(num_classes)]

    @override
    def specification(self, classes: Sequence[str], ground_sample_distance: float) -> PickledObject:
        # the benchmark's record of classes
        state = {"n_classes": len(classes), "_class_names": list(classes)}
        return PickledObject("geobench.label.Classification", (), state)


class StoredMultiLabel(StoredLabel):
    """A row of yes and no in the description: any number of classes an image."""

    @override
    def read(self, file: "h5py.File", description: dict[str, Any], path: Path) -> Label:
        # (classes,) bool
        numbers = _whole_numbers(_described_label(description, path), "row of yes and no", path)
        if not np.isin(numbers, (0, 1)).all():
            others = sorted(set(numbers.tolist()) - {0, 1})[:5]
            raise DataError(f"{path}: its label holds {others}; 0 and 1 are expected")
        return numbers.astype(bool)

    @override
    def fabricate(self, class_mask: np.ndarray, num_classes: int) -> Label:
        # which classes any pixel has
        return np.isin(np.arange(num_classes), class_mask)

    @override
    def class_shares(self, label: Label, num_classes: int) -> list[float]:
        # 1 for every class that is there
        return [float(present) for present in np.asarray(label)]

    @override
    def specification(self, classes: Sequence[str], ground_sample_distance: float) -> PickledObject:
        # the benchmark's record of classes
        state = {"n_classes": len(classes), "class_name": list(classes)}
        return PickledObject("geobench.label.MultiLabelClassification", (), state)


class StoredClassMask(StoredLabel):
    """A dataset of the file: one class a pixel."""

    is_mask = True

    @override
    def read(self, file: "h5py.File", description: dict[str, Any], path: Path) -> Label:
        # (rows, columns) int64
        mask = read_dataset(file, dataset_name(file, MASK_DATASET, path), path)
        if mask.ndim != 2:
            raise DataError(f"{path}: its mask has shape {mask.shape}; two dimensions are expected")
        if mask.dtype.kind == "f" and not (np.isfinite(mask).all() and (mask % 1 == 0).all()):
            raise DataError(f"{path}: its mask holds fractions; class numbers are expected")
        return mask.astype(np.int64)

    @override
    def without_classes(self, label: Label, left_out: Sequence[int]) -> Label:
        # the mask with pixels of some classes ignored
        return np.where(np.isin(label, left_out), IGNORE_INDEX, label)

    @override
    def fabricate(self, class_mask: np.ndarray, num_classes: int) -> Label:
        # the classes of the pixels
        return class_mask

    @override
    def class_shares(self, label: Label, num_classes: int) -> list[float]:
        # the share of the pixels
        counts = np.bincount(np.asarray(label).ravel(), minlength=num_classes)
        return [float(share) for share in counts / counts.sum()]

    @override
    def specification(self, classes: Sequence[str], ground_sample_distance: float) -> PickledObject:
        # the benchmark's record of a mask
        state = {"name": MASK_DATASET, "alt_names": (), "spatial_resolution": ground_sample_distance}
        state |= {"n_classes": len(classes), "_class_names": list(classes)}
        return PickledObject("geobench.dataset.SegmentationClasses", (), state)


STORED_LABELS: dict[str, StoredLabel] = {
    "classification": StoredClass(),
    "multilabel": StoredMultiLabel(),
    "segmentation": StoredClassMask(),
}
"""By the kind of the benchmark's task."""


def described_label(label: Label) -> Any:
    """Return a label as the description of a sample holds it.

    Args:
        label: a number, or (classes,) bool.
    """
    return label if isinstance(label, int) else stored_array(np.asarray(label).astype(np.int64))


def _described_label(description: dict[str, Any], path: Path) -> Any:
    if "label" not in description:
        raise DataError(f"{path}: it has no label; download the task again")
    return decode_stored(description["label"], str(path))


def _whole_numbers(value: Any, noun: str, path: Path) -> np.ndarray:
    numbers = np.asarray(value if isinstance(value, list | np.ndarray) else [value])
    if numbers.dtype.kind not in "biuf" or numbers.ndim != 1:
        raise DataError(f"{path}: its label is no {noun}")
    if (numbers % 1 != 0).any():
        raise DataError(f"{path}: its label {numbers.tolist()[:5]} holds fractions")
    return numbers

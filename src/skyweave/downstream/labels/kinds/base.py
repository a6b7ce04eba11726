"""What a kind of label knows: how it is made of what is stored, checked, counted, cut, and mirrored with its image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.sample import Label


class LabelKind(ABC):
    """One kind of label. A task names the kind that it learns; several tasks share one.

    Attributes:
        readers: names in `skyweave.downstream.labels.readers.base.LABEL_READERS` that it can be made of.
        per_pixel: there is a label at every pixel, so that blocks of an image can be held out.
        is_exclusive: every image or pixel has one class of several, so that a class can be left out.
        may_be_empty: nothing at all is a label, too.
        needs_stored_values: classes have to be declared as a mapping from stored value to name.
    """

    readers: ClassVar[tuple[str, ...]]
    per_pixel: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    may_be_empty: ClassVar[bool] = False
    needs_stored_values: ClassVar[bool] = False

    @abstractmethod
    def parse(self, stored: Any, config: LabelConfig, source: str) -> Label:
        """Return the label that something stored stands for.

        Args:
            stored: what the reader returned.
            config: with classes and ignored values.
            source: where it is stored, for messages.

        Raises:
            DataError: a class that is not declared, or a value that cannot be; names source and value.
        """

    @abstractmethod
    def check(self, label: np.ndarray, num_classes: int, shape: tuple[int, int], where: str) -> None:
        """Check that a label is one.

        Args:
            label: as in `LabelledSample`, as an array.
            num_classes: of the task.
            shape: (rows, columns) of the image.
            where: name of the sample, for messages.

        Raises:
            DataError: its shape, type or values do not fit; names sample and remedy.
        """

    def class_counts(self, label: Label, num_classes: int) -> np.ndarray:
        """Return (classes,) how often each class occurs in a label: images, pixels or boxes.

        Args:
            label: of one sample.
            num_classes: of the task.
        """
        return np.zeros(num_classes)

    def stratification(self, labels: Sequence[Label], num_classes: int) -> np.ndarray:
        """Return (samples, columns): what of each sample a split has to spread evenly.

        Args:
            labels: of the samples.
            num_classes: of the task.
        """
        return np.stack([self.class_counts(label, num_classes) for label in labels]).astype(float)

    def is_known(self, label: Label) -> bool:
        """Return whether a label holds anything that a prediction can be scored by.

        Args:
            label: of one sample.
        """
        return True

    def without_classes(self, label: Label, left_out: np.ndarray) -> Label:
        """Return the label without some classes.

        Args:
            label: of one sample.
            left_out: (classes,) bool.
        """
        return label

    def without_pixels(self, label: Label, hidden: np.ndarray) -> Label:
        """Return the label with some pixels unknown, where it has pixels.

        Args:
            label: of one sample.
            hidden: (rows, columns) bool.
        """
        return label

    def dihedral(self, label: Label, shape: tuple[int, int], mirrored: bool, quarter_turns: int) -> Label:
        """Return the label of a mirrored and turned image.

        Args:
            label: of the image as it was.
            shape: (rows, columns) of the image as it was.
            mirrored: left-right, before it is turned.
            quarter_turns: counter-clockwise.
        """
        return label


def dihedral_image(values: np.ndarray, mirrored: bool, quarter_turns: int) -> np.ndarray:
    """Mirror an image left-right, then turn it counter-clockwise.

    Args:
        values: (..., rows, columns).
        mirrored: whether it is mirrored.
        quarter_turns: how often it is turned by 90 degrees.

    Returns:
        The same values, contiguous; rows and columns are exchanged by an odd number of turns.
    """
    values = values[..., ::-1] if mirrored else values
    return np.ascontiguousarray(np.rot90(values, quarter_turns, (-2, -1)))

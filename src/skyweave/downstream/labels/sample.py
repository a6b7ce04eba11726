"""A labelled sample: observations of one place with what is to be predicted of them."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.observation import Observation

IGNORE_INDEX = -1
"""In class masks: this pixel has no label."""
Label = int | np.ndarray


@dataclass(frozen=True)
class LabelledSample:
    """Observations of one place with their label.

    Attributes:
        observations: one for most tasks; two dates for change; several sensors where a task has them. All cover the
            same ground; where the label is a mask, those of its first sensor have the mask's rows and columns.
        label: what the task's kind of label says (`skyweave.downstream.labels.kinds`): a class index; (classes,) bool;
            (rows, columns) int64 class indices with `IGNORE_INDEX` where unknown; (rows, columns) float32 with NaN
            where unknown; or (boxes, 5) float32 of left, top, right, bottom in pixels, and class.
        name: of the sample, for messages.
    """

    observations: tuple[Observation, ...]
    label: Label
    name: str = ""

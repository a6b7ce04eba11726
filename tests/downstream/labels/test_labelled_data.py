"""Labels that do not fit are refused by name."""

import numpy as np
import pytest

from skyweave.core.errors import UnknownNameError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.tasks.base import TASKS, make_task
from skyweave.downstream.labels import IGNORE_INDEX, LabelledSample, check_sample

PICTURE = Observation.from_pixels(np.zeros((3, 4, 5), np.float32), get_sensor("rgb"), 1.0)
MASK = np.full((4, 5), IGNORE_INDEX)
GOOD = {
    "classification": 1,
    "multilabel": np.array([True, False]),
    "segmentation": MASK,
    "change": MASK + 1,
    "regression": np.full((4, 5), np.nan),
    "detection": np.array([[0, 0, 2, 2, 1.0]]),
}


@pytest.mark.parametrize("kind", list(GOOD))
def test_labels_that_fit_pass(kind: str) -> None:
    sample = LabelledSample((PICTURE,), GOOD[kind], "s1")
    assert check_sample(sample, TASKS[kind].label_kind, 2) is sample


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        ("classification", 2, r"s1: label 2 is no class; use 0 to 1"),
        ("multilabel", np.array([1, 0]), r"give \(2,\) bool"),
        ("segmentation", np.zeros((5, 4), int), r"shape \(5, 4\), the image \(4, 5\)"),
        ("segmentation", MASK + 8, r"the mask holds \[7\]"),
        ("regression", np.full((4, 5), np.inf), "use NaN"),
        ("detection", np.zeros((2, 4)), r"\(boxes, 5\)"),
        ("detection", np.array([[2, 2, 2, 4, 0.0]]), "no area"),
    ],
)
def test_labels_that_do_not_fit_are_refused(kind: str, label: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_sample(LabelledSample((PICTURE,), label, "s1"), TASKS[kind].label_kind, 2)  # type: ignore[arg-type]


def test_a_task_names_its_classes() -> None:
    with pytest.raises(ValueError, match="names 1 classes; name 2 or more"):
        make_task("segmentation", "t", ("a",))
    with pytest.raises(UnknownNameError, match="there are classification"):
        make_task("guessing", "t", ("a", "b"))

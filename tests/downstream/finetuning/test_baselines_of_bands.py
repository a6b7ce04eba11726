"""Beside every score stands what needs no network."""

import numpy as np
import pytest

from fabricated_labels import fabricated_data
from skyweave.downstream.finetuning.baselines import BAND_VALUES, CONSTANT, baseline_notes, score_baselines
from skyweave.downstream.finetuning.tasks.base import TASKS


@pytest.mark.parametrize("kind", ["classification", "segmentation", "regression", "change"])
def test_band_values_say_more_than_the_most_frequent_answer(kind: str) -> None:
    data = fabricated_data(kind)
    scores = score_baselines(data.task, data.train, data.validation, data.test)
    main = TASKS[kind].main_metric
    assert scores[BAND_VALUES][main] > 0.7 > scores[CONSTANT][main]
    assert np.isfinite(list(scores[BAND_VALUES].values())).all()


def test_several_labels_have_frequencies_and_boxes_nothing() -> None:
    data = fabricated_data("multilabel")
    assert set(score_baselines(data.task, data.train, data.validation, data.test)) == {CONSTANT}
    data = fabricated_data("detection")
    assert score_baselines(data.task, data.train, data.validation, data.test) == {}


def test_a_model_below_a_baseline_says_so() -> None:
    task = fabricated_data("change").task
    baselines = {CONSTANT: {"change_f1": 0.0}, BAND_VALUES: {"change_f1": 0.475}}
    assert baseline_notes(task, {"change_f1": 0.0}, baselines) == [
        "change_f1 0.000 is not above: most frequent answer (0.000), linear on band values (0.475)"
    ]
    assert baseline_notes(task, {"change_f1": 0.5}, baselines) == []

"""Scores, losses and weights against what is counted by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.downstream.finetuning.tasks.base import Prediction, make_task
from skyweave.downstream.finetuning.tasks.segmentation import Segmentation
from skyweave.downstream.labels import IGNORE_INDEX, LabelledSample
from skyweave.downstream.scoring.confusion import class_scores

LAND = Segmentation("land", ("water", "trees", "crops"))


def sample(label: object) -> LabelledSample:
    return LabelledSample((), np.asarray(label))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), share=st.floats(0, 0.9))
def test_the_libraries_scores_are_those_of_the_confusion_table(seed: int, classes: int, share: float) -> None:
    random = np.random.default_rng(seed)
    task = Segmentation("land", tuple("abcde"[:classes]))
    truth = random.integers(0, classes, (3, 6, 6))
    truth[random.random(truth.shape) < share] = IGNORE_INDEX
    truth[0, 0, 0] = 0
    found = [Prediction(own) for own in random.integers(0, classes, truth.shape)]
    samples = [sample(own) for own in truth]
    own = task.scores(found, samples)
    table = task.confusion_tables(found, samples).sum(0)
    assert table.sum() == (truth != IGNORE_INDEX).sum()
    lines = class_scores(task.classes, table)
    assert own["miou"] == pytest.approx(np.nanmean([line.iou for line in lines]), abs=1e-6)
    assert own["macro_f1"] == pytest.approx(np.nanmean([line.f1 for line in lines]), abs=1e-6)
    assert own["accuracy"] == pytest.approx(np.trace(table) / table.sum(), abs=1e-6)


def test_change_is_scored_by_the_change_class() -> None:
    task = make_task("change", "c", ("same", "changed"))
    truth, found = np.array([[0, 1, 1, 0]]), np.array([[0, 1, 0, 1]])
    own = task.scores([Prediction(found)], [sample(truth)])
    assert own == pytest.approx({"change_f1": 0.5, "change_iou": 1 / 3, "accuracy": 0.5})


def test_regression_leaves_out_pixels_without_a_value() -> None:
    task = make_task("regression", "height")
    truth = np.array([[1.0, 2.0, np.nan, 3.0]], np.float32)
    own = task.scores([Prediction(np.array([[1.0, 2.0, 99.0, 2.0]], np.float32))], [sample(truth)])
    assert own == pytest.approx({"r2": 0.5, "mae": 1 / 3, "rmse": 3**-0.5}, abs=1e-6)


def test_nothing_to_score_is_told() -> None:
    with pytest.raises(ValueError, match=r"no sample to score has a label"):
        LAND.scores([Prediction(np.zeros((2, 2), int))], [sample(np.full((2, 2), IGNORE_INDEX))])


def test_ignored_pixels_cost_nothing() -> None:
    answer = torch.randn(1, 3, 2, 2)
    target = torch.tensor([[[0, 1], [IGNORE_INDEX, 2]]])
    known = torch.tensor([[0, 0], [0, 1], [1, 1]])
    by_hand = -torch.stack(
        [answer.log_softmax(1)[0, c, i, j] for (i, j), c in zip(known.tolist(), [0, 1, 2], strict=True)]
    ).mean()
    assert float(LAND.loss(answer, target)) == pytest.approx(float(by_hand), abs=1e-6)
    nothing = torch.full_like(target, IGNORE_INDEX)
    assert float(LAND.loss(answer, nothing)) == 0
    height = torch.tensor([[[1.0, float("nan")]]])
    assert float(make_task("regression", "h").loss(torch.tensor([[[[3.0, 5.0]]]]), height)) == 4.0


def test_weights_are_inverse_frequency_and_of_mean_one() -> None:
    label = np.array([[0, 0, 0, 1], [IGNORE_INDEX, 0, 0, 0]])
    weights = LAND.class_weights([sample(label)], "balanced")
    assert weights is not None
    np.testing.assert_allclose(weights, [7 / 2 / 6, 7 / 2, 0], rtol=1e-6)
    assert LAND.class_weights([sample(label)], "none") is None


def test_dice_counts_overlap_of_the_classes_that_occur() -> None:
    target = torch.tensor([[[0, 0], [1, IGNORE_INDEX]]])
    answer = torch.randn(1, 3, 2, 2)
    found = answer.softmax(1)[0]
    # 2 |A n B| / (|A| + |B|): water has two pixels, trees one, crops none; the pixel without a label counts nowhere
    water = 2 * (found[0, 0].sum()) / (found[0, 0].sum() + found[0, 1, 0] + 2)
    trees = 2 * found[1, 1, 0] / (found[1, 0].sum() + found[1, 1, 0] + 1)
    dice = 1 - (water + trees) / 2
    plain = LAND.loss(answer, target)
    assert float(LAND.loss(answer, target, dice_weight=0.5) - plain) == pytest.approx(0.5 * float(dice), abs=1e-6)
    sure = 50 * torch.nn.functional.one_hot(target.clamp(min=0), 3).movedim(-1, 1).float()
    assert float(LAND.loss(sure, target, dice_weight=1.0)) == pytest.approx(0, abs=1e-6)
    assert float(LAND.loss(answer, torch.full_like(target, IGNORE_INDEX), dice_weight=1.0)) == 0
    image = make_task("classification", "use", ("farm", "town"))  # one answer an image has no overlap
    logits, label = torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    assert torch.equal(image.loss(logits, label, dice_weight=1.0), image.loss(logits, label))

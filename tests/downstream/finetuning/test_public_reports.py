"""Silent faults of training and evaluation that users of other libraries reported, rebuilt here (docs/reading.md)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine
from torch import nn

from fabricated_labels import fabricated_data, fabricated_sample, small_backbone
from skyweave.backbone import Backbone
from skyweave.backbone.batch import stack_observations
from skyweave.core.errors import DataError
from skyweave.downstream.finetuning import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig, finetune_model
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.checkpoint import load_finetuned, save_finetuned
from skyweave.downstream.finetuning.remarks import unscored_classes
from skyweave.downstream.finetuning.tasks.base import Prediction, make_task
from skyweave.downstream.finetuning.tasks.losses import masked_cross_entropy
from skyweave.downstream.labels.sample import IGNORE_INDEX, LabelledSample
from skyweave.downstream.labels.shared_ground import shared_ground_note
from skyweave.downstream.scoring.average_precision import box_average_precision

QUICK = TrainingConfig(steps=3, head_steps=6, batch=4, learning_rates=[1e-2], head_learning_rates=[1e-2])


def test_a_batch_without_any_label_has_no_loss_that_is_nan() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.full((2, 4, 4), IGNORE_INDEX), torch.ones(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0 and logits.grad is not None and not logits.grad.any()


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_lower_the_mean() -> None:
    task = make_task("segmentation", "land", ("a", "b", "never"))
    truth = np.array([[0, 1], [1, 0]])
    sample = LabelledSample(fabricated_sample("segmentation", 0).observations, truth, "one")
    scores = task.scores([Prediction(truth)], [sample])
    assert scores[task.main_metric] == 1.0
    wrong = task.scores([Prediction(np.where(truth == 1, 2, truth))], [sample])
    assert wrong[task.main_metric] < 0.5, "a class that is predicted and does not occur counts"


def test_unlabelled_pixels_are_no_class_of_the_mean() -> None:
    task = make_task("segmentation", "land", ("a", "b"))
    truth = np.array([[0, 1], [IGNORE_INDEX, 0]])
    sample = LabelledSample(fabricated_sample("segmentation", 0).observations, truth, "one")
    for there in (0, 1):
        assert task.scores([Prediction(np.where(truth < 0, there, truth))], [sample])[task.main_metric] == 1.0


def test_scores_of_boxes_are_sorted_over_all_images() -> None:
    truth = [np.array([[0, 0, 10, 10, 0.0]]), np.array([[0, 0, 10, 10, 0.0]])]
    good = [np.array([[0, 0, 10, 10, 0, 0.9]]), np.array([[0, 0, 10, 10, 0, 0.3], [50, 50, 60, 60, 0, 0.2]])]
    bad = [np.array([[50, 50, 60, 60, 0, 0.95]]), np.array([[0, 0, 10, 10, 0, 0.3]])]
    assert box_average_precision(good, truth, 1) == pytest.approx(1.0)
    assert box_average_precision(bad, truth, 1) == box_average_precision(bad[::-1], truth[::-1], 1) < 0.5
    assert box_average_precision([good[0], good[1][::-1]], truth, 1) == pytest.approx(1.0), "sorted before matching"


def test_a_label_beyond_the_classes_is_refused_not_left_out() -> None:
    data = fabricated_data("detection")
    sample = data.train[0]
    label = np.array(sample.label)
    label[0, 4] = 7
    train = [replace(sample, label=label), *data.train[1:]]
    with pytest.raises(DataError, match="square 0"):
        finetune_model(replace(data, train=train), small_backbone(), RecipeConfig(training=QUICK))


def test_a_class_that_is_nowhere_is_named() -> None:
    counts = {part: {"roof": 5, "revolvd": 0} for part in ("train", "validation", "test")}
    assert unscored_classes(counts) == ["no sample of any part shows revolvd; check its spelling"]


def test_test_images_of_ground_that_was_trained_on_are_named(tmp_path: Path) -> None:
    def image(name: str, west: float) -> Path:
        profile = {"driver": "GTiff", "count": 1, "height": 10, "width": 10, "dtype": "uint8", "crs": "EPSG:32633"}
        with rasterio.open(tmp_path / name, "w", **profile, transform=Affine(10, 0, west, 0, -10, 5e6)) as target:
            target.write(np.zeros((1, 10, 10), np.uint8))
        return tmp_path / name

    may, june, beside = image("may.tif", 5e5), image("june.tif", 5e5 + 30), image("beside.tif", 5e5 + 100)
    note = shared_ground_note([may, beside], [june])
    assert "1 of 1 test images show ground that training images show too (june.tif and " in note[0]
    assert shared_ground_note([may], [beside]) == [], "neighbours that touch"
    assert shared_ground_note([may], [may]) == [], "blocks of one image are held apart by a gap"


class Normed(Backbone):
    """A backbone of somebody else, with running statistics that training mode changes."""

    def forward(self, batch, patch_size=None, detail=None):  # type: ignore[no-untyped-def]
        self.norm(batch.pixels)
        return super().forward(batch, patch_size, detail)


@pytest.mark.parametrize("kind", ["frozen", "lora"])
def test_what_is_frozen_stays_in_evaluation_mode(kind: str) -> None:
    backbone = small_backbone()
    backbone.__class__ = Normed
    backbone.norm = nn.BatchNorm2d(3)
    recipe = RecipeConfig(
        MethodConfig(kind, rank=2, head_first=False),  # type: ignore[arg-type]
        HeadConfig("linear"),
        QUICK,
    )
    found = finetune_model(fabricated_data("segmentation"), backbone.eval(), recipe)
    norm = found.model.network.backbone.norm  # type: ignore[union-attr]
    assert int(norm.num_batches_tracked) == 0 and not norm.running_mean.any()


def test_the_head_and_its_scale_come_back_as_they_were(tmp_path: Path) -> None:
    sample = fabricated_sample("regression", 3)
    task = make_task("regression", "heights")
    model = build_model(task, small_backbone(), [sample.observations[0].sensor], RecipeConfig(), seed=0).eval()
    with torch.no_grad():
        for parameter in model.network.head.parameters():  # type: ignore[union-attr]
            parameter += torch.randn_like(parameter)
        model.network.head.scale.mean.fill_(0.3)  # type: ignore[union-attr]
        model.target_mean.fill_(20.0)
    save_finetuned(tmp_path / "heights.safetensors", model, "heights")
    again = load_finetuned(tmp_path / "heights.safetensors")
    batch = [stack_observations([sample.observations[0]])]
    with torch.inference_mode():
        torch.testing.assert_close(again(batch), model(batch))
    assert np.array_equal(again.predict(*sample.observations).label, model.predict(*sample.observations).label)

"""Adapting end to end, on data that a small model learns in seconds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fabricated_labels import fabricated_data, fabricated_sample, small_backbone
from skyweave.backbone import load_backbone
from skyweave.core.errors import TrainingError
from skyweave.downstream.finetuning import (
    HeadConfig,
    LabelledData,
    MethodConfig,
    RecipeConfig,
    TrainingConfig,
    finetune_model,
    with_rates,
)
from skyweave.downstream.finetuning.batches import FeatureBatches, ImageBatches, SampleCache
from skyweave.downstream.finetuning.config import MethodKind
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.module import predict_samples
from skyweave.downstream.finetuning.remarks import never_predicted, stage_notes, unscored_classes
from skyweave.downstream.finetuning.stages import StageResult
from skyweave.downstream.finetuning.tasks.base import TASKS, Prediction, make_task

QUICK = TrainingConfig(
    steps=6, head_steps=25, batch=6, learning_rates=[2e-3], head_learning_rates=[1e-2], evaluations=3
)


def recipe(kind: MethodKind = "frozen", head: str = "auto", **changes: Any) -> RecipeConfig:
    return RecipeConfig(
        MethodConfig(kind, blocks=1, rank=2, channels=8), HeadConfig(head, channels=16), replace(QUICK, **changes)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["classification", "multilabel", "segmentation", "regression", "change", "detection"])
def test_every_task_is_learned_from_frozen_features(kind: str) -> None:
    data = fabricated_data(kind)
    found = finetune_model(data, load_backbone("tiny"), recipe(head_steps=50), seed=1)
    least = {"regression": 0.5, "segmentation": 0.6, "detection": 0.3}.get(kind, 0.7)
    assert found.scores[TASKS[kind].main_metric] > least
    assert next(iter(found.scores)) == TASKS[kind].main_metric
    assert found.trained_backbone == 0
    assert found.samples == (12, 6, 6)
    assert json.dumps(found.to_dict())
    prediction = found.model.predict(*data.test[0].observations)
    np.testing.assert_allclose(prediction.label, found.predictions[0].label, atol=1e-4)


@pytest.mark.parametrize("kind", ["full", "last", "lora", "scratch", "unet"])
def test_what_a_method_trains(kind: MethodKind) -> None:
    backbone = small_backbone()
    before = {name: own.clone() for name, own in backbone.state_dict().items()}
    found = finetune_model(fabricated_data("segmentation"), backbone, recipe(kind, "linear"))
    assert all(torch.equal(own, before[name]) for name, own in backbone.state_dict().items())  # a copy was trained
    if kind == "unet":
        assert found.trained == found.parameters
        return
    after = found.model.network.backbone.state_dict()  # type: ignore[union-attr]
    assert list(after) == list(before)  # low-rank additions are merged
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    inside = {name for name in changed if "blocks." in name}
    if kind == "lora":
        assert changed == {f"encoder.blocks.{i}.attn.{own}.weight" for i in range(4) for own in ("qkv", "proj")}
    elif kind == "last":
        assert changed == inside
        assert all(".3." in name for name in inside)
    else:
        assert any("patch_embed" in name for name in changed)
    assert found.trained_backbone < found.trained < found.parameters + 1


def test_a_linear_head_is_kept_small_and_others_are_not() -> None:
    data = fabricated_data("segmentation")

    def size(head: str, decay: float) -> float:
        found = finetune_model(data, small_backbone(), recipe(head=head, linear_weight_decay=decay), seed=1)
        return float(sum(own.detach().norm() for own in found.model.network.head.parameters() if own.ndim > 1))  # type: ignore[union-attr]

    assert size("linear", 20.0) < 0.8 * size("linear", 0.0)
    assert size("pyramid", 20.0) == size("pyramid", 0.0)


def test_a_decay_that_would_turn_weights_round_is_refused() -> None:
    with pytest.raises(ValueError, match=r"linear_weight_decay is 100; with head learning rates up to 0\.01 use 0 to"):
        finetune_model(
            fabricated_data("segmentation"), small_backbone(), recipe(head="linear", linear_weight_decay=100.0)
        )


def test_features_that_are_kept_answer_as_images_do() -> None:
    data = fabricated_data("segmentation")
    examples = SampleCache(data.test, data.task)
    model = build_model(data.task, small_backbone(), [data.test[0].observations[0].sensor], recipe(), seed=0)
    direct = predict_samples(model, ImageBatches(examples, False), 4)
    kept = predict_samples(model, FeatureBatches(examples, model.network, 4, torch.device("cpu")), 4)  # type: ignore[arg-type]
    for one, other in zip(direct, kept, strict=True):
        assert one.probabilities is not None and other.probabilities is not None
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-3)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    data = fabricated_data("segmentation")
    runs = [finetune_model(data, small_backbone(), recipe("lora", "linear"), seed=seed) for seed in (3, 3, 4)]
    assert runs[0].scores == runs[1].scores
    states = [run.model.state_dict() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_learning_rates_are_chosen_by_validation() -> None:
    data = fabricated_data("classification")
    swept = finetune_model(data, small_backbone(), recipe(head_learning_rates=[1e-7, 3e-2], sweep_share=1.0))
    assert swept.rates == {"head": 3e-2}
    fixed = with_rates(recipe(head_learning_rates=[1e-7, 3e-2]), swept.rates)
    assert fixed.rates(head=True) == (3e-2,)


def test_a_share_of_the_labels() -> None:
    found = finetune_model(fabricated_data("classification"), small_backbone(), recipe(), fraction=0.25)
    assert found.samples == (3, 6, 6)
    assert "3 of 12 training samples" in found.notes
    with pytest.raises(ValueError, match=r"fraction is 0"):
        finetune_model(fabricated_data("classification"), small_backbone(), recipe(), fraction=0)


def without(data: LabelledData, part: str, kept: list[Any]) -> LabelledData:
    return replace(data, **{part: kept})


def test_bad_data_is_told() -> None:
    data, backbone = fabricated_data("classification"), small_backbone()
    with pytest.raises(ValueError, match=r"the validation part has no sample; check the split"):
        finetune_model(without(data, "validation", []), backbone, recipe())
    reds = [own for own in data.train if own.label == 0]
    with pytest.raises(ValueError, match=r"no training sample shows green, which validation or test contain"):
        finetune_model(without(data, "train", reds), backbone, recipe())
    noted = finetune_model(without(data, "train", reds), backbone, recipe(), missing_classes="note")
    assert "no training sample shows green" in noted.notes
    wrong = [replace(fabricated_sample("classification", 0), label=2)]
    with pytest.raises(ValueError, match=r"square 0: label 2 is no class; use 0 to 1"):
        finetune_model(without(data, "test", wrong), backbone, recipe())
    masks = fabricated_data("segmentation")
    small = [replace(masks.train[0], label=np.zeros((4, 4), np.int64))]
    with pytest.raises(ValueError, match=r"the mask has shape \(4, 4\), the image \(24, 24\)"):
        finetune_model(without(masks, "train", small), backbone, recipe())
    with pytest.raises(ValueError, match=r"method frozen needs a backbone"):
        finetune_model(data, None, recipe())


def test_a_loss_that_is_not_finite_stops_with_a_remedy() -> None:
    with pytest.raises(TrainingError, match=r"is not finite at step \d+; .* use smaller learning rates"):
        finetune_model(
            fabricated_data("segmentation"),
            small_backbone(),
            recipe(head_learning_rates=[1e30]),
        )


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Interrupted while the network trains; what is done is not done again, and the result is bit for bit the same."""
    data = fabricated_data("segmentation")
    whole = finetune_model(data, small_backbone(), recipe("lora", "linear"), output=tmp_path / "whole")

    def stop(line: str) -> None:
        if line.startswith("network") and "step 4 " in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_model(data, small_backbone(), recipe("lora", "linear"), output=tmp_path / "halved", log=stop)
    lines: list[str] = []
    resumed = finetune_model(
        data, small_backbone(), recipe("lora", "linear"), output=tmp_path / "halved", log=lines.append
    )
    assert not any(line.startswith("head") for line in lines)
    assert next(line.split(",")[0] for line in lines if line.startswith("network")).endswith("step 4 of 6")
    assert resumed.history == whole.history
    assert all(torch.equal(own, whole.model.state_dict()[name]) for name, own in resumed.model.state_dict().items())


@pytest.mark.parametrize("kind", ["lora", "scratch"])
def test_luck_before_training_is_no_merit(kind: MethodKind) -> None:
    """A trained head is kept where training makes it no better; weights that nothing trained are not."""
    found = finetune_model(fabricated_data("segmentation"), small_backbone(), recipe(kind, "linear"))
    scored = [int(step) for step, _ in found.history["network"]]
    assert scored == ([0, 2, 4, 6] if kind == "lora" else [2, 4, 6])
    assert found.validation == max(score for _, score in found.history["network"])


def test_a_share_of_dice_below_nothing() -> None:
    with pytest.raises(ValueError, match=r"training.dice is -1; use 0 \(none\) or more"):
        TrainingConfig(dice=-1)


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("batch", -1), ("learning_rates", [0.0]), ("clip", 0)])
def test_numbers_that_make_no_sense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"training.{field} is .*use a number above 0"):
        TrainingConfig(**{field: value})


def test_weights_that_training_did_not_make_better_are_called_what_they_are() -> None:
    lines: list[str] = []
    backbone = load_backbone("tiny")
    found = finetune_model(
        fabricated_data("segmentation"), backbone, recipe("lora", learning_rates=[1e-12]), log=lines.append
    )
    assert found.kept == "head on frozen features" and found.trained_backbone > 0
    assert found.learned == found.trained - found.trained_backbone and "no step of lora scored better" in " ".join(
        found.notes
    )
    kept = found.model.network.backbone.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in backbone.state_dict().items())
    assert lines[0].startswith("train 12 samples (") and "; test 6 samples (" in lines[0]
    assert set(found.class_counts) == {"train", "validation", "test"}


def test_a_model_that_never_predicts_a_class_says_so() -> None:
    task = make_task("change", "city", ("same", "changed"))
    nothing = [Prediction(np.zeros((4, 4), int))] * 2
    counts = {"train": {"same": 20, "changed": 4}, "test": {"same": 25, "changed": 7}}
    assert never_predicted(task, nothing, counts) == ["the model never predicts changed (labels: 7) in the test part"]
    assert never_predicted(task, [*nothing, Prediction(np.ones((4, 4), int))], counts) == []
    counts["test"]["changed"] = 0
    assert never_predicted(task, nothing, counts) == []
    assert unscored_classes(counts) == ["no test sample shows changed: the scores say nothing of that"]


def test_a_validation_that_chooses_nothing_is_named() -> None:
    flat = StageResult(0.01, 0.0, [[10, 0.0], [20, 0.0]], 10)
    assert "was 0.000 at every evaluation" in stage_notes("head", flat, "change_f1", "frozen")[0]
    first = StageResult(0.01, 0.4, [[10, 0.4], [20, 0.3], [30, 0.2]], 10)
    assert "never rose above its first evaluation (0.400 at step 10)" in stage_notes("head", first, "f1", "frozen")[0]
    rising = StageResult(0.01, 0.4, [[10, 0.2], [20, 0.3], [30, 0.4]], 30)
    assert stage_notes("network", rising, "f1", "lora") == []

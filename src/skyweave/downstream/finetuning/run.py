"""One fine-tuning: labelled data, a backbone, a recipe, a seed and a share of the labels to a model and its scores."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from skyweave.backbone.device import resolve_device
from skyweave.core.errors import ConfigError, DataError
from skyweave.downstream.finetuning.baselines import BaselineScores, baseline_notes, score_baselines
from skyweave.downstream.finetuning.batches import BatchSource, FeatureBatches, ImageBatches, SampleCache
from skyweave.downstream.finetuning.config import RecipeConfig
from skyweave.downstream.finetuning.dataset import LabelledData
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel, count_trainable
from skyweave.downstream.finetuning.models.lora import merge_low_rank
from skyweave.downstream.finetuning.models.methods import copy_backbone, unfreeze
from skyweave.downstream.finetuning.module import Log, predict_samples
from skyweave.downstream.finetuning.remarks import (
    check_any_label,
    count_classes,
    describe_counts,
    never_predicted,
    stage_notes,
    unscored_classes,
)
from skyweave.downstream.finetuning.stages import TrainingStage, train_stage
from skyweave.downstream.finetuning.tasks.base import Prediction
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.downstream.labels.splits import PARTS
from skyweave.downstream.labels.subset import stratified_subset

MAX_SCALE_SAMPLES = 64
"""Training samples from which means and standard deviations of the features are taken."""
MissingClasses = Literal["error", "note"]


@dataclass(frozen=True)
class FinetuneResult:
    """What came out.

    Attributes:
        model: ready to predict, low-rank additions merged.
        scores: on the test part, the main score first (`skyweave.downstream.finetuning.tasks.base.Task.scores`).
        validation: the best main score on the validation part.
        rates: learning rates that were used: of the ``head`` on frozen features, of the ``network``.
        parameters: of the whole model.
        trained: of those, how many were trained in the largest stage.
        trained_backbone: of these, those that are not the head's.
        samples: numbers of training (after the share was taken), validation and test samples.
        seconds: of wall clock; features, sweeps, training, scoring.
        predictions: of the test samples, in order.
        notes: what a reader should know.
        history: (step, validation score) of each stage.
        kept: what the weights are: the ``method``, or the ``head on frozen features`` where the method did not score
            better in validation.
        learned: of the parameters, how many of those that were kept were trained.
        class_counts: labels of each class (images, pixels or boxes) in each part.
        baselines: scores of answers that need no network, where they were asked for.
        without: of a model that takes any of several sensors, scores on the test part without one, by its name.
    """

    model: FinetunedModel
    scores: dict[str, float]
    validation: float
    rates: dict[str, float]
    parameters: int
    trained: int
    trained_backbone: int
    samples: tuple[int, int, int]
    seconds: float
    predictions: list[Prediction]
    notes: tuple[str, ...] = ()
    history: dict[str, list[list[float]]] = field(default_factory=dict)
    kept: str = ""
    learned: int = 0
    class_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    baselines: BaselineScores = field(default_factory=dict)
    without: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without model and predictions."""
        names = ("scores", "validation", "rates", "parameters", "trained", "trained_backbone", "samples", "seconds")
        more = ("notes", "history", "kept", "learned", "class_counts", "baselines", "without")
        return {name: getattr(self, name) for name in (*names, *more)}


def finetune_model(
    data: LabelledData,
    backbone: nn.Module | None,
    recipe: RecipeConfig,
    *,
    seed: int = 0,
    fraction: float = 1.0,
    device: str | torch.device = "cpu",
    output: Path | None = None,
    missing_classes: MissingClasses = "error",
    with_baselines: bool = False,
    log: Log | None = None,
) -> FinetuneResult:
    """Fine-tune a backbone on a task and score it on the test part.

    Learning rates are chosen by validation after short trainings, as GEO-Bench's protocol does (Lacoste et al. 2023,
    arXiv 2306.03831); the weights of the best validation are kept. The test part is read once, at the end.

    Args:
        data: of the task.
        backbone: is not changed. Any module from a `SensorBatch` and a patch size to `Features`; None is allowed for
            the method ``unet`` alone.
        recipe: method, head, training.
        seed: of the head's weights, the order of the samples and the share of them.
        fraction: share of the training samples, drawn so that every class is there while there is room. Validation
            and test stay whole.
        device: where it runs.
        output: keep checkpoints and logs there, and go on from what is there already.
        missing_classes: classes of validation or test that no training sample shows are an error, or a note.
        with_baselines: score the most frequent answer and a linear model of the band values too.
        log: called with a line now and then.

    Raises:
        DataError: an empty part, labels that do not fit, classes missing from training.
        ConfigError: a head or method that cannot serve task or backbone.
        TrainingError: a loss that is not finite.
    """
    started = time.perf_counter()
    log = log or (lambda line: None)
    parts, notes = _read_parts(data, fraction, seed, recipe.training.cache_gib, missing_classes)
    train, validation, test = parts
    counts = count_classes(data.task, parts)
    check_any_label(counts)
    log(describe_counts(parts, counts))
    images = train[0].observations
    copied = copy_backbone(backbone, recipe.method, seed)
    tile = max(max(image.shape) for image in images)
    model = build_model(data.task, copied, [image.sensor for image in images], recipe, seed, tile)
    model = model.to(resolve_device(device))
    model.pixel_sizes = tuple(image.ground_sample_distance for image in images)
    mean, std = data.task.target_statistics(train)
    model.target_mean.fill_(mean)
    model.target_std.fill_(std)
    class_weights = data.task.class_weights(train, recipe.training.class_weights)
    stages = _Stages(TrainingStage(recipe.training, class_weights, seed, output, log), model, recipe, train, validation)
    stages.run()
    log("scoring the test part")
    notes += [*stages.notes, *unscored_classes(counts)]
    predictions = predict_samples(model, ImageBatches(test, False), recipe.training.batch)
    notes += never_predicted(data.task, predictions, counts)
    scores = data.task.scores(predictions, test)
    baselines = score_baselines(data.task, train, validation, test) if with_baselines else {}
    notes += baseline_notes(data.task, scores, baselines)
    return FinetuneResult(
        model=model.eval().requires_grad_(False),
        scores=scores,
        validation=stages.validation_score,
        rates=stages.rates,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        trained=stages.trained,
        trained_backbone=stages.trained_backbone,
        samples=(len(train), len(validation), len(test)),
        seconds=time.perf_counter() - started,
        predictions=predictions,
        notes=(*data.notes, *notes),
        history=stages.history,
        kept=stages.kept,
        learned=stages.learned,
        class_counts=counts,
        baselines=baselines,
        without=_score_without(model, test, recipe.training.batch),
    )


def _score_without(model: FinetunedModel, test: SampleCache, batch: int) -> dict[str, dict[str, float]]:
    """Return the scores of a model that takes any of several sensors without each of them."""
    network = model.network
    if not (isinstance(network, EncoderWithHead) and network.head.takes_any_sources and len(model.sensors) > 1):
        return {}
    source = FeatureBatches(test, network, batch, model.target_mean.device)
    return {
        sensor.name: model.task.scores(predict_samples(model, source, batch, [number]), test)
        for number, sensor in enumerate(model.sensors)
    }


def with_rates(recipe: RecipeConfig, rates: dict[str, float]) -> RecipeConfig:
    """Return the recipe without a sweep: further seeds use what the first chose.

    Args:
        recipe: with learning rates to choose from.
        rates: that were chosen, see `FinetuneResult`.
    """
    training = replace(
        recipe.training,
        learning_rates=[rates["network"]] if "network" in rates else recipe.training.learning_rates,
        head_learning_rates=[rates["head"]] if "head" in rates else recipe.training.head_learning_rates,
    )
    return replace(recipe, training=training)


class _Stages:
    """The stages of a fine-tuning, one after the other: the head on frozen features, then what the method trains."""

    def __init__(
        self,
        stage: TrainingStage,
        model: FinetunedModel,
        recipe: RecipeConfig,
        train: SampleCache,
        validation: SampleCache,
    ) -> None:
        self.stage, self.model, self.recipe = stage, model, recipe
        self.train, self.validation = train, validation
        self.rates: dict[str, float] = {}
        self.history: dict[str, list[list[float]]] = {}
        self.validation_score = float("nan")
        self.trained = self.trained_backbone = self.learned = 0
        self.kept: str = recipe.method.kind
        self.notes: list[str] = []

    def run(self) -> None:
        """Train what the recipe says, in place."""
        network = self.model.network
        if isinstance(network, EncoderWithHead):
            sources = self._frozen_sources(network)
            if self.recipe.method.starts_with_head:
                self._train_head(network, sources)
        if self.recipe.method.kind != "frozen":
            self._train_network()

    def _train_head(self, network: EncoderWithHead, sources: tuple[BatchSource, BatchSource]) -> None:
        network.backbone.requires_grad_(False)
        training = replace(self.stage.training, weight_decay=self.recipe.head_decay(self.model.task))
        stage = replace(self.stage, training=training)
        self._train(stage, "head", sources, self.recipe.rates(head=True), training.head_steps)
        self.trained, self.trained_backbone = count_trainable(self.model), 0

    def _train_network(self) -> None:
        method, training = self.recipe.method, self.recipe.training
        network = self.model.network
        unfreeze(self.model, method, self.stage.seed)
        self.trained = count_trainable(self.model)
        head = count_trainable(network.head) if isinstance(network, EncoderWithHead) else 0
        self.trained_backbone = self.trained - head
        sources = ImageBatches(self.train, training.augment), ImageBatches(self.validation, False)
        rates, decay = self.recipe.rates(head=False), method.decay_by_layer
        self._train(self.stage, "network", sources, rates, training.steps, decay, method.starts_with_head)
        if isinstance(network, EncoderWithHead):
            merge_low_rank(network.backbone)

    def _train(
        self,
        stage: TrainingStage,
        name: str,
        sources: tuple[BatchSource, BatchSource],
        rates: Sequence[float],
        steps: int,
        layer_decay: float = 1.0,
        initialised: bool = False,
    ) -> None:
        result = train_stage(stage, self.model, sources, self.validation, name, rates, steps, layer_decay, initialised)
        self.rates[name], self.history[name] = result.learning_rate, result.history
        self.validation_score = result.validation
        if name == "network" and initialised and not result.best_step:
            self.kept = "head on frozen features"
        else:
            self.learned = count_trainable(self.model)
        self.notes += stage_notes(name, result, self.model.task.main_metric, self.recipe.method.kind)

    def _frozen_sources(self, network: EncoderWithHead) -> tuple[BatchSource, BatchSource]:
        """Return what the head reads of training and validation; its scale is fitted on the way."""
        train, validation, batch = self.train, self.validation, self.stage.training.batch
        device = self.model.target_mean.device
        chosen = np.linspace(0, len(train) - 1, min(MAX_SCALE_SAMPLES, len(train))).astype(int)
        some = SampleCache([train[int(i)] for i in chosen], train.task)
        features = FeatureBatches(some, network, batch, device)
        network.head.fit_scale([tuple(values[None].float() for values in inputs) for inputs in features.head_inputs])
        size = sum(values.nbytes for inputs in features.head_inputs for values in inputs) / len(features)
        fits = size * (len(train) + len(validation)) <= train.max_bytes
        if not (self.recipe.method.starts_with_head and fits):
            return ImageBatches(train, False), ImageBatches(validation, False)
        self.stage.log(f"features of {len(train)} training and {len(validation)} validation samples")
        return FeatureBatches(train, network, batch, device), FeatureBatches(validation, network, batch, device)


def _check_parts(data: LabelledData, fraction: float) -> None:
    """Refuse a share that is none, and parts without samples."""
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction is {fraction}; use a share above 0 and up to 1")
    for name in PARTS:
        if not len(getattr(data, name)):
            raise DataError(
                f"{data.task.name}: the {name} part has no sample; check the split and the label files, or give more "
                "images"
            )


def _read_parts(
    data: LabelledData, fraction: float, seed: int, cache_gib: float, missing_classes: MissingClasses
) -> tuple[tuple[SampleCache, SampleCache, SampleCache], list[str]]:
    """Return the three parts, checked, and notes."""
    _check_parts(data, fraction)
    task = data.task
    train, validation, test = (SampleCache(part, task, cache_gib) for part in (data.train, data.validation, data.test))
    notes = []
    if fraction < 1:
        subset: list[LabelledSample] = stratified_subset(train, task.label_kind, len(task.classes), fraction, seed)
        train = SampleCache(subset, task, cache_gib)
        notes.append(f"{len(train)} of {len(data.train)} training samples")
    missing = _missing_classes(data, train, validation, test)
    if missing and fraction == 1 and missing_classes == "error":
        raise DataError(
            f"{task.name}: no training sample shows {', '.join(missing)}, which validation or test contain; split "
            "otherwise, leave these classes out, or list their values as ignored"
        )
    if missing:
        notes.append(f"no training sample shows {', '.join(missing)}")
    return (train, validation, test), notes


def _missing_classes(data: LabelledData, train: SampleCache, validation: SampleCache, test: SampleCache) -> list[str]:
    """Return classes that validation or test show and training does not."""
    task = data.task
    if not task.classes:
        return []
    trained = task.class_counts(train) > 0
    scored = (task.class_counts(validation) + task.class_counts(test)) > 0
    if not trained.any() and not task.label_kind.may_be_empty:
        raise DataError(f"{task.name}: no training sample has a label; check the masks and `ignore`")
    return [name for name, seen, needed in zip(task.classes, trained, scored, strict=True) if needed and not seen]

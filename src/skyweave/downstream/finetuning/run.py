"""One adaptation: labelled data, a backbone, a recipe, a seed and a share of the labels to a model and its scores."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from skyweave.backbone import Backbone, build_backbone
from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.batches import BatchSource, FeatureBatches, ImageBatches, SampleCache
from skyweave.downstream.finetuning.config import MethodConfig, RecipeConfig
from skyweave.downstream.finetuning.models.finetuned_model import (
    EncoderWithHead,
    FinetunedModel,
    build_model,
    count_trainable,
)
from skyweave.downstream.finetuning.models.lora import add_low_rank, merge_low_rank
from skyweave.downstream.finetuning.module import Log, predict_samples
from skyweave.downstream.finetuning.scores import compute_scores
from skyweave.downstream.finetuning.stages import TrainingStage, train_stage
from skyweave.downstream.finetuning.tasks import Prediction, class_weights, count_classes
from skyweave.downstream.labels.labelled_data import LabelledData, LabelledSample
from skyweave.downstream.labels.subset import stratified_subset


@dataclass(frozen=True)
class FinetuneResult:
    """What came out.

    Attributes:
        model: ready to predict, low-rank additions merged.
        scores: on the test part, the main score first (`skyweave.downstream.finetuning.scores.compute_scores`).
        validation: the best main score on the validation part.
        rates: learning rates that were used: of the ``head`` on frozen features, of the ``network``.
        parameters: of the whole model; ``trained``: of those that learned, in the largest stage; ``trained_backbone``:
            of these, those that are not the head's.
        samples: numbers of training (after the share was taken), validation and test samples.
        seconds: of wall clock; features, sweeps, training, scoring.
        predictions: of the test samples, in order.
        notes: what a reader should know.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without model and predictions."""
        kept = (
            "scores",
            "validation",
            "rates",
            "parameters",
            "trained",
            "trained_backbone",
            "samples",
            "seconds",
        )
        return {name: getattr(self, name) for name in (*kept, "notes", "history")}


def finetune_model(
    data: LabelledData,
    backbone: nn.Module | None,
    recipe: RecipeConfig,
    *,
    seed: int = 0,
    fraction: float = 1.0,
    device: str | torch.device = "cpu",
    output: Path | None = None,
    absent: Literal["error", "note"] = "error",
    report: Log | None = None,
) -> FinetuneResult:
    """Adapt a backbone to a task and score it on the test part.

    Learning rates are chosen by validation after short trainings, as GEO-Bench's protocol does (Lacoste et al. 2023,
    arXiv 2306.03831); the weights of the best validation are kept. The test part is read once, at the end.

    Args:
        backbone: is not changed. Any module from a `SensorBatch` and a patch size to `Features`; None is allowed for
            the method ``unet`` alone.
        recipe: method, head, training.
        seed: of the head's weights, the order of the samples and the share of them.
        fraction: share of the training samples, drawn so that every class is there while there is room. Validation
            and test stay whole.
        output: keep checkpoints and logs there, and go on from what is there already.
        absent: classes of validation or test that no training sample shows are an error, or a note.
        report: called with a line now and then.

    Raises:
        ValueError: an empty split, labels that do not fit, classes absent from training, a head that cannot serve the
            task, a loss that is not finite.
    """
    started = time.perf_counter()
    say = report or (lambda line: None)
    task, training = data.task, recipe.training
    parts, notes = _parts(data, fraction, seed, training.cache_gib, absent)
    train, validation, test = parts
    first = train[0]
    sensors = [own.sensor for own in first.observations]
    tile = max(max(own.shape) for own in first.observations)
    own_backbone = _prepared(backbone, recipe.method, seed)
    model = build_model(task, own_backbone, sensors, recipe, seed, tile).to(device)
    if task.kind == "regression":
        _fit_target(model, train)
    weights = class_weights(task, train, training.class_weights)
    stage = TrainingStage(training, weights, seed, output, say)
    rates: dict[str, float] = {}
    history: dict[str, list[list[float]]] = {}
    best, trained = float("nan"), (0, 0)

    if isinstance(model.network, EncoderWithHead):
        feeds = _frozen_feeds(model, train, validation, training.batch, recipe.method.starts_with_head, say)
        if recipe.method.starts_with_head:
            model.network.backbone.requires_grad_(False)
            decayed = replace(training, weight_decay=recipe.head_decay(task))
            rates["head"], best, history["head"] = train_stage(
                replace(stage, training=decayed),
                model,
                feeds,
                validation,
                "head",
                recipe.rates(head=True),
                training.head_steps,
            )
            trained = count_trainable(model), 0
    if recipe.method.kind != "frozen":
        _unfreeze(model, recipe.method, seed)
        trained = count_trainable(model), count_trainable(model) - _head_parameters(model)
        images = ImageBatches(train, training.augment), ImageBatches(validation, False)
        rates["network"], best, history["network"] = train_stage(
            stage,
            model,
            images,
            validation,
            "network",
            recipe.rates(head=False),
            training.steps,
            _decay(recipe.method),
            able=recipe.method.starts_with_head,
        )
        if isinstance(model.network, EncoderWithHead):
            merge_low_rank(model.network.backbone)
    say("scoring the test part")
    found = predict_samples(model, ImageBatches(test, False), training.batch)
    return FinetuneResult(
        model=model.eval().requires_grad_(False),
        scores=compute_scores(task, found, test),
        validation=best,
        rates=rates,
        parameters=sum(own.numel() for own in model.parameters()),
        trained=trained[0],
        trained_backbone=trained[1],
        samples=(len(train), len(validation), len(test)),
        seconds=time.perf_counter() - started,
        predictions=found,
        notes=(*data.notes, *notes),
        history=history,
    )


def with_rates(recipe: RecipeConfig, rates: dict[str, float]) -> RecipeConfig:
    """The recipe without a sweep: further seeds use what the first chose."""
    training = replace(
        recipe.training,
        learning_rates=[rates["network"]] if "network" in rates else recipe.training.learning_rates,
        head_learning_rates=[rates["head"]] if "head" in rates else recipe.training.head_learning_rates,
    )
    return replace(recipe, training=training)


def _parts(
    data: LabelledData, fraction: float, seed: int, cache_gib: float, absent: str
) -> tuple[tuple[SampleCache, SampleCache, SampleCache], list[str]]:
    """The three parts, checked."""
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction is {fraction}; use a share above 0 and up to 1")
    for name in ("train", "validation", "test"):
        if not len(getattr(data, name)):
            raise ConfigError(
                f"{data.task.name}: the {name} part has no sample; check the split and the label files, or give more "
                "images"
            )
    task = data.task
    train, validation, test = (SampleCache(own, task, cache_gib) for own in (data.train, data.validation, data.test))
    notes = []
    if fraction < 1:
        train = SampleCache(stratified_subset(train, task, fraction, seed), task, cache_gib)
        notes.append(f"{len(train)} of {len(data.train)} training samples")
    if task.kind != "regression":
        seen = count_classes(task, train) > 0
        wanted = (count_classes(task, validation) + count_classes(task, test)) > 0
        missing = [name for name, here, there in zip(task.classes, seen, wanted, strict=True) if there and not here]
        if not seen.any() and task.kind != "detection":
            raise ConfigError(f"{task.name}: no training sample has a label; check the masks and `ignore`")
        if missing and fraction == 1 and absent == "error":
            raise ConfigError(
                f"{task.name}: no training sample shows {', '.join(missing)}, which validation or test contain; split "
                "otherwise, leave these classes out, or list their values as ignored"
            )
        if missing:
            notes.append(f"no training sample shows {', '.join(missing)}")
    return (train, validation, test), notes


def _prepared(backbone: nn.Module | None, method: MethodConfig, seed: int) -> nn.Module | None:
    """A copy to change: as it is, with random weights, or none."""
    if method.kind == "unet":
        return None
    if backbone is None:
        raise ConfigError(f"the method {method.kind} needs a backbone; give one, or use the method unet")
    if method.kind != "scratch":
        return copy.deepcopy(backbone).eval()
    if isinstance(backbone, Backbone):
        return build_backbone(backbone.config, list(backbone.sensors.values()), seed=seed)
    random = copy.deepcopy(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in random.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return random


def _frozen_feeds(
    model: FinetunedModel, train: SampleCache, validation: SampleCache, batch: int, keep: bool, say: Log
) -> tuple[BatchSource, BatchSource]:
    """What the head reads of training and validation; its scale is fitted on the way."""
    network = model.network
    assert isinstance(network, EncoderWithHead)
    device = model.target_mean.device
    some: Sequence[LabelledSample] = [train[i] for i in np.linspace(0, len(train) - 1, min(64, len(train))).astype(int)]
    sampled = FeatureBatches(SampleCache(some, train.task), network, batch, device)
    network.head.fit_scale([tuple(own[None].float() for own in kept) for kept in sampled.kept])
    if not keep:
        return ImageBatches(train, False), ImageBatches(validation, False)
    size = sum(own.nbytes for kept in sampled.kept for own in kept) / len(sampled) * (len(train) + len(validation))
    if size > train.cache_limit:
        return ImageBatches(train, False), ImageBatches(validation, False)
    say(f"features of {len(train)} training and {len(validation)} validation samples")
    return FeatureBatches(train, network, batch, device), FeatureBatches(validation, network, batch, device)


def _unfreeze(model: FinetunedModel, method: MethodConfig, seed: int) -> None:
    model.requires_grad_(True)
    if not isinstance(model.network, EncoderWithHead) or method.kind in ("full", "scratch"):
        return
    backbone = model.network.backbone
    if method.kind == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            add_low_rank(backbone, method.rank, method.alpha, method.targets)
        return
    backbone.requires_grad_(False)
    blocks = [module for name, module in backbone.named_modules() if name.rpartition(".")[2] == "blocks"]
    if not blocks or not isinstance(blocks[0], nn.ModuleList):
        raise ConfigError(f"{type(backbone).__name__} has no list of `blocks` of which the last could learn; use full")
    if method.blocks > len(blocks[0]):
        raise ConfigError(f"method.blocks is {method.blocks}, the backbone has {len(blocks[0])}; use as many or fewer")
    blocks[0][-method.blocks :].requires_grad_(True)


def _decay(method: MethodConfig) -> float:
    return method.layer_decay if method.kind in ("full", "last") else 1.0


def _head_parameters(model: FinetunedModel) -> int:
    return count_trainable(model.network.head) if isinstance(model.network, EncoderWithHead) else 0


def _fit_target(model: FinetunedModel, train: SampleCache) -> None:
    values = np.concatenate([np.asarray(own.label, np.float64)[np.isfinite(own.label)] for own in train])
    if not len(values):
        raise ConfigError(f"{model.task.name}: no training pixel has a value; check the masks")
    model.target_mean.fill_(float(values.mean()))
    model.target_std.fill_(max(float(values.std()), 1e-6))

"""Fine-tuning on a task of the suite: the labels, and the test samples, of its first fold."""

import time
from typing import TYPE_CHECKING

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.dataset import LabelledData
from skyweave.downstream.finetuning.run import finetune_model
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.downstream.labels.sample import IGNORE_INDEX, LabelledSample
from skyweave.downstream.labels.splits import stratified_group_folds
from skyweave.downstream.probing.folds import Fold
from skyweave.downstream.probing.prepared import PreparedProbe, draw_labels
from skyweave.downstream.probing.samples import ProbeSamples
from skyweave.downstream.suite.cells import Cell, CellAddress
from skyweave.downstream.suite.sources import FeatureSource
from skyweave.downstream.suite.task import SuiteTask

if TYPE_CHECKING:
    from skyweave.downstream.finetuning.config import MethodKind

METHOD = "finetune"
STEPS = 120
TOKENS_PER_STEP = 1024
"""Patches of a batch; images of many patches make small batches."""
MAX_BATCH = 16
VALIDATION_FOLDS = 5
"""One part in so many of the training labels chooses weights."""
RATES: "dict[MethodKind, float]" = {"full": 3e-4, "scratch": 1e-3, "unet": 3e-3}
HEAD_RATE = 3e-3


def finetune_cell(task: SuiteTask, source: FeatureSource, address: CellAddress) -> Cell:
    """Fine-tune on the first fold of every seed, and predict its test samples.

    Args:
        task: with its images.
        source: of the network that learns: weights (`full`), the same network untrained (`scratch`), or none (`unet`).
        address: of the cell.

    Raises:
        ConfigError: the task is a regression.
    """
    prepared = task.prepared
    if prepared.config.is_regression:
        raise ConfigError(f"{task.name} is a regression, which the suite does not fine-tune")
    start = time.process_time()
    predictions = np.full((len(prepared.folds), len(prepared.samples)), np.nan)
    for seed, folds in enumerate(prepared.folds):
        predictions[seed, folds[0].test] = _predict(prepared, folds[0], source, address.share, seed)
    seconds = round(time.process_time() - start, 1)
    return Cell(address, predictions, {"fit_cpu_seconds": seconds})


def _predict(prepared: PreparedProbe, fold: Fold, source: FeatureSource, share: float, seed: int) -> np.ndarray:
    """Return (test samples,) classes predicted by a network that learned on a share of the training labels."""
    samples = prepared.samples
    rows = draw_labels(samples.target[fold.train], share, seed, fold.train)
    train, validation = _validation_part(samples, rows, seed)
    used = [_labelled(samples, part) for part in (train, validation, fold.test)]
    learned, checked, tested = (part[1] for part in used)
    data = LabelledData(make_task(_task_kind(samples), prepared.config.name, samples.classes), learned, checked, tested)
    network = source.network(seed)
    result = finetune_model(data, network, _recipe(prepared, source), seed=seed, missing_classes="note")
    predicted = {image: one.label for image, one in zip(used[2][0], result.predictions, strict=True)}
    return np.array([_at(predicted[samples.image[row]], samples, row) for row in fold.test])


def _task_kind(samples: ProbeSamples) -> str:
    if samples.later:
        return "change"
    return "segmentation" if samples.cell_size else "classification"


def _recipe(prepared: PreparedProbe, source: FeatureSource) -> RecipeConfig:
    kind = source.finetuning or "full"
    patch = prepared.config.patch_size or 8
    rows, columns = prepared.samples.images[0].shape
    tokens = -(-rows // patch) * -(-columns // patch)
    training = TrainingConfig(
        steps=STEPS,
        head_steps=STEPS,
        batch=max(1, min(MAX_BATCH, TOKENS_PER_STEP // tokens)),
        learning_rates=[RATES[kind]],
        head_learning_rates=[HEAD_RATE],
        class_weights="balanced",
        evaluations=6,
    )
    return RecipeConfig(MethodConfig(kind), HeadConfig(), training, None if kind == "unet" else patch)


def _validation_part(samples: ProbeSamples, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split training labels by groups; where there are too few, validation is training."""
    groups = samples.group[rows]
    folds = min(VALIDATION_FOLDS, len(np.unique(groups)))
    if folds < 2:
        return rows, rows
    train, validation = stratified_group_folds(samples.target[rows], groups, folds, seed)[0]
    return rows[train], rows[validation]


def _labelled(samples: ProbeSamples, rows: np.ndarray) -> tuple[list[int], list[LabelledSample]]:
    """Return the tiles that hold some samples, and the tiles with these labels alone."""
    images = np.unique(samples.image[rows]).tolist()
    dates = [samples.images, samples.later] if samples.later else [samples.images]
    labelled = []
    for image in images:
        members = rows[samples.image[rows] == image]
        label = samples.target[members[0]] if samples.cell_size is None else _mask(samples, image, members)
        observations = tuple(date[image] for date in dates)
        labelled.append(LabelledSample(observations, label, observations[0].source))
    return images, labelled


def _mask(samples: ProbeSamples, image: int, rows: np.ndarray) -> np.ndarray:
    cell = samples.cell_size or 1
    mask = np.full(samples.images[image].shape, IGNORE_INDEX, np.int64)
    for row in rows:
        top, left = samples.cell[row] * cell
        mask[top : top + cell, left : left + cell] = samples.target[row]
    return mask


def _at(label: np.ndarray, samples: ProbeSamples, row: int) -> int:
    """Return the class predicted for a sample: of a cell, that of most of its pixels."""
    if samples.cell_size is None:
        return int(label)
    top, left = samples.cell[row] * samples.cell_size
    pixels = label[top : top + samples.cell_size, left : left + samples.cell_size]
    return int(np.bincount(pixels.ravel().astype(int)).argmax())

"""Score a perception model on recordings, by the metrics of the heads that it has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.perception.batch import PerceptionBatch, PerceptionSample, collate
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.heads.base import EvaluatedSample, HeadScores
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import predict
from skyweave.perception.results import ScenePrediction
from skyweave.recordings.recording import Annotations

Predictor = Callable[[PerceptionModel, PerceptionBatch], list[ScenePrediction]]


@dataclass(frozen=True)
class PerceptionScores:
    """Metrics of all heads.

    Attributes:
        values: metric by name.
        notes: what a reader should know of them.
        samples: number of samples scored.
    """

    values: dict[str, float]
    notes: tuple[str, ...]
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN becomes null."""
        values = {name: None if np.isnan(value) else float(value) for name, value in self.values.items()}
        return {"samples": self.samples, **values, "notes": list(self.notes)}


def evaluate(
    model: PerceptionModel,
    dataset: PerceptionDataset,
    batch_size: int = 1,
    every: int = 1,
    predictor: Predictor = predict,
    tracks: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PerceptionScores:
    """Score a model on a dataset.

    The objects to be found are those of the model's categories whose centre is on the sample's map and that some
    platform saw in the frames that the model is given, whether or not the ego platform did: what one platform cannot
    see is what others are for. The rest is left out before matching.

    Args:
        model: its heads say which metrics there are.
        dataset: without augmentation.
        batch_size: samples at a time.
        every: score only every so many-th sample.
        predictor: makes the predictions of a batch; collaborative models bring their own.
        tracks: score tracks as well, which takes every sample and SciPy.
        progress: called with the number of samples done and of all.
    """
    model.eval()
    numbers = list(range(0, len(dataset), every))
    novelty: list[float | None] = []
    evaluators = [head.evaluator(tracks and every == 1) for head in model.heads.values()]
    for start in range(0, len(numbers), batch_size):
        for sample in _evaluate_batch(model, dataset, numbers[start : start + batch_size], predictor):
            novelty.append(sample.prediction.novelty)
            for evaluator in evaluators:
                evaluator.add(sample)
        if progress is not None:
            progress(min(start + batch_size, len(numbers)), len(numbers))
    return _join_scores([evaluator.compute() for evaluator in evaluators], novelty, len(numbers))


def _join_scores(scores: Sequence[HeadScores], novelty: Sequence[float | None], samples: int) -> PerceptionScores:
    """Return the scores of all heads as one."""
    values = {name: value for head in scores for name, value in head.values.items()}
    known = [value for value in novelty if value is not None]
    if known:
        values["novelty"] = float(np.median(known))
    notes = [*_unlike_training(np.array(known)), *(note for head in scores for note in head.notes)]
    return PerceptionScores(values, tuple(dict.fromkeys(notes)), samples)


def _unlike_training(known: np.ndarray) -> list[str]:
    """A note where images of samples of some (samples,) novelty are unlike those of the training."""
    unlike = int((known > 1).sum())
    if not unlike:
        return []
    return [
        f"{unlike} of {len(known)} samples show images unlike any that the model was trained on (novelty up to "
        f"{known.max():.1f}; 1 in training): what it finds there means little"
    ]


def ego_only_dataset(dataset: PerceptionDataset) -> PerceptionDataset:
    """Return the same samples with the ego platform alone; the objects to be found stay those that any platform saw.

    Args:
        dataset: without augmentation.
    """
    return PerceptionDataset(dataset.scenes, dataset.config, None, 1, dataset.seed, dataset.true_geometry)


def _evaluate_batch(
    model: PerceptionModel, dataset: PerceptionDataset, numbers: Sequence[int], predictor: Predictor
) -> list[EvaluatedSample]:
    """Samples by their number in the dataset, with their predictions."""
    batch = collate([dataset[number] for number in numbers])
    predictions = zip(numbers, batch.samples, predictor(model, batch), strict=True)
    return [
        _evaluated_sample(dataset.index[number][0], sample, prediction, dataset.config.categories)
        for number, sample, prediction in predictions
    ]


def _evaluated_sample(
    scene_index: int, sample: PerceptionSample, prediction: ScenePrediction, categories: Sequence[str]
) -> EvaluatedSample:
    objects = sample.objects
    annotations = Annotations(
        objects.boxes,
        objects.velocities,
        tuple(categories[label] for label in objects.labels),
        tuple(str(identity) for identity in objects.identities),
    )
    counted = objects.observed & (objects.grid.index(objects.boxes.centres) >= 0)
    return EvaluatedSample(scene_index, objects, annotations, counted, prediction)

"""Multi-label classification: any number of classes an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.tasks.base import ClassTable, Prediction, Task
from skyweave.downstream.finetuning.tasks.class_weights import ClassWeighting, positive_weights
from skyweave.downstream.labels.kinds.image_labels import MultiClassLabel
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.downstream.scoring.average_precision import micro_average_precision
from skyweave.inference.raster_output import RasterOutput, label_output, probability_output

THRESHOLD = 0.5
"""Probability from which a class counts as predicted."""


class Multilabel(Task):
    """Predicts any number of classes for an image: a sigmoid and binary cross-entropy for each."""

    kind = "multilabel"
    label_kind = MultiClassLabel()
    main_metric = "micro_map"
    min_classes = 1

    @override
    def class_weights(self, samples: Sequence[LabelledSample], weighting: ClassWeighting) -> Tensor | None:
        # weights of positive labels
        return positive_weights(self.class_counts(samples), len(samples), weighting)

    @override
    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        # compute binary cross-entropy
        return functional.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=class_weights)

    @override
    def probabilities(self, logits: Tensor) -> Tensor:
        # the sigmoid of each class
        return logits.float().sigmoid()

    @override
    def raster_outputs(self, mean: float, std: float) -> list[RasterOutput]:
        # which classes are there, or the probability of each
        return [label_output(self.classes, THRESHOLD), probability_output(self.classes)]

    @override
    def decode(self, probabilities: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
        # the classes of probability 0.5 and more
        return [Prediction(values >= THRESHOLD, values) for values in probabilities.float().cpu().numpy()]

    @override
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        # micro-averaged average precision and F1, and macro F1
        from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

        probabilities = torch.from_numpy(_probabilities(predictions))
        truth = torch.from_numpy(_labels(samples).astype(np.int64))
        count = len(self.classes)
        return {
            "micro_map": float(multilabel_average_precision(probabilities, truth, count, average="micro")),
            "micro_f1": float(multilabel_f1_score(probabilities, truth, count, average="micro")),
            "macro_f1": float(multilabel_f1_score(probabilities, truth, count, average="macro")),
        }

    @override
    def resampled_scores(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample], weights: np.ndarray
    ) -> np.ndarray:
        # micro-averaged average precision of weighted samples
        return micro_average_precision(_probabilities(predictions), _labels(samples), weights)

    @override
    def class_table(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> ClassTable:
        # precision, recall and F1 by class
        truth, predicted = _labels(samples), np.stack([prediction.label for prediction in predictions])
        rows = []
        for name, true, positive in zip(self.classes, truth.T, predicted.T, strict=True):
            hits, labels, positives = int((true & positive).sum()), int(true.sum()), int(positive.sum())
            f1 = 2 * hits / (labels + positives) if labels + positives else float("nan")
            rows.append((name, labels, (hits / max(1, positives), hits / max(1, labels), f1)))
        return ClassTable(("precision", "recall", "F1"), rows)

    @override
    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        # the image with the names of its classes
        names = [name for name, present in zip(self.classes, np.asarray(label), strict=True) if present]
        return true_color_image(observation), f": {', '.join(names) or 'nothing'}"


def _probabilities(predictions: Sequence[Prediction]) -> np.ndarray:
    return np.stack([prediction.probabilities for prediction in predictions if prediction.probabilities is not None])


def _labels(samples: Sequence[LabelledSample]) -> np.ndarray:
    return np.stack([np.asarray(sample.label) for sample in samples])

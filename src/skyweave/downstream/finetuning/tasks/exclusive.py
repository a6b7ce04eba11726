"""What tasks share in which every image or pixel has one class of several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from skyweave.downstream.finetuning.tasks.base import ClassTable, Prediction, Task
from skyweave.downstream.finetuning.tasks.losses import dice_loss, masked_cross_entropy
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.downstream.scoring.confusion import ExclusiveClassScores, class_scores, confusion_tables, score_classes
from skyweave.inference.raster_output import RasterOutput, class_output, probability_output


class ExclusiveClassTask(Task):
    """One class of several, of an image or of each pixel: softmax and cross-entropy."""

    @override
    def target(self, sample: LabelledSample) -> Tensor:
        # class indices, int64
        return torch.from_numpy(np.asarray(sample.label).astype(np.int64))

    @override
    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        # compute cross-entropy, and the Dice loss of dense tasks beside it
        logits = logits.float()
        entropy = masked_cross_entropy(logits, targets, class_weights)
        return entropy + dice_weight * dice_loss(logits, targets) if dice_weight and self.is_dense else entropy

    @override
    def probabilities(self, logits: Tensor) -> Tensor:
        # the softmax over the classes
        return logits.float().softmax(1)

    @override
    def named_outputs(self, probabilities: Tensor, mean: Tensor, std: Tensor) -> dict[str, Tensor]:
        # probabilities, and the index of the most probable class
        return {"probabilities": probabilities, "classes": probabilities.argmax(1)}

    @override
    def raster_outputs(self, mean: float, std: float) -> list[RasterOutput]:
        # the most probable class, or the probability of each
        return [class_output(self.classes), probability_output(self.classes)]

    @override
    def decode(self, probabilities: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
        # the most probable class
        return [Prediction(values.argmax(0), values) for values in probabilities.float().cpu().numpy()]

    def score_classes(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]
    ) -> ExclusiveClassScores:
        """Return accuracy, and F1 and overlap by class.

        Args:
            predictions: of the samples.
            samples: labelled.

        Raises:
            DataError: nothing has a label.
        """
        labels = [np.asarray(sample.label) for sample in samples]
        return score_classes([prediction.label for prediction in predictions], labels, len(self.classes))

    def confusion_tables(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> np.ndarray:
        """Return (samples, classes, classes) counts of images or pixels, true class first.

        Args:
            predictions: of the samples.
            samples: labelled.
        """
        labels = [np.asarray(sample.label) for sample in samples]
        return confusion_tables([prediction.label for prediction in predictions], labels, len(self.classes))

    @override
    def class_table(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> ClassTable:
        # scores and confusion by class
        table = self.confusion_tables(predictions, samples).sum(0)
        rows = [
            (line.name, line.labels, (line.precision, line.recall, line.f1, line.iou))
            for line in class_scores(self.classes, table)
        ]
        return ClassTable(("precision", "recall", "F1", "intersection over union"), rows, table)

    def weighted_tables(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample], weights: np.ndarray
    ) -> np.ndarray:
        """Return (resamples, classes, classes) confusion counts of weighted samples.

        Args:
            predictions: of the samples.
            samples: labelled.
            weights: (resamples, samples) how often each sample counts.
        """
        tables = self.confusion_tables(predictions, samples)
        totals: np.ndarray = (weights @ tables.reshape(len(samples), -1)).reshape(-1, *tables.shape[1:])
        return totals

"""Segmentation: one class a pixel."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.tasks.base import Prediction
from skyweave.downstream.finetuning.tasks.drawing import colour_classes
from skyweave.downstream.finetuning.tasks.exclusive import ExclusiveClassTask
from skyweave.downstream.labels.kinds.masks import ClassMask
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.downstream.scoring.confusion import table_mean_iou


class Segmentation(ExclusiveClassTask):
    """Predicts one class of several for each pixel."""

    kind = "segmentation"
    label_kind = ClassMask()
    main_metric = "miou"
    is_dense = True

    @override
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        # mean intersection over union, accuracy and macro F1
        scores = self.score_classes(predictions, samples)
        return {"miou": scores.mean_iou, "accuracy": scores.accuracy, "macro_f1": scores.macro_f1}

    @override
    def resampled_scores(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample], weights: np.ndarray
    ) -> np.ndarray:
        # the mean intersection over union of weighted samples
        return table_mean_iou(self.weighted_tables(predictions, samples, weights))

    @override
    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        # the mask in the colours of its classes
        return colour_classes(np.asarray(label)), ""

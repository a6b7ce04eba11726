"""Change detection: one class a pixel, of two dates."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.tasks.base import Prediction
from skyweave.downstream.finetuning.tasks.drawing import colour_classes
from skyweave.downstream.finetuning.tasks.exclusive import ExclusiveClassTask
from skyweave.downstream.labels.kinds.masks import ClassMask
from skyweave.downstream.labels.sample import Label, LabelledSample


class ChangeDetection(ExclusiveClassTask):
    """Predicts one class for each pixel of two dates; the first class is no change."""

    kind = "change"
    label_kind = ClassMask()
    main_metric = "change_f1"
    is_dense = True
    num_dates = 2

    @override
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        # mean F1 and intersection over union of the classes of change, and accuracy
        scores = self.score_classes(predictions, samples)
        return {
            "change_f1": float(scores.f1[1:].mean()),
            "change_iou": float(scores.iou[1:].mean()),
            "accuracy": scores.accuracy,
        }

    @override
    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        # the mask in the colours of its classes
        return colour_classes(np.asarray(label)), ""

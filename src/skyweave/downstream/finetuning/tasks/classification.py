"""Classification: one class an image."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.tasks.base import Prediction
from skyweave.downstream.finetuning.tasks.exclusive import ExclusiveClassTask
from skyweave.downstream.labels.kinds.image_labels import ClassLabel
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.downstream.scoring.confusion import table_accuracy


class Classification(ExclusiveClassTask):
    """Predicts one class of several for an image."""

    kind = "classification"
    label_kind = ClassLabel()
    main_metric = "accuracy"

    @override
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        # accuracy, balanced accuracy and macro F1
        scores = self.score_classes(predictions, samples)
        return {
            "accuracy": scores.accuracy,
            "balanced_accuracy": scores.balanced_accuracy,
            "macro_f1": scores.macro_f1,
        }

    @override
    def resampled_scores(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample], weights: np.ndarray
    ) -> np.ndarray:
        # the accuracy of weighted samples
        return table_accuracy(self.weighted_tables(predictions, samples, weights))

    @override
    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        # the image with the name of the class
        return true_color_image(observation), f": {self.classes[int(label)]}"

"""Classification: one class an image."""

from collections.abc import Sequence

import numpy as np

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

    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        """Return accuracy, balanced accuracy and macro F1; see `Task.scores`."""
        scores = self.score_classes(predictions, samples)
        return {
            "accuracy": scores.accuracy,
            "balanced_accuracy": scores.balanced_accuracy,
            "macro_f1": scores.macro_f1,
        }

    def resampled_scores(
        self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample], weights: np.ndarray
    ) -> np.ndarray:
        """Return the accuracy of weighted samples; see `Task.resampled_scores`."""
        return table_accuracy(self.weighted_tables(predictions, samples, weights))

    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        """Return the image with the name of the class; see `Task.draw`."""
        return true_color_image(observation), f": {self.classes[int(label)]}"

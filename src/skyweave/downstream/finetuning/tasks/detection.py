"""Detection: boxes as centres (CenterNet, Zhou et al. 2019, arXiv 1904.07850)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.models.detection_head import BOX_CHANNELS, decode_boxes, detection_loss
from skyweave.downstream.finetuning.tasks.base import Prediction, Task
from skyweave.downstream.finetuning.tasks.class_weights import ClassWeighting
from skyweave.downstream.finetuning.tasks.drawing import draw_boxes
from skyweave.downstream.labels.kinds.boxes import BoxLabel
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.downstream.scoring.average_precision import box_average_precision


class Detection(Task):
    """Predicts boxes in pixels, each with a class and a score."""

    kind = "detection"
    label_kind = BoxLabel()
    main_metric = "ap50"
    is_dense = True
    averages_outputs = False
    min_classes = 1

    @property
    def num_outputs(self) -> int:
        """Return a heatmap for each class, and offset and size; see `Task.num_outputs`."""
        return len(self.classes) + BOX_CHANNELS

    def class_weights(self, samples: Sequence[LabelledSample], weighting: ClassWeighting) -> Tensor | None:
        """Return None, for the focal loss weighs itself; see `Task.class_weights`."""
        return None

    def collate(self, targets: Sequence[Tensor]) -> Any:
        """Return a list, since images have different numbers of boxes; see `Task.collate`."""
        return list(targets)

    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        """Compute the focal loss of the heatmaps, and errors of offsets and sizes; see `Task.loss`."""
        return detection_loss(logits.float(), targets)

    def decode(self, probabilities: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
        """Return the boxes at the peaks of the heatmaps; see `Task.decode`."""
        return [Prediction(boxes) for boxes in decode_boxes(probabilities)]

    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        """Return average precision at an overlap of 0.5; see `Task.scores`."""
        boxes = [np.asarray(sample.label) for sample in samples]
        predicted = [prediction.label for prediction in predictions]
        return {"ap50": box_average_precision(predicted, boxes, len(self.classes))}

    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        """Return the image with outlines of the boxes; see `Task.draw`."""
        boxes = np.asarray(label)
        return draw_boxes(true_color_image(observation), boxes), f" ({len(boxes)} boxes)"

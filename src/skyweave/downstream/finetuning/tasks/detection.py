"""Detection: boxes as centres (CenterNet, Zhou et al. 2019, arXiv 1904.07850)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from typing_extensions import override

from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.models.detection_head import (
    BOX_CHANNELS,
    decode_boxes,
    decode_cells,
    detection_loss,
)
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

    @override
    @property
    def num_outputs(self) -> int:
        # a heatmap for each class, and offset and size
        return len(self.classes) + BOX_CHANNELS

    @override
    def class_weights(self, samples: Sequence[LabelledSample], weighting: ClassWeighting) -> Tensor | None:
        # none, for the focal loss weighs itself
        return None

    @override
    def collate(self, targets: Sequence[Tensor]) -> Any:
        # a list, since images have different numbers of boxes
        return list(targets)

    @override
    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        # compute the focal loss of the heatmaps, and errors of offsets and sizes
        return detection_loss(logits.float(), targets)

    @override
    def named_outputs(self, probabilities: Tensor, mean: Tensor, std: Tensor) -> dict[str, Tensor]:
        # scores of each class at the peaks of its heatmap, 0 elsewhere, and the box of each cell
        scores, sides = decode_cells(probabilities)
        return {"scores": scores, "boxes": sides}

    @override
    def decode(self, probabilities: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
        # the boxes at the peaks of the heatmaps
        return [Prediction(boxes) for boxes in decode_boxes(probabilities)]

    @override
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        # average precision at an overlap of 0.5
        boxes = [np.asarray(sample.label) for sample in samples]
        predicted = [prediction.label for prediction in predictions]
        return {"ap50": box_average_precision(predicted, boxes, len(self.classes))}

    @override
    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        # the image with outlines of the boxes
        boxes = np.asarray(label)
        return draw_boxes(true_color_image(observation), boxes), f" ({len(boxes)} boxes)"

"""Detection transformers: RT-DETR (arXiv 2304.08069) and RF-DETR, whose queries are objects and do not overlap.

Outputs are boxes (1, queries, 4), middles and extents relative to the image, and logits (1, queries, classes).
"""

from collections.abc import Mapping

import numpy as np

from skyweave.detection.families.base import DecodedOutputs, DetectorFamily, Shapes, boxes_from_centres, sigmoid
from skyweave.detection.input_image import IMAGENET_MEAN, IMAGENET_STD, InputConfig

RF_DETR_NAMES = {"dets", "labels"}


def _matches_rtdetr(shapes: Shapes, size: tuple[int, int]) -> bool:
    return _has_queries(shapes) and not shapes.keys() >= RF_DETR_NAMES


def _matches_rfdetr(shapes: Shapes, size: tuple[int, int]) -> bool:
    return _has_queries(shapes) and shapes.keys() >= RF_DETR_NAMES


def _has_queries(shapes: Shapes) -> bool:
    three = [shape for shape in shapes.values() if len(shape) == 3]
    boxes = [shape for shape in three if shape[-1] == 4]
    return len(boxes) == 1 and len(three) == 2 and three[0][1] == three[1][1]


def _decode(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    three = {name: values[0] for name, values in outputs.items() if values.ndim == 3}
    boxes = next(values for values in three.values() if values.shape[-1] == 4)
    logits = next(values for values in three.values() if values is not boxes)
    scale = np.array([size[1], size[0]] * 2, np.float64)
    return DecodedOutputs(boxes_from_centres(boxes.astype(np.float64)) * scale, sigmoid(logits), overlapping=False)


RTDETR = DetectorFamily(InputConfig(scale=1 / 255), _matches_rtdetr, _decode)
RFDETR = DetectorFamily(InputConfig(scale=1 / 255, mean=IMAGENET_MEAN, std=IMAGENET_STD), _matches_rfdetr, _decode)

"""The outputs that most YOLO exports share: (1, 4 + classes, cells), or (1, boxes, 6) with suppression inside."""

from collections.abc import Mapping

import numpy as np

from skyweave.detection.families.base import DecodedOutputs, DetectorFamily, Shapes, boxes_from_centres, cells_of
from skyweave.detection.input_image import InputConfig

STRIDES = (8, 16, 32)
INPUT = InputConfig(scale=1 / 255, fit="centre")
NUM_END_TO_END = 6  # left, top, right, bottom, score, class
MAX_CLASSES = 1024  # that a model without suppression inside may number


def _matches(shapes: Shapes, size: tuple[int, int]) -> bool:
    shape = next(iter(shapes.values()))
    return len(shapes) == 1 and len(shape) == 3 and shape[2] == cells_of(*size, STRIDES) and (shape[1] or 0) > 4


def _decode(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    values = next(iter(outputs.values()))[0].T
    return DecodedOutputs(boxes_from_centres(values[:, :4]), values[:, 4:])


def _matches_end_to_end(shapes: Shapes, size: tuple[int, int]) -> bool:
    shape = next(iter(shapes.values()))
    return len(shapes) == 1 and len(shape) == 3 and shape[2] == NUM_END_TO_END


def _decode_end_to_end(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    values = next(iter(outputs.values()))[0]
    classes = np.clip(values[:, 5].astype(int), 0, MAX_CLASSES - 1)
    scores = np.zeros((len(values), int(classes.max(initial=0)) + 1))
    scores[np.arange(len(values)), classes] = values[:, 4]
    return DecodedOutputs(values[:, :4].astype(np.float64), scores, overlapping=False)


YOLO = DetectorFamily(INPUT, _matches, _decode)
YOLO_END_TO_END = DetectorFamily(INPUT, _matches_end_to_end, _decode_end_to_end)

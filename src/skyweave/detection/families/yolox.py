"""YOLOX (arXiv 2107.08430): one output (1, cells, 5 + classes), raw boxes about the cells of three strides."""

from collections.abc import Mapping

import numpy as np

from skyweave.detection.families.base import (
    DecodedOutputs,
    DetectorFamily,
    Shapes,
    boxes_from_centres,
    cells_of,
    grid_of,
)
from skyweave.detection.input_image import InputConfig

STRIDES = (8, 16, 32)


def _matches(shapes: Shapes, size: tuple[int, int]) -> bool:
    shape = next(iter(shapes.values()))
    return len(shapes) == 1 and len(shape) == 3 and shape[1] == cells_of(*size, STRIDES) and (shape[2] or 0) > 5


def _decode(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    values = next(iter(outputs.values())).reshape(-1, next(iter(outputs.values())).shape[-1])
    grid = np.concatenate([grid_of(*size, stride) for stride in STRIDES])
    strides = np.concatenate([np.full((len(grid_of(*size, stride)), 1), stride) for stride in STRIDES])
    centres = (values[:, :2] + grid) * strides
    boxes = boxes_from_centres(np.concatenate([centres, np.exp(values[:, 2:4]) * strides], 1))
    return DecodedOutputs(boxes, values[:, 4:5] * values[:, 5:])


YOLOX = DetectorFamily(InputConfig(channels="bgr", fit="corner"), _matches, _decode)

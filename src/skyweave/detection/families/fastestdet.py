"""FastestDet: one map (1, 5 + classes, rows, columns) of objectness, box and classes."""

from collections.abc import Mapping

import numpy as np

from skyweave.detection.families.base import DecodedOutputs, DetectorFamily, Shapes, boxes_from_centres, sigmoid
from skyweave.detection.input_image import InputConfig

OBJECTNESS_POWER, CLASS_POWER = 0.6, 0.4


def _matches(shapes: Shapes, size: tuple[int, int]) -> bool:
    shape = next(iter(shapes.values()))
    return len(shapes) == 1 and len(shape) == 4 and (shape[1] or 0) > 5


def _decode(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    values = next(iter(outputs.values()))[0]
    channels, rows, columns = values.shape
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    values, grid = values.reshape(channels, -1).T, np.stack([x.ravel(), y.ravel()], 1)
    scale = np.array([size[1], size[0]], np.float64)
    centres = (np.tanh(values[:, 1:3]) + grid) / [columns, rows] * scale
    extents = sigmoid(values[:, 3:5]) * scale
    scores = values[:, :1] ** OBJECTNESS_POWER * values[:, 5:] ** CLASS_POWER
    return DecodedOutputs(boxes_from_centres(np.concatenate([centres, extents], 1)), scores)


FASTESTDET = DetectorFamily(InputConfig(scale=1 / 255, channels="bgr", fit="stretch"), _matches, _decode)

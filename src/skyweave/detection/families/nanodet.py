"""NanoDet: distances to the four sides as distributions (generalised focal loss, arXiv 2006.04388)."""

from collections.abc import Mapping

import numpy as np

from skyweave.detection.families.base import DecodedOutputs, DetectorFamily, Shapes, cells_of, grid_of, sigmoid
from skyweave.detection.input_image import InputConfig

STRIDES = (8, 16, 32)
PLUS_STRIDES = (8, 16, 32, 64)
NUM_BINS = 8  # of a distribution, 0 to 7 strides
INPUT = InputConfig(mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), channels="bgr", fit="centre")


def _matches(shapes: Shapes, size: tuple[int, int]) -> bool:
    return all(f"{name}_pred_stride_{stride}" in shapes for name in ("cls", "dis") for stride in STRIDES)


def _decode(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    boxes = [_boxes(outputs[f"dis_pred_stride_{stride}"][0], size, stride) for stride in STRIDES]
    scores = np.concatenate([outputs[f"cls_pred_stride_{stride}"][0] for stride in STRIDES])
    return DecodedOutputs(np.concatenate(boxes), _probabilities(scores))


def _matches_plus(shapes: Shapes, size: tuple[int, int]) -> bool:
    shape = next(iter(shapes.values()))
    return len(shapes) == 1 and len(shape) == 3 and shape[1] == cells_of(*size, PLUS_STRIDES)


def _decode_plus(outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> DecodedOutputs:
    values = next(iter(outputs.values()))[0]
    ends = np.cumsum([cells_of(*size, (stride,)) for stride in PLUS_STRIDES])[:-1]
    parts = np.split(values[:, -4 * NUM_BINS :], ends)
    boxes = [_boxes(part, size, stride, 0.0) for part, stride in zip(parts, PLUS_STRIDES, strict=True)]
    return DecodedOutputs(np.concatenate(boxes), _probabilities(values[:, : -4 * NUM_BINS]))


def _boxes(distances: np.ndarray, size: tuple[int, int], stride: int, shift: float = 0.5) -> np.ndarray:
    """Return boxes (n, 4) from the distributions (n, 32) of their distances to the middles of the cells."""
    logits = distances.reshape(-1, 4, NUM_BINS)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    reach = (weights / weights.sum(-1, keepdims=True)) @ np.arange(NUM_BINS) * stride
    centres = grid_of(*size, stride) * stride + shift * (stride - 1)
    return np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], 1)


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """Return scores in 0..1, whether the model has the logistic function in it or not."""
    inside = scores.min(initial=0) >= 0 and scores.max(initial=0) <= 1
    return scores if inside else sigmoid(scores)


NANODET = DetectorFamily(INPUT, _matches, _decode)
NANODET_PLUS = DetectorFamily(INPUT, _matches_plus, _decode_plus)

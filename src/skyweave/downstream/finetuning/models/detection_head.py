"""Boxes as centres: a heatmap for each class, and a size at each place (CenterNet, arXiv 1904.07850)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skyweave.downstream.scoring.average_precision import box_iou

STRIDE = 4
"""Pixels per cell of the heatmap."""
BOX_CHANNELS = 4
"""Numbers beside the heatmaps: offset of the centre (x, y, in cells) and logarithm of the size (in cells)."""
PEAK_WINDOW = 5
"""Cells a side in which a peak must be the largest."""
MAX_BOXES = 300
MIN_BOX_SCORE = 0.05
NMS_IOU = 0.5
CENTRE_BIAS = 2.2
"""Taken from the heatmaps' logits: one in ten cells is a centre at the start."""
LOG_SIZE_RANGE = (-3, 6)


def pool_to_cells(outputs: Tensor) -> Tensor:
    """Return (batch, classes + 4, rows, columns) of cells.

    Args:
        outputs: (batch, classes + 4, rows, columns) of pixels.
    """
    return functional.avg_pool2d(outputs, STRIDE, ceil_mode=True)


def detection_loss(outputs: Tensor, boxes: list[Tensor]) -> Tensor:
    """Compute the focal loss of the heatmaps and the mean absolute error of offsets and sizes at the centres.

    Args:
        outputs: (batch, classes + 4, rows, columns) of pixels.
        boxes: an image's (boxes, 5): left, top, right, bottom in pixels, class.
    """
    cells = pool_to_cells(outputs)
    heat, regressed = cells[:, :-BOX_CHANNELS] - CENTRE_BIAS, cells[:, -BOX_CHANNELS:]
    target = torch.zeros_like(heat)
    errors, count = regressed.sum() * 0.0, 0
    for image, image_boxes in enumerate(boxes):
        for left, top, right, bottom, class_index in image_boxes.tolist():
            x, y = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
            width, height = (right - left) / STRIDE, (bottom - top) / STRIDE
            column, row = min(int(x), heat.shape[3] - 1), min(int(y), heat.shape[2] - 1)
            _draw_gaussian(target[image, int(class_index)], row, column, width, height)
            expected = regressed.new_tensor([x - column - 0.5, y - row - 0.5, np.log(width), np.log(height)])
            errors = errors + (regressed[image, :, row, column] - expected).abs().sum()
            count += 1
    probability = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = target == 1
    positive = -((1 - probability) ** 2 * probability.log())[peak].sum()
    negative = -((1 - target) ** 4 * probability**2 * (1 - probability).log())[~peak].sum()
    return (positive + negative + 0.5 * errors) / max(1, count)


def decode_boxes(outputs: Tensor) -> list[np.ndarray]:
    """Return the boxes at the peaks of the heatmaps.

    Args:
        outputs: (batch, classes + 4, rows, columns) of pixels.

    Returns:
        An image's (boxes, 6) float32: left, top, right, bottom in pixels, class, score; best first.
    """
    return [_decode_image(*image) for image in zip(*decode_cells(outputs), strict=True)]


def decode_cells(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores and the box of each cell, in tensor operations only.

    Args:
        outputs: (batch, classes + 4, rows, columns) of pixels.

    Returns:
        Scores (batch, classes, rows, columns) of cells at the peaks of the heatmaps, 0 elsewhere; and left, top, right,
        bottom in pixels, (batch, 4, rows, columns).
    """
    cells = pool_to_cells(outputs.float())
    heat = (cells[:, :-BOX_CHANNELS] - CENTRE_BIAS).sigmoid()
    peaks = functional.max_pool2d(heat, PEAK_WINDOW, stride=1, padding=PEAK_WINDOW // 2)
    dx, dy, width, height = cells[:, -BOX_CHANNELS:].unbind(1)
    column = torch.arange(dx.shape[2], dtype=dx.dtype, device=dx.device)
    row = torch.arange(dx.shape[1], dtype=dx.dtype, device=dx.device)[:, None]
    x, y = (column + 0.5 + dx) * STRIDE, (row + 0.5 + dy) * STRIDE
    half_width, half_height = (side.clamp(*LOG_SIZE_RANGE).exp() * STRIDE / 2 for side in (width, height))
    sides = torch.stack([x - half_width, y - half_height, x + half_width, y + half_height], dim=1)
    return heat * (heat == peaks), sides


def _decode_image(heat: Tensor, sides: Tensor) -> np.ndarray:
    """Return (boxes, 6) of one image from (classes, rows, columns) and (4, rows, columns)."""
    scores, index = heat.flatten().topk(min(MAX_BOXES, heat.numel()))
    index = index[scores > MIN_BOX_SCORE]
    scores = scores[scores > MIN_BOX_SCORE]
    class_index = index // heat[0].numel()
    row, column = index % heat[0].numel() // heat.shape[2], index % heat.shape[2]
    boxes = torch.stack([*sides[:, row, column], class_index.float(), scores], 1)
    return _suppress_duplicates(boxes.cpu().numpy().astype(np.float32))


def _suppress_duplicates(boxes: np.ndarray) -> np.ndarray:
    """Leave out boxes that a better one of the same class covers."""
    shared = box_iou(boxes, boxes) * (boxes[:, None, 4] == boxes[None, :, 4])
    keep: list[int] = []
    for number in range(len(boxes)):
        if not keep or shared[number, keep].max() < NMS_IOU:
            keep.append(number)
    return boxes[keep]


def _draw_gaussian(heat: Tensor, row: int, column: int, width: float, height: float) -> None:
    """Draw a Gaussian of a sixth of the box's size around the centre, 1 at its cell."""
    down = torch.arange(heat.shape[0], dtype=heat.dtype, device=heat.device) - row
    right = torch.arange(heat.shape[1], dtype=heat.dtype, device=heat.device) - column
    exponent = down.square() / max(height / 6, 0.5) ** 2, right.square() / max(width / 6, 0.5) ** 2
    torch.maximum(heat, torch.exp(-0.5 * (exponent[0][:, None] + exponent[1][None])), out=heat)

"""Boxes as centres: a heatmap of where things are, and at each place a size (CenterNet, arXiv 1904.07850)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

STRIDE = 4
"""Pixels per cell of the heatmap."""
BOX_CHANNELS = 4
"""Numbers beside the heatmaps: offset of the centre (x, y, in cells) and logarithm of the size (in cells)."""
PEAK_WINDOW = 5
MAX_BOXES = 300
MIN_BOX_SCORE = 0.05
NMS_IOU = 0.5


def pool_to_cells(answer: Tensor) -> Tensor:
    """(batch, classes + 4, rows, columns) of pixels to the same of cells."""
    return functional.avg_pool2d(answer, STRIDE, ceil_mode=True)


def detection_loss(answer: Tensor, boxes: list[Tensor]) -> Tensor:
    """Focal loss of the heatmaps and mean absolute error of offsets and sizes at the centres.

    Args:
        answer: (batch, classes + 4, rows, columns) of pixels.
        boxes: an image's (number, 5): left, top, right, bottom in pixels, class.
    """
    cells = pool_to_cells(answer)
    heat, places = (
        cells[:, :-BOX_CHANNELS] - 2.2,
        cells[:, -BOX_CHANNELS:],
    )  # one in ten cells is a thing's, at the start
    target = torch.zeros_like(heat)
    errors, number = places.sum() * 0.0, 0
    for image, own in enumerate(boxes):
        for left, top, right, bottom, kind in own.tolist():
            x, y = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
            width, height = (right - left) / STRIDE, (bottom - top) / STRIDE
            column, row = min(int(x), heat.shape[3] - 1), min(int(y), heat.shape[2] - 1)
            _draw(target[image, int(kind)], row, column, width, height)
            wanted = places.new_tensor([x - column - 0.5, y - row - 0.5, np.log(width), np.log(height)])
            errors = errors + (places[image, :, row, column] - wanted).abs().sum()
            number += 1
    probability = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = target == 1
    found = -((1 - probability) ** 2 * probability.log())[peak].sum()
    noise = -((1 - target) ** 4 * probability**2 * (1 - probability).log())[~peak].sum()
    return (found + noise + 0.5 * errors) / max(1, number)


def decode_boxes(answer: Tensor) -> list[np.ndarray]:
    """Boxes of a batch of answers.

    Returns:
        An image's (number, 6) float32: left, top, right, bottom in pixels, class, score; best first.
    """
    cells = pool_to_cells(answer.float())
    heat = (cells[:, :-BOX_CHANNELS] - 2.2).sigmoid()
    peaks = functional.max_pool2d(heat, PEAK_WINDOW, stride=1, padding=PEAK_WINDOW // 2)
    heat = heat * (heat == peaks)
    found = []
    for own, places in zip(heat, cells[:, -BOX_CHANNELS:], strict=True):
        scores, index = own.flatten().topk(min(MAX_BOXES, own.numel()))
        index = index[scores > MIN_BOX_SCORE]
        scores = scores[scores > MIN_BOX_SCORE]
        kind = index // own[0].numel()
        row, column = index % own[0].numel() // own.shape[2], index % own.shape[2]
        dx, dy, width, height = places[:, row, column]
        x, y = (column + 0.5 + dx) * STRIDE, (row + 0.5 + dy) * STRIDE
        half_width, half_height = (side.clamp(-3, 6).exp() * STRIDE / 2 for side in (width, height))
        boxes = torch.stack([x - half_width, y - half_height, x + half_width, y + half_height, kind.float(), scores], 1)
        found.append(_without_doubles(boxes.cpu().numpy().astype(np.float32)))
    return found


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(boxes, others) intersection over union of (number, 4 or more) boxes."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:4], others[None, :, 2:4])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = np.clip(boxes[:, 2:4] - boxes[:, :2], 0, None).prod(-1)
    other = np.clip(others[:, 2:4] - others[:, :2], 0, None).prod(-1)
    return shared / np.maximum(area[:, None] + other[None] - shared, 1e-9)


def average_precision(found: list[np.ndarray], truth: list[np.ndarray], classes: int, overlap: float = 0.5) -> float:
    """Mean over the classes that occur of the area under precision and recall (all points), as in PASCAL VOC 2010.

    Args:
        found: an image's (number, 6) boxes with class and score. truth: an image's (number, 5).
        overlap: intersection over union from which a box counts as found.
    """
    areas = []
    for kind in range(classes):
        total = sum(int((own[:, 4] == kind).sum()) for own in truth)
        if not total:
            continue
        scores, hits = [], []
        for boxes, real in zip(found, truth, strict=True):
            own, wanted = boxes[boxes[:, 4] == kind], real[real[:, 4] == kind]
            scores.append(own[:, 5])
            hits.append(_hits(own, wanted, overlap))
        order = np.argsort(-np.concatenate(scores), kind="stable")
        right = np.concatenate(hits)[order].astype(float)
        recall = right.cumsum() / total
        precision = right.cumsum() / np.arange(1, len(right) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(float((np.diff(recall, prepend=0.0) * best).sum()))
    return float(np.mean(areas)) if areas else float("nan")


def _hits(boxes: np.ndarray, truth: np.ndarray, overlap: float) -> np.ndarray:
    """(number,) bool: each box, best score first, takes the free true box it covers most."""
    shared = box_iou(boxes, truth)
    free = np.ones(len(truth), bool)
    hits = np.zeros(len(boxes), bool)
    for number in np.argsort(-boxes[:, 5], kind="stable"):
        if not free.any():
            break
        best = int(np.where(free, shared[number], -1).argmax())
        if shared[number, best] >= overlap:
            hits[number], free[best] = True, False
    return hits


def _without_doubles(boxes: np.ndarray) -> np.ndarray:
    """Leave out boxes that a better one of the same class covers."""
    shared = box_iou(boxes, boxes) * (boxes[:, None, 4] == boxes[None, :, 4])
    keep: list[int] = []
    for number in range(len(boxes)):
        if not keep or shared[number, keep].max() < NMS_IOU:
            keep.append(number)
    return boxes[keep]


def _draw(heat: Tensor, row: int, column: int, width: float, height: float) -> None:
    """A Gaussian of a sixth of the box's size around the centre, 1 at its cell."""
    down = torch.arange(heat.shape[0], dtype=heat.dtype, device=heat.device) - row
    right = torch.arange(heat.shape[1], dtype=heat.dtype, device=heat.device) - column
    spread = down.square() / max(height / 6, 0.5) ** 2, right.square() / max(width / 6, 0.5) ** 2
    torch.maximum(heat, torch.exp(-0.5 * (spread[0][:, None] + spread[1][None])), out=heat)

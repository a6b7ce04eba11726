"""Average precision: of several labels an image, for weighted samples; and of boxes."""

from collections.abc import Sequence

import numpy as np

DEFAULT_IOU = 0.5


def micro_average_precision(probabilities: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute average precision over all samples and classes together, for several weightings of the samples.

    Args:
        probabilities: (samples, classes).
        truth: (samples, classes) bool.
        weights: (weightings, samples) how often each sample counts.

    Returns:
        (weightings,); 0 where no label is positive. Ties count as one step, as scikit-learn has it.
    """
    order = np.argsort(-probabilities.ravel(), kind="stable")
    sample, positive = order // probabilities.shape[1], truth.ravel()[order]
    ends = np.flatnonzero(np.append(np.diff(probabilities.ravel()[order]) != 0, True))
    scores = np.zeros(len(weights))
    for number, weight in enumerate(weights):
        counted = weight[sample].astype(np.float64)
        retrieved, hits = np.cumsum(counted)[ends], np.cumsum(counted * positive)[ends]
        if hits[-1] > 0:
            precision = hits / np.maximum(retrieved, 1e-12)
            scores[number] = (np.diff(hits, prepend=0) * precision).sum() / hits[-1]
    return scores


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (boxes, others) intersection over union.

    Args:
        boxes: (boxes, 4 or more) left, top, right, bottom, and more.
        others: (others, 4 or more) the same.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:4], others[None, :, 2:4])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = np.clip(boxes[:, 2:4] - boxes[:, :2], 0, None).prod(-1)
    other = np.clip(others[:, 2:4] - others[:, :2], 0, None).prod(-1)
    iou: np.ndarray = shared / np.maximum(area[:, None] + other[None] - shared, 1e-9)
    return iou


def box_average_precision(
    predicted: Sequence[np.ndarray], truth: Sequence[np.ndarray], num_classes: int, iou: float = DEFAULT_IOU
) -> float:
    """Compute the mean over the classes that occur of the area under precision and recall, as in PASCAL VOC 2010.

    Args:
        predicted: an image's (boxes, 6): left, top, right, bottom, class, score.
        truth: an image's (boxes, 5): left, top, right, bottom, class.
        num_classes: of the task.
        iou: intersection over union from which a predicted box is right.

    Returns:
        0 to 1; NaN where no class occurs.
    """
    areas = []
    for index in range(num_classes):
        true = _boxes_of_class(truth, index)
        if any(map(len, true)):
            areas.append(_class_average_precision(_boxes_of_class(predicted, index), true, iou))
    return float(np.mean(areas)) if areas else float("nan")


def _boxes_of_class(boxes: Sequence[np.ndarray], index: int) -> list[np.ndarray]:
    return [one[one[:, 4] == index] for one in boxes]


def _class_average_precision(predicted: list[np.ndarray], truth: list[np.ndarray], iou: float) -> float:
    total = sum(len(boxes) for boxes in truth)
    scores = np.concatenate([boxes[:, 5] for boxes in predicted])
    hits = np.concatenate([_match(boxes, true, iou) for boxes, true in zip(predicted, truth, strict=True)])
    right = hits[np.argsort(-scores, kind="stable")].astype(float)
    recall = right.cumsum() / total
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _match(boxes: np.ndarray, truth: np.ndarray, iou: float) -> np.ndarray:
    """(boxes,) bool: each box, best score first, takes the free true box it covers best."""
    shared = box_iou(boxes, truth)
    free = np.ones(len(truth), bool)
    hits = np.zeros(len(boxes), bool)
    for number in np.argsort(-boxes[:, 5], kind="stable"):
        if not free.any():
            break
        best = int(np.where(free, shared[number], -1).argmax())
        if shared[number, best] >= iou:
            hits[number], free[best] = True, False
    return hits

"""Non-maximum suppression: of boxes of one class that overlap, the one of the highest score stays."""

import numpy as np

from skyweave.detection.image_detections import ImageDetections


def suppress_overlaps(detections: ImageDetections, max_overlap: float = 0.5, by_smaller: bool = False) -> np.ndarray:
    """Return which boxes stay, by falling score: (m,) indices.

    Args:
        detections: of one image.
        max_overlap: intersection over union of two boxes of one class up to which both stay.
        by_smaller: divide the intersection by the smaller of the two boxes instead, so that the part of an object that
            the edge of a slice cut off goes.
    """
    order = np.argsort(-detections.scores, kind="stable")
    boxes = detections.boxes[order]
    _, labels = np.unique(np.array(detections.categories, str)[order], return_inverse=True)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    alive = np.ones(len(order), bool)
    for row in range(len(order)):
        if not alive[row]:
            continue
        later = np.flatnonzero(alive[row + 1 :] & (labels[row + 1 :] == labels[row])) + row + 1
        low = np.maximum(boxes[later, :2], boxes[row, :2])
        shared = np.prod(np.maximum(np.minimum(boxes[later, 2:], boxes[row, 2:]) - low, 0), axis=1)
        whole = np.minimum(areas[later], areas[row]) if by_smaller else areas[later] + areas[row] - shared
        alive[later[shared > max_overlap * np.maximum(whole, 1e-9)]] = False
    return np.asarray(order[alive])

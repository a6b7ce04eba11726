"""Late fusion: the boxes of several platforms as one list (weighted box fusion, arXiv 1910.13302, on the ground)."""

from collections.abc import Sequence

import numpy as np

from skyweave.geometry.boxes import Boxes
from skyweave.perception.results import Detections
from skyweave.wire import BoxList

NEAR = 2.0  # metres between centres of one object, at most; less where objects are smaller
LEAST = 0.7


def fuse_boxes(
    own: BoxList, others: Sequence[BoxList], categories: Sequence[str], crs: str | None, time: int
) -> Detections:
    """Boxes that are the same object become one.

    A group starts with the most certain box that is left and takes from each other platform the nearest box of its
    class within reach. The place is the mean weighted by certainty; size, heading and speed are the most certain one's;
    the certainty is that at least one is right, if they err independently.
    """
    lists = [own, *others]
    which = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    boxes = BoxList.joined(lists)
    velocities = boxes.velocities if boxes.velocities is not None else np.full((len(boxes), 2), np.nan)
    order = np.argsort(-boxes.scores, kind="stable")
    free = np.ones(len(boxes), bool)
    reach = np.clip(np.min(boxes.sizes[:, :2], axis=1, initial=np.inf), LEAST, NEAR)
    centres, scores, leaders = [], [], []
    for leader in order:
        if not free[leader]:
            continue
        free[leader] = False
        distance = np.hypot(*(boxes.centres[:, :2] - boxes.centres[leader, :2]).T)
        near = free & (distance <= reach[leader]) & (boxes.classes == boxes.classes[leader]) & (which != which[leader])
        group = [int(leader)]
        for platform in np.unique(which[near]):
            candidates = np.flatnonzero(near & (which == platform))
            group.append(int(candidates[distance[candidates].argmin()]))
        free[group] = False
        weights = boxes.scores[group]
        centres.append((boxes.centres[group] * weights[:, None]).sum(0) / max(float(weights.sum()), 1e-9))
        scores.append(1 - float(np.prod(1 - weights.clip(0, 1))))
        leaders.append(int(leader))
    if not leaders:
        return Detections.empty(crs, time)
    return Detections(
        Boxes(np.array(centres), boxes.sizes[leaders], boxes.yaws[leaders]),
        velocities[leaders],
        tuple(categories[int(boxes.classes[i])] for i in leaders),
        np.array(scores),
        crs,
        time,
    )


def forecast(detections: Detections, seconds: np.ndarray) -> np.ndarray:
    """(n, steps, 2) places at constant velocity; an unknown velocity stands still."""
    speed = np.nan_to_num(detections.velocities)
    return np.asarray(detections.boxes.centres[:, None, :2] + speed[:, None] * seconds[:, None])

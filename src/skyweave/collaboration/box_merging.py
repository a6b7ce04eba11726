"""Boxes of several platforms become one list: boxes of one object are found, and merged."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skyweave.wire import BoxList

MAX_MERGE_DISTANCE_M = 2.0  # between the centres of boxes of one object
MIN_MERGE_DISTANCE_M = 0.7  # that is allowed however small the objects are
MERGE_GATE = 9.21  # squared distance in standard deviations: 99 % of two normal variables
MAX_UNCERTAIN_DISTANCE_M = 15.0  # that is allowed however uncertain places are
UNSTATED_STD_M = 0.7  # of a place without a covariance beside one that has one


def merge_boxes(ego: BoxList, others: Sequence[BoxList], raise_scores: bool = True) -> BoxList:
    """Merge lists of boxes by weighted box fusion (arXiv 1910.13302): boxes of one object become one.

    A group starts with the box of the largest score that is left and takes from each other list the nearest box of
    its class within reach; centres are means weighted by score, everything else is the first box's. Where a covariance
    is known, boxes are of one object if they differ by less than both are uncertain, and centres are weighted by their
    certainty: platforms err independently of each other.

    Args:
        ego: boxes of the platform itself.
        others: a list of each other platform.
        raise_scores: the score of a group is the probability that at least one of its boxes is right; else it is the
            largest score.
    """
    lists = [ego, *(other for other in others if len(other))]
    source = np.repeat(np.arange(len(lists)), [len(boxes) for boxes in lists])
    boxes = BoxList.joined([_with_velocities(part) for part in lists])
    groups = _groups(boxes, source)
    if not groups:
        return boxes
    merged = [_merge(boxes, group, raise_scores) for group in groups]
    centres, scores, covariances = map(np.array, zip(*merged, strict=True))
    leaders = boxes.select(np.array([group[0] for group in groups]))
    known = None if boxes.covariances is None else covariances
    return replace(leaders, centres=centres, scores=scores, covariances=known)


def _merge(boxes: BoxList, group: list[int], raise_scores: bool) -> tuple[np.ndarray, float, np.ndarray]:
    """Return what a group of boxes says together: (3,) centre, score, (2, 2) covariance."""
    weights = boxes.scores[group]
    centre = (boxes.centres[group] * weights[:, None]).sum(0) / max(float(weights.sum()), 1e-9)
    score = 1 - float(np.prod(1 - weights.clip(0, 1))) if raise_scores else float(weights.max())
    covariance = np.full((2, 2), np.nan)
    if boxes.covariances is not None and not np.isnan(boxes.covariances[group]).any((1, 2)).all():
        information = np.linalg.inv(_stated(boxes.covariances[group]))
        covariance = np.linalg.inv(information.sum(0))
        centre[:2] = covariance @ (information @ boxes.centres[group, :2, None]).sum(0)[:, 0]
    return centre, score, covariance


def _groups(boxes: BoxList, source: np.ndarray) -> list[list[int]]:
    """Return the boxes of each object, the one with the largest score first."""
    free = np.ones(len(boxes), bool)
    reach = np.clip(np.min(boxes.sizes[:, :2], axis=1, initial=np.inf), MIN_MERGE_DISTANCE_M, MAX_MERGE_DISTANCE_M)
    groups = []
    for leader in np.argsort(-boxes.scores, kind="stable"):
        if free[leader]:
            group = _group_of(int(leader), boxes, source, free, float(reach[leader]))
            free[group] = False
            groups.append(group)
    return groups


def _group_of(leader: int, boxes: BoxList, source: np.ndarray, free: np.ndarray, reach: float) -> list[int]:
    """Return the leader and, of each other list, the nearest free box of its class within reach."""
    distance = np.hypot(*(boxes.centres[:, :2] - boxes.centres[leader, :2]).T)
    near = (distance <= reach) | _as_near_as_uncertain(leader, boxes, distance)
    matches = free & near & (boxes.classes == boxes.classes[leader]) & (source != source[leader])
    group = [leader]
    for other in np.unique(source[matches]):
        candidates = np.flatnonzero(matches & (source == other))
        group.append(int(candidates[distance[candidates].argmin()]))
    return group


def _as_near_as_uncertain(leader: int, boxes: BoxList, distance: np.ndarray) -> np.ndarray:
    """Return (n,) bool: whether a box differs from the leader by less than both are uncertain, where that is known."""
    if boxes.covariances is None:
        return np.zeros(len(boxes), bool)
    unknown = np.isnan(boxes.covariances).any((1, 2))
    stated = _stated(boxes.covariances)
    offset = boxes.centres[:, :2] - boxes.centres[leader, :2]
    squared = np.einsum("ni,nij,nj->n", offset, np.linalg.inv(stated + stated[leader]), offset)
    known = ~(unknown & unknown[leader])
    return np.asarray(known & (squared <= MERGE_GATE) & (distance <= MAX_UNCERTAIN_DISTANCE_M))


def _stated(covariances: np.ndarray) -> np.ndarray:
    """Return covariances (n, 2, 2) with the usual one where none is known."""
    unknown = np.isnan(covariances).any((1, 2))
    return np.where(unknown[:, None, None], np.eye(2) * UNSTATED_STD_M**2, covariances)


def _with_velocities(boxes: BoxList) -> BoxList:
    return boxes if boxes.velocities is not None else replace(boxes, velocities=np.zeros((len(boxes), 2)))

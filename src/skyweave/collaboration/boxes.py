"""Boxes that travel: from detections and back, moved on in time, drawn on a map, and merged."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.results import Detections
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList

MAX_MERGE_DISTANCE_M, MIN_MERGE_DISTANCE_M = (
    2.0,
    0.7,
)  # metres between the centres of one object, at most; less where objects are smaller
RASTER_CHANNELS = 7  # channels of a drawn map besides one a class
SCORE_CHANNEL = 0  # of them


def box_list_from_detections(detections: Detections | None, categories: Sequence[str]) -> BoxList:
    """Detections for the wire, the most certain first; unknown velocities travel as 0."""
    if detections is None:
        detections = Detections.empty()
    order = np.argsort(-detections.scores, kind="stable")
    return BoxList(
        detections.boxes.centres[order].reshape(-1, 3),
        detections.boxes.sizes[order].reshape(-1, 3),
        detections.boxes.yaws[order],
        np.array([list(categories).index(detections.categories[i]) for i in order], int),
        detections.scores[order].clip(0, 1),
        np.nan_to_num(detections.velocities[order]),
    )


def detections_from_box_list(boxes: BoxList, categories: Sequence[str], crs: str | None, time: int) -> Detections:
    """Boxes off the wire as detections. Classes that we do not have are left out."""
    boxes = boxes.select(np.flatnonzero(boxes.classes < len(categories)))
    velocities = boxes.velocities if boxes.velocities is not None else np.full((len(boxes), 2), np.nan)
    names = tuple(categories[int(number)] for number in boxes.classes)
    return Detections(Boxes(boxes.centres, boxes.sizes, boxes.yaws), velocities, names, boxes.scores, crs, time)


def extrapolate_boxes(boxes: BoxList, seconds: float) -> BoxList:
    """The boxes after so many seconds at their velocities."""
    if boxes.velocities is None or not seconds:
        return boxes
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * seconds
    return replace(boxes, centres=centres)


def rasterize_boxes(boxes: BoxList | None, grid: MapGrid, classes: int) -> Tensor:
    """(DRAWN + classes, rows, columns) boxes as a map, as CERF does: certainty, the axis (cosine and sine of twice the
    heading), velocity (10 m/s), length and width (logarithm), and certainty by class, on the cells of each box.
    """
    result = np.zeros((RASTER_CHANNELS + classes, *grid.shape), np.float32)
    if boxes is None or not len(boxes):
        return torch.from_numpy(result)
    boxes = boxes.select(np.argsort(boxes.scores, kind="stable")[-64:])  # the most certain on top
    footprints = Boxes(boxes.centres, boxes.sizes, boxes.yaws).footprints()
    owner = rasterise(footprints, np.arange(1, len(boxes) + 1), grid)
    row, column = np.nonzero(owner)
    which = owner[row, column] - 1
    speed = boxes.velocities if boxes.velocities is not None else np.zeros((len(boxes), 2))
    values = [
        boxes.scores, np.cos(2 * boxes.yaws), np.sin(2 * boxes.yaws), speed[:, 0] / 10, speed[:, 1] / 10,
        np.log(boxes.sizes[:, 0]), np.log(boxes.sizes[:, 1]),
    ]  # fmt: skip
    for channel, value in enumerate(values):
        result[channel, row, column] = value[which]
    known = boxes.classes[which] < classes
    result[RASTER_CHANNELS + boxes.classes[which][known], row[known], column[known]] = boxes.scores[which][known]
    return torch.from_numpy(result)


def centres_on_map(boxes: BoxList, grid: MapGrid) -> np.ndarray:
    """(n,) bool: whose centre is on the map."""
    return np.asarray(grid.index(boxes.centres) >= 0)


def merge_boxes(own: BoxList, others: Sequence[BoxList], raise_scores: bool = True) -> BoxList:
    """One list of several: boxes that are the same object become one (weighted box fusion, arXiv 1910.13302).

    A group starts with the most certain box that is left and takes from each other list the nearest box of its class
    within reach; place and size are means weighted by certainty, and the certainty is that at least one is right.

    Args:
        raise_scores: whether a second opinion makes a box more certain; else the most certain one counts.
    """
    lists = [own, *(other for other in others if len(other))]
    which = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    boxes = BoxList.joined([_moving(one) for one in lists])
    assert boxes.velocities is not None
    order = np.argsort(-boxes.scores, kind="stable")
    free = np.ones(len(boxes), bool)
    reach = np.clip(np.min(boxes.sizes[:, :2], axis=1, initial=np.inf), MIN_MERGE_DISTANCE_M, MAX_MERGE_DISTANCE_M)
    leaders, centres, scores = [], [], []
    for leader in order:
        if not free[leader]:
            continue
        free[leader] = False
        distance = np.hypot(*(boxes.centres[:, :2] - boxes.centres[leader, :2]).T)
        near = free & (distance <= reach[leader]) & (boxes.classes == boxes.classes[leader]) & (which != which[leader])
        group = [int(leader)]
        for one in np.unique(which[near]):
            candidates = np.flatnonzero(near & (which == one))
            group.append(int(candidates[distance[candidates].argmin()]))
        free[group] = False
        weights = boxes.scores[group]
        centres.append((boxes.centres[group] * weights[:, None]).sum(0) / max(float(weights.sum()), 1e-9))
        scores.append(1 - float(np.prod(1 - weights.clip(0, 1))) if raise_scores else float(weights.max()))
        leaders.append(int(leader))
    if not leaders:
        return boxes
    return replace(boxes.select(np.array(leaders)), centres=np.array(centres), scores=np.array(scores))


def _moving(boxes: BoxList) -> BoxList:
    return boxes if boxes.velocities is not None else replace(boxes, velocities=np.zeros((len(boxes), 2)))

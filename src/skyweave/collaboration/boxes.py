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

MAX_MERGE_DISTANCE_M = 2.0  # between the centres of boxes of one object
MIN_MERGE_DISTANCE_M = 0.7  # that is allowed however small the objects are
RASTER_CHANNELS = 7  # of rasterised boxes, besides one a class
SCORE_CHANNEL = 0  # of them
MAX_RASTER_BOXES = 64
VELOCITY_SCALE = 10.0  # metres a second that are 1 in a raster


def empty_box_list() -> BoxList:
    """Return a list of no boxes, with velocities."""
    return BoxList(
        np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0, int), np.zeros(0), np.zeros((0, 2))
    )  # fmt: skip


def box_list_from_detections(detections: Detections | None, categories: Sequence[str]) -> BoxList:
    """Convert detections to boxes for the wire, sorted by falling score; unknown velocities become 0.

    Args:
        detections: of categories among ``categories``; None gives an empty list.
        categories: names of the classes, in the order of their numbers on the wire.
    """
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
    """Convert boxes off the wire to detections; boxes of classes beyond ``categories`` are left out.

    Args:
        boxes: as received.
        categories: names of the classes, in the order of their numbers on the wire.
        crs: reference system of the boxes.
        time: for which they hold, UTC nanoseconds.
    """
    boxes = boxes.select(np.flatnonzero(boxes.classes < len(categories)))
    velocities = boxes.velocities if boxes.velocities is not None else np.full((len(boxes), 2), np.nan)
    names = tuple(categories[int(number)] for number in boxes.classes)
    return Detections(Boxes(boxes.centres, boxes.sizes, boxes.yaws), velocities, names, boxes.scores, crs, time)


def extrapolate_boxes(boxes: BoxList, seconds: float) -> BoxList:
    """Move boxes on by their velocities.

    Args:
        boxes: those without velocities stay.
        seconds: from the time of the boxes to the time wanted.
    """
    if boxes.velocities is None or not seconds:
        return boxes
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * seconds
    return replace(boxes, centres=centres)


def rasterize_boxes(boxes: BoxList | None, grid: MapGrid, classes: int) -> Tensor:
    """Draw boxes as a map, as CERF does; where boxes overlap, the one with the larger score is drawn.

    Args:
        boxes: to draw; None draws nothing.
        grid: of the map.
        classes: number of classes.

    Returns:
        (RASTER_CHANNELS + classes, rows, columns): on the cells of each box its score, its axis (cosine and sine of
        twice the yaw), its velocity (in VELOCITY_SCALE), the logarithms of length and width, and its score in the
        channel of its class.
    """
    result = np.zeros((RASTER_CHANNELS + classes, *grid.shape), np.float32)
    if boxes is None or not len(boxes):
        return torch.from_numpy(result)
    boxes = boxes.select(np.argsort(boxes.scores, kind="stable")[-MAX_RASTER_BOXES:])
    footprints = Boxes(boxes.centres, boxes.sizes, boxes.yaws).footprints()
    owner = rasterise(footprints, np.arange(1, len(boxes) + 1), grid)
    row, column = np.nonzero(owner)
    box = owner[row, column] - 1
    velocities = boxes.velocities if boxes.velocities is not None else np.zeros((len(boxes), 2))
    values = [
        boxes.scores, np.cos(2 * boxes.yaws), np.sin(2 * boxes.yaws),
        velocities[:, 0] / VELOCITY_SCALE, velocities[:, 1] / VELOCITY_SCALE,
        np.log(boxes.sizes[:, 0]), np.log(boxes.sizes[:, 1]),
    ]  # fmt: skip
    for channel, value in enumerate(values):
        result[channel, row, column] = value[box]
    known = boxes.classes[box] < classes
    result[RASTER_CHANNELS + boxes.classes[box][known], row[known], column[known]] = boxes.scores[box][known]
    return torch.from_numpy(result)


def centres_on_map(boxes: BoxList, grid: MapGrid) -> np.ndarray:
    """Return (n,) bool: whether the centre of each box is on the map.

    Args:
        boxes: n boxes.
        grid: of the map.
    """
    return np.asarray(grid.index(boxes.centres) >= 0)


def merge_boxes(ego: BoxList, others: Sequence[BoxList], raise_scores: bool = True) -> BoxList:
    """Merge lists of boxes by weighted box fusion (arXiv 1910.13302): boxes of one object become one.

    A group starts with the box of the largest score that is left and takes from each other list the nearest box of
    its class within reach; centres are means weighted by score, everything else is the first box's.

    Args:
        ego: boxes of the platform itself.
        others: a list of each other platform.
        raise_scores: the score of a group is the probability that at least one of its boxes is right; else it is the
            largest score.
    """
    lists = [ego, *(other for other in others if len(other))]
    source = np.repeat(np.arange(len(lists)), [len(boxes) for boxes in lists])
    boxes = BoxList.joined([_with_velocities(part) for part in lists])
    free = np.ones(len(boxes), bool)
    reach = np.clip(np.min(boxes.sizes[:, :2], axis=1, initial=np.inf), MIN_MERGE_DISTANCE_M, MAX_MERGE_DISTANCE_M)
    leaders, centres, scores = _merge_groups(boxes, free, source, reach, raise_scores)
    if not leaders:
        return boxes
    return replace(boxes.select(np.array(leaders)), centres=np.array(centres), scores=np.array(scores))


def _merge_groups(
    boxes: BoxList, free: np.ndarray, source: np.ndarray, reach: np.ndarray, raise_scores: bool
) -> tuple[list[int], list[np.ndarray], list[float]]:
    """Merge each group of boxes of one object, best scores first."""
    leaders, centres, scores = [], [], []
    for leader in np.argsort(-boxes.scores, kind="stable"):
        if not free[leader]:
            continue
        group = _group_of(int(leader), boxes, source, free, float(reach[leader]))
        free[group] = False
        weights = boxes.scores[group]
        centres.append((boxes.centres[group] * weights[:, None]).sum(0) / max(float(weights.sum()), 1e-9))
        scores.append(1 - float(np.prod(1 - weights.clip(0, 1))) if raise_scores else float(weights.max()))
        leaders.append(int(leader))
    return leaders, centres, scores


def _group_of(leader: int, boxes: BoxList, source: np.ndarray, free: np.ndarray, reach: float) -> list[int]:
    """Return the leader and, of each other list, the nearest free box of its class within reach."""
    distance = np.hypot(*(boxes.centres[:, :2] - boxes.centres[leader, :2]).T)
    matches = free & (distance <= reach) & (boxes.classes == boxes.classes[leader]) & (source != source[leader])
    group = [leader]
    for other in np.unique(source[matches]):
        candidates = np.flatnonzero(matches & (source == other))
        group.append(int(candidates[distance[candidates].argmin()]))
    return group


def _with_velocities(boxes: BoxList) -> BoxList:
    return boxes if boxes.velocities is not None else replace(boxes, velocities=np.zeros((len(boxes), 2)))

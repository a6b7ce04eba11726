"""Boxes that travel: from detections and back, moved on in time, and drawn on a map."""

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

RASTER_CHANNELS = 7  # of rasterised boxes, besides one a class
SPEED_STD_M_S = 1.0  # of a velocity by which boxes are moved on
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
        None if detections.covariances is None else detections.covariances[order],
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
    return Detections(
        Boxes(boxes.centres, boxes.sizes, boxes.yaws), velocities, names, boxes.scores, crs, time,
        covariances=boxes.covariances,
    )  # fmt: skip


def extrapolate_boxes(boxes: BoxList, seconds: float) -> BoxList:
    """Move boxes on by their velocities; what is known of their places grows less certain.

    Args:
        boxes: those without velocities stay.
        seconds: from the time of the boxes to the time wanted.
    """
    if boxes.velocities is None or not seconds:
        return boxes
    centres, covariances = boxes.centres.copy(), boxes.covariances
    centres[:, :2] += boxes.velocities * seconds
    if covariances is not None:
        covariances = covariances + np.eye(2) * (SPEED_STD_M_S * seconds) ** 2
    return replace(boxes, centres=centres, covariances=covariances)


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

"""Captures that come with the boxes of somebody else's detector, and perhaps without their image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Capture


@dataclass(frozen=True)
class DetectedCapture(Capture):
    """An image in which somebody else has detected.

    Attributes:
        boxes: (n, 4) left, top, right, bottom in pixels.
        scores: (n,) 0 to 1.
        categories: n class names.
        has_image: whether the image came, too.
    """

    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    categories: tuple[str, ...] = ()
    has_image: bool = True


def detected_capture(
    capture: Capture, boxes: np.ndarray, scores: np.ndarray, categories: tuple[str, ...]
) -> DetectedCapture:
    """Return a capture with boxes.

    Args:
        capture: of the image; one that loads by `no_image` has none.
        boxes: (n, 4) left, top, right, bottom in pixels.
        scores: (n,) 0 to 1.
        categories: n class names.

    Raises:
        DataError: counts that differ, numbers that are not finite, or a box that ends before it begins.
    """
    if {len(boxes), len(scores), len(categories)} != {len(boxes)}:
        raise DataError(f"{len(boxes)} boxes, {len(scores)} scores and {len(categories)} class names differ")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
        raise DataError("boxes must be left, top, right, bottom in finite pixels")
    return DetectedCapture(
        capture.channel, capture.platform, capture.time, capture.geometry, capture.load,
        boxes=boxes, scores=scores, categories=categories, has_image=capture.load is not no_image,
    )  # fmt: skip


def no_image() -> Observation:
    """Load nothing.

    Raises:
        DataError: always: boxes came without an image.
    """
    raise DataError("the source gives boxes without images, as only perceiver: {kind: boxes} takes them")


def boxes_around(outlines: Sequence[Sequence[Sequence[float]]]) -> np.ndarray:
    """Return the boxes about masks or keypoints.

    Args:
        outlines: of each object its points (u, v, or u, v, confidence) in pixels; keypoints of no confidence do not
            count.

    Returns:
        (n, 4) left, top, right, bottom.

    Raises:
        DataError: an object without points.
    """
    boxes = np.zeros((len(outlines), 4))
    for row, outline in enumerate(outlines):
        points = np.array([point[:2] for point in outline if len(point) < 3 or point[2] > 0], np.float64)
        if not points.size:
            raise DataError(f"object {row} has no points")
        boxes[row] = [*points.min(0), *points.max(0)]
    return boxes

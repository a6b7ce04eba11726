"""Detections of one image, in pixels: what every detector gives and every file of boxes is read to."""

from dataclasses import dataclass, field

import numpy as np

from skyweave.core.errors import DataError


@dataclass(frozen=True)
class ImageDetections:
    """Boxes of one image. Pixel coordinates have (0, 0) at the upper left corner of the image.

    Attributes:
        boxes: (n, 4) left, top, right, bottom in pixels.
        scores: (n,) confidences, 0 to 1.
        categories: n class names.
        identities: n names of tracks that a tracker in the image gave; None where none did.

    Raises:
        DataError: counts that differ, boxes without extent, scores beyond 0 and 1, or numbers that are not finite.
    """

    boxes: np.ndarray
    scores: np.ndarray
    categories: tuple[str, ...]
    identities: tuple[str, ...] | None = field(default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", np.asarray(self.boxes, np.float64).reshape(-1, 4))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float64).reshape(-1))
        n = len(self.boxes)
        counts = {len(self.scores), len(self.categories), n if self.identities is None else len(self.identities)}
        if counts != {n}:
            raise DataError(f"{n} boxes, {len(self.scores)} scores and {len(self.categories)} class names differ")
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            raise DataError("boxes or scores hold NaN or infinity")
        if n and not (self.scores.min() >= 0 and self.scores.max() <= 1):
            worst = self.scores[np.abs(self.scores - 0.5).argmax()]
            raise DataError(f"a score is {worst:g}; scale them to 0 to 1")
        if n and (self.boxes[:, 2:] < self.boxes[:, :2]).any():
            raise DataError("boxes must be left, top, right, bottom; one ends before it begins")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> "ImageDetections":
        """Return the detections of an empty image."""
        return cls(np.zeros((0, 4)), np.zeros(0), ())

    @property
    def centres(self) -> np.ndarray:
        """Return the middles of the boxes: (n, 2) pixels."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)

    @property
    def extents(self) -> np.ndarray:
        """Return widths and heights: (n, 2) pixels."""
        return np.asarray(self.boxes[:, 2:] - self.boxes[:, :2])

    def select(self, selection: np.ndarray) -> "ImageDetections":
        """Return some of the boxes.

        Args:
            selection: (m,) indices, or (n,) bool.
        """
        rows = np.arange(len(self))[selection]
        identities = None if self.identities is None else tuple(self.identities[row] for row in rows)
        categories = tuple(self.categories[row] for row in rows)
        return ImageDetections(self.boxes[rows], self.scores[rows], categories, identities)


def join_detections(parts: list[ImageDetections]) -> ImageDetections:
    """Return the boxes of several parts of an image as one; identities are left out.

    Args:
        parts: in the pixels of one image.
    """
    if not parts:
        return ImageDetections.empty()
    return ImageDetections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        tuple(name for part in parts for name in part.categories),
    )

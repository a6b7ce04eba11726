"""What perception finds."""

from dataclasses import dataclass

import numpy as np

from skyweave.geometry.boxes import Boxes


@dataclass(frozen=True)
class Detections:
    """Boxes of one moment."""

    boxes: Boxes
    velocities: np.ndarray
    categories: tuple[str, ...]
    scores: np.ndarray
    crs: str | None = None
    time: int | None = None

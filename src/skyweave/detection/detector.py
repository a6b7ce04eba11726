"""What every detector offers, whether a model or a file of boxes."""

from typing import Protocol

import numpy as np

from skyweave.detection.image_detections import ImageDetections


class Detector(Protocol):
    """Gives the boxes of images."""

    @property
    def needs_images(self) -> bool:
        """Whether it looks at images; a file of boxes does not."""
        ...

    def detect(self, image: np.ndarray | None, frame: int, name: str = "") -> ImageDetections:
        """Return the boxes of one image.

        Args:
            image: (rows, columns, 3) uint8, RGB; None for a detector that needs none.
            frame: number of the image, from 0.
            name: of its file, if it has one.
        """
        ...

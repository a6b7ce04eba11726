"""What every detector offers, whether a model or a file of boxes."""

from collections.abc import Sequence
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

    def check_images(self, images: Sequence[tuple[int, float, str]], size: tuple[int, int] | None) -> list[str]:
        """Return what to note on what it gives for a sequence of images.

        Args:
            images: number, seconds and name of each.
            size: rows and columns of all; None where it is not known.

        Raises:
            DataError: it is of other images.
        """
        ...

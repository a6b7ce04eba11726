"""Images as detectors take them: resized, padded, normalised."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputConfig:
    """How a model wants its images.

    Attributes:
        scale: factor of the pixels, before mean and standard deviation.
        mean: by channel, subtracted.
        std: by channel, divided by.
        channels: their order.
        fit: ``stretch`` to the input, or keep the shape and pad at the ``corner`` (right and below) or about the
            ``centre``.
        padding: value of padded pixels before scaling.
    """

    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    fit: Literal["stretch", "corner", "centre"] = "stretch"
    padding: int = 114


@dataclass(frozen=True)
class InputPlacement:
    """Where the image lies in the input of a model: input = factor * pixel + offset.

    Attributes:
        factor: (2,) for columns and rows.
        offset: (2,) input pixels.
    """

    factor: np.ndarray
    offset: np.ndarray

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the input in pixels of the image: (n, 4).

        Args:
            boxes: (n, 4) left, top, right, bottom in input pixels.
        """
        return np.asarray((boxes - np.tile(self.offset, 2)) / np.tile(self.factor, 2))


def prepare_input(image: np.ndarray, rows: int, columns: int, config: InputConfig) -> tuple[np.ndarray, InputPlacement]:
    """Return the input of a model, (1, 3, rows, columns) float32, and where the image lies in it.

    Args:
        image: (rows, columns, 3) uint8, RGB.
        rows: of the input.
        columns: of the input.
        config: how the model wants it.
    """
    from PIL import Image

    size = np.array([columns, rows], np.float64)
    factor = size / [image.shape[1], image.shape[0]]
    if config.fit != "stretch":
        factor = np.full(2, factor.min())
    scaled = np.maximum(np.round(factor * [image.shape[1], image.shape[0]]).astype(int), 1)
    offset = np.zeros(2, int) if config.fit != "centre" else ((size - scaled) // 2).astype(int)
    resized = Image.fromarray(image).resize((int(scaled[0]), int(scaled[1])), Image.Resampling.BILINEAR, reducing_gap=2)
    canvas = np.full((rows, columns, 3), config.padding, np.uint8)
    canvas[offset[1] : offset[1] + scaled[1], offset[0] : offset[0] + scaled[0]] = np.asarray(resized)
    if config.channels == "bgr":
        canvas = canvas[..., ::-1]
    pixels = canvas.astype(np.float32) * np.float32(config.scale)
    if any(config.mean) or config.std != (1.0, 1.0, 1.0):
        pixels = np.asarray((pixels - np.array(config.mean)) / np.array(config.std), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None], InputPlacement(factor, offset.astype(np.float64))

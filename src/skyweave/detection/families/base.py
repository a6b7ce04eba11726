"""What a family of detectors says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from skyweave.detection.input_image import InputConfig

Shapes = Mapping[str, tuple[int | None, ...]]
"""Of the outputs of a model by name; None where a size is open."""


@dataclass(frozen=True)
class DecodedOutputs:
    """Candidates of one image.

    Attributes:
        boxes: (n, 4) left, top, right, bottom in pixels of the input.
        scores: (n, classes) each in 0..1.
        overlapping: whether several candidates mean one object, so that they must be suppressed.
    """

    boxes: np.ndarray
    scores: np.ndarray
    overlapping: bool = True


@dataclass(frozen=True)
class DetectorFamily:
    """A family of detectors.

    Attributes:
        input: how its images are made.
        matches: whether outputs of these names and shapes, by a model with an input of (rows, columns), are its own.
        decode: reads the outputs by name, of one image, with the (rows, columns) of the input.
    """

    input: InputConfig
    matches: Callable[[Shapes, tuple[int, int]], bool]
    decode: Callable[[Mapping[str, np.ndarray], tuple[int, int]], DecodedOutputs]


def boxes_from_centres(values: np.ndarray) -> np.ndarray:
    """Return left, top, right, bottom: (n, 4).

    Args:
        values: (n, 4) middle in columns and rows, width, height.
    """
    half = values[:, 2:] / 2
    return np.concatenate([values[:, :2] - half, values[:, :2] + half], 1)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return the logistic function, without overflow.

    Args:
        values: any shape.
    """
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values.astype(np.float64))))


def grid_of(rows: int, columns: int, stride: int) -> np.ndarray:
    """Return the cells of a feature map as (n, 2) column and row numbers, row by row.

    Args:
        rows: of the input in pixels.
        columns: of the input in pixels.
        stride: pixels a cell.
    """
    x, y = np.meshgrid(np.arange(-(-columns // stride)), np.arange(-(-rows // stride)))
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float64)


def cells_of(rows: int, columns: int, strides: tuple[int, ...]) -> int:
    """Return how many cells feature maps have.

    Args:
        rows: of the input in pixels.
        columns: of the input in pixels.
        strides: pixels a cell of each map.
    """
    return sum(-(-rows // stride) * -(-columns // stride) for stride in strides)

"""What a task's predictions are as a raster."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skyweave.inference.raster import RasterKind

MAX_UINT8_CLASSES = 255
CLASS_NODATA = {"uint8": 255, "uint16": 65535}
"""No class has these numbers: the last one of each type."""


@dataclass(frozen=True)
class RasterOutput:
    """One kind of raster that a task gives.

    Attributes:
        kind: what the values are.
        bands: name of each.
        dtype: of the values, a NumPy name.
        nodata: value of pixels without a prediction.
        convert: from probabilities (outputs, rows, columns), blended, to (bands, rows, columns).
        classes: names by number, of a raster of classes.
    """

    kind: RasterKind
    bands: tuple[str, ...]
    dtype: str
    nodata: float
    convert: Callable[[np.ndarray], np.ndarray]
    classes: tuple[str, ...] = ()

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the values as they are stored, nodata where not valid.

        Args:
            values: (outputs, rows, columns) blended probabilities.
            valid: (rows, columns) bool.
        """
        stored: np.ndarray = np.where(valid, self.convert(values), self.nodata).astype(self.dtype)
        return stored


def feature_output(channels: int) -> RasterOutput:
    """Return features as they are.

    Args:
        channels: their number.
    """
    bands = tuple(map("feature {:03d}".format, range(channels)))
    return RasterOutput("features", bands, "float32", float("nan"), lambda values: values)


def class_output(classes: tuple[str, ...]) -> RasterOutput:
    """Return the most probable class of each pixel, by its number.

    Args:
        classes: names.
    """
    dtype = "uint8" if len(classes) <= MAX_UINT8_CLASSES else "uint16"

    def convert(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.argmax(values, axis=0, keepdims=True))

    return RasterOutput("classes", ("class",), dtype, CLASS_NODATA[dtype], convert, classes)


def probability_output(classes: tuple[str, ...]) -> RasterOutput:
    """Return the probability of each class, one band a class.

    Args:
        classes: names.
    """
    return RasterOutput("probabilities", classes, "float32", float("nan"), lambda values: values)


def label_output(classes: tuple[str, ...], threshold: float) -> RasterOutput:
    """Return which classes are there, one band a class: 1 where it is, else 0.

    Args:
        classes: names.
        threshold: probability from which a class is there.
    """
    return RasterOutput("labels", classes, "uint8", CLASS_NODATA["uint8"], lambda values: values >= threshold)


def value_output(name: str, mean: float, std: float) -> RasterOutput:
    """Return numbers in the unit of the labels.

    Args:
        name: of the band.
        mean: that the labels were standardised with.
        std: that the labels were standardised with.
    """
    return RasterOutput("values", (name,), "float32", float("nan"), lambda values: values * std + mean)

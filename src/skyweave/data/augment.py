"""Random views of imagery from above: crop, zoom, flip, quarter turn; the ground sample distance stays right."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.resampling import resample
from skyweave.core.observation import GeoTransform, Observation
from skyweave.data.memory_mapped import StoredImage


class Augmentation(Protocol):
    """A transform that makes a training image from a stored one, the same for the same generator state."""

    def __call__(self, image: "StoredImage | Observation", generator: np.random.Generator) -> Observation:
        """Return a part of the image, or a version of it.

        Args:
            image: stored or loaded.
            generator: that everything random is drawn from.
        """
        ...


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random square window, resampled to ``size``, flipped and turned.

    The side of the window is ``size * zoom`` pixels, with zoom drawn log-uniformly from ``scale`` and limited by the
    image's shorter side; the ground sample distance is multiplied by what was really applied. An image smaller than
    ``size * scale[0]`` is used whole along its shorter side. Colours are not touched: they are measurements.

    Attributes:
        size: pixels per side of the result.
        scale: smallest and largest zoom; (0.5, 2) is from twice enlarged to twice reduced.
        flips: mirror left-right in half of the cases.
        quarter_turns: turn by 0, 90, 180 or 270 degrees.
        minimum_valid: share of pixels with a valid band that a window should have; the best of ``attempts`` is taken
            where none has.
        attempts: windows to try.

    Raises:
        DataError: sizes or scales that are not positive.
    """

    size: int
    scale: tuple[float, float] = (0.5, 2.0)
    flips: bool = True
    quarter_turns: bool = True
    minimum_valid: float = 0.5
    attempts: int = 8

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 < self.scale[0] <= self.scale[1]:
            raise DataError(f"a view needs size >= 1 and 0 < scale[0] <= scale[1], has {self.size} and {self.scale}")

    def __call__(self, image: StoredImage | Observation, generator: np.random.Generator) -> Observation:
        """Return a random view of the image: (bands, size, size).

        Args:
            image: stored or loaded.
            generator: that everything random is drawn from.
        """
        row, column, side = self._choose(image, generator)
        part = image.window(row, column, side, side)
        pixels, valid = part.pixels, part.valid
        if side != self.size:
            pixels, valid = resample(pixels, valid, (self.size, self.size))
        mirrored, quarters = self._draw_turn(generator)
        pixels, valid = _turn(pixels, mirrored, quarters), _turn(valid, mirrored, quarters)
        matrix = np.diag([side / self.size, side / self.size, 1.0]) @ _turn_matrix(self.size, mirrored, quarters)
        return Observation(
            pixels=np.ascontiguousarray(pixels),
            sensor=part.sensor,
            valid=np.ascontiguousarray(valid),
            ground_sample_distance=part.ground_sample_distance * side / self.size,
            geometry=_composed(part.geotransform, matrix),
            time=part.time,
            source=part.source,
            notes=part.notes,
        )

    def _draw_turn(self, generator: np.random.Generator) -> tuple[bool, int]:
        """Return whether to mirror the view, and by how many quarters to turn it."""
        mirrored = self.flips and generator.random() < 0.5
        return mirrored, int(generator.integers(4)) if self.quarter_turns else 0

    def _choose(self, image: StoredImage | Observation, generator: np.random.Generator) -> tuple[int, int, int]:
        """Return the upper left pixel and the side of the window."""
        height, width = image.shape
        best, best_share = (0, 0, min(height, width)), -1.0
        for _ in range(self.attempts):
            zoom = math.exp(generator.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
            side = max(1, min(round(self.size * zoom), height, width))
            row = int(generator.integers(height - side + 1))
            column = int(generator.integers(width - side + 1))
            share = _valid_share(image, row, column, side)
            if share > best_share:
                best, best_share = (row, column, side), share
            if share >= self.minimum_valid:
                break
        return best


def _turn(plane: np.ndarray, mirrored: bool, quarters: int) -> np.ndarray:
    """Return (bands, rows, columns) mirrored left-right, then turned by quarters."""
    return np.rot90(plane[:, :, ::-1] if mirrored else plane, quarters, (1, 2))


def _turn_matrix(size: int, mirrored: bool, quarters: int) -> np.ndarray:
    """Return the matrix from (column, row, 1) of a turned square of ``size`` pixels to that before the turn."""
    mirror = np.array([[-1, 0, size], [0, 1, 0], [0, 0, 1]] if mirrored else np.eye(3, dtype=int))
    quarter = np.array([[0, -1, size], [1, 0, 0], [0, 0, 1]])
    return np.asarray(mirror @ np.linalg.matrix_power(quarter, quarters))


def _valid_share(image: StoredImage | Observation, row: int, column: int, side: int) -> float:
    if isinstance(image, StoredImage):
        return image.valid_fraction(row, column, side, side)
    return float(image.valid[:, row : row + side, column : column + side].any(axis=0).mean())


def _composed(geometry: GeoTransform | None, matrix: np.ndarray) -> GeoTransform | None:
    """Return the geotransform of an image whose pixel (column, row, 1) lies at ``matrix @`` that in the old image."""
    if geometry is None:
        return None
    a, b, c, d, e, f = geometry.affine
    (a, b, c), (d, e, f) = (np.array([[a, b, c], [d, e, f]]) @ matrix).tolist()
    return GeoTransform(geometry.crs, (a, b, c, d, e, f))

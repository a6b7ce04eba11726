"""How a file stores float32 values, and what that loses."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.inference.quantisation import MAX_INT8_LEVEL

MAX_FLOAT16 = float(np.finfo(np.float16).max)
PIXEL_METHODS = {"int8": "per_pixel_scale", "float16": "half_precision", "float32": "none"}
"""How formats store values that need no range of the whole raster, by type."""


@dataclass
class QuantisationError:
    """The difference between values and what a file gives back, gathered block by block.

    Attributes:
        largest: absolute difference.
        squares: sum of squared differences.
        count: of compared values.
        smallest_cosine: of a feature vector and what is stored of it.
    """

    largest: float = 0.0
    squares: float = 0.0
    count: int = 0
    smallest_cosine: float = 1.0

    def add(self, values: np.ndarray, restored: np.ndarray) -> None:
        """Compare a block; pixels without data, NaN in ``values``, are left out.

        Args:
            values: (channels, rows, columns) float.
            restored: of the same shape, as the file gives them back.
        """
        valid = ~np.isnan(values[0])
        exact, back = values[:, valid].astype(np.float64), restored[:, valid].astype(np.float64)
        if not exact.size:
            return
        difference = back - exact
        self.largest = max(self.largest, float(np.abs(difference).max()))
        self.squares += float(np.square(difference).sum())
        self.count += difference.size
        norms = np.linalg.norm(exact, axis=0) * np.linalg.norm(back, axis=0)
        cosines = np.einsum("cn,cn->n", exact, back)[norms > 0] / norms[norms > 0]
        self.smallest_cosine = min(self.smallest_cosine, float(cosines.min(initial=1.0)))

    @property
    def root_mean_square(self) -> float:
        """Return the root of the mean squared difference."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0

    def to_dict(self) -> dict[str, float]:
        """Return the figures, rounded to four digits."""
        figures = {"largest": self.largest, "root_mean_square": self.root_mean_square}
        return {name: float(f"{value:.4g}") for name, value in figures.items()} | {
            "smallest_cosine": float(f"{self.smallest_cosine:.7g}")
        }


@dataclass(frozen=True)
class Quantisation:
    """How float32 values are stored.

    Attributes:
        method: ``none``; ``half_precision``; ``linear``: ``value = scale * stored + offset`` with a scale and an offset
            for each channel; ``per_pixel_scale``: ``value = scale * stored`` with a scale for each pixel.
        data_type: of what is stored.
        scales: (channels) for ``linear``.
        offsets: (channels) for ``linear``.
        error: of what the file gives back.
    """

    method: str
    data_type: str
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    error: QuantisationError = field(default_factory=QuantisationError)

    def to_stac(self) -> dict[str, Any]:
        """Return the quantization object of the STAC extension for embeddings."""
        fields: dict[str, Any] = {
            "method": self.method,
            "original_dtype": "float32",
            "quantized_dtype": self.data_type,
        }
        if self.scales:
            fields |= {"scale": list(self.scales), "offset": list(self.offsets)}
        return fields


def round_to_half(values: np.ndarray) -> np.ndarray:
    """Return values as float16.

    Args:
        values: float.

    Raises:
        ConfigError: they are larger than float16 can hold.
    """
    if np.nanmax(np.abs(values), initial=0) > MAX_FLOAT16:
        raise ConfigError("the features are larger than float16 can hold; add --dtype float32")
    return values.astype(np.float16)


def quantise_pixels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 levels with one scale for each pixel, ``value = level * scale``.

    A cosine of two pixels is that of their levels, and a window needs no range of the whole raster.

    Args:
        values: (channels, rows, columns) float32, NaN where there are no data.

    Returns:
        Levels (channels, rows, columns) int8, 0 for NaN; scales (rows, columns) float32, NaN where there are no data.
    """
    invalid = np.isnan(values[0])
    known = np.where(invalid, 0, values)
    largest = np.abs(known).max(0)
    scales = np.where(largest > 0, largest / MAX_INT8_LEVEL, 1).astype(np.float32)
    levels = np.round(known / scales).clip(-MAX_INT8_LEVEL, MAX_INT8_LEVEL)
    return levels.astype(np.int8), np.where(invalid, np.nan, scales).astype(np.float32)

"""Resampling that knows which pixels are valid: invalid ones have no weight, so they never bleed into their neighbours.

Separable triangle filter: bilinear where it enlarges, widened to average over all source pixels where it reduces
(anti-aliased, as in Pillow). With pixel centres at +0.5, a grid and its resampled version cover the same ground.
"""

from functools import lru_cache

import numpy as np


def resample(
    pixels: np.ndarray,
    valid: np.ndarray | None,
    size: tuple[int, int],
    extent: tuple[float, float, float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Resample an image, or a part of it given in fractional pixels, to ``size``.

    Args:
        pixels: (bands, rows, columns) float32; values where not valid do not matter, if finite.
        valid: (bands, rows, columns) bool, or None if everything is valid.
        size: (rows, columns) of the result.
        extent: (row, column, rows, columns) of the part in source pixels; default: the whole image.

    Returns:
        pixels (bands, *size) float32, zero where invalid; valid (bands, *size) bool: at least half of the weight
        under the filter was valid. A result pixel is the weighted mean of the valid source pixels alone.
    """
    top, left, height, width = extent or (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[2]))
    down = filter_matrix(pixels.shape[1], top, height, size[0])
    across = filter_matrix(pixels.shape[2], left, width, size[1]).T
    kept = np.ones((len(pixels), *size), bool)
    if valid is None:
        return _filtered(pixels, down, across), kept
    whole, none = valid.all(axis=(1, 2)), ~valid.any(axis=(1, 2))
    partly = ~(whole | none)
    values = _filtered(pixels if whole.all() else np.where(valid, pixels, np.float32(0)), down, across)
    kept[none] = False
    if partly.any():  # whole bands, the usual case, need no weights
        mass = _filtered(valid[partly].astype(np.float32), down, across)
        kept[partly] = mass >= 0.5
        values[partly] = np.where(mass >= 0.5, values[partly] / np.maximum(mass, np.float32(0.5)), np.float32(0))
    return values, kept


def _filtered(pixels: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Filter (bands, rows, columns) along both axes: one large product along the columns, then one per band."""
    bands, rows, columns = pixels.shape
    wide = (np.ascontiguousarray(pixels).reshape(bands * rows, columns) @ across).reshape(bands, rows, -1)
    return np.asarray(np.matmul(down, wide))


@lru_cache(maxsize=256)
def filter_matrix(length: int, start: float, extent: float, size: int) -> np.ndarray:
    """Return the weights of source pixels in result pixels: (size, length) float32, rows sum to 1.

    Args:
        length: source pixels along the axis.
        start: of the part of the axis that is resampled, in source pixels.
        extent: of that part, in source pixels.
        size: result pixels.
    """
    step = extent / size
    centres = start + (np.arange(size) + 0.5) * step
    support = max(step, 1.0)
    distance = np.abs(np.clip(centres, 0.5, length - 0.5)[:, None] - (np.arange(length) + 0.5)[None, :])
    weights = np.clip(1.0 - distance / support, 0.0, None)
    matrix: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix

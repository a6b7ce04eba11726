"""Features of cells that need no training: values, and means, spreads and gradients over neighbourhoods."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from skyweave.core.observation import Observation
from skyweave.downstream.baselines.cell_features import split_cells

SIDES = (3, 9, 25)
"""Pixels per side of the neighbourhoods."""
MAX_CHANNELS = 16
"""More bands are reduced to as many principal axes."""
QUANTILES = (0.1, 0.5, 0.9)


def texture_maps(images: Sequence[Observation], cell: int | None) -> list[np.ndarray]:
    """Return, of every band (or principal axis), its value, gradient, and mean and deviation of neighbourhoods.

    Each is averaged over the cell; of a whole image, deviation and quantiles are given besides.

    Args:
        images: of the samples, of one sensor.
        cell: side in pixels; None: the whole image is one cell.

    Returns:
        (values, cell rows, cell columns) float32 of each image, NaN where a cell has no valid pixel.
    """
    axes = _principal_axes(images) if len(images[0].pixels) > MAX_CHANNELS else None
    return [_texture_map(image, cell, axes) for image in images]


def _texture_map(image: Observation, cell: int | None, axes: np.ndarray | None) -> np.ndarray:
    complete = image.valid.all(axis=0)
    valid = np.asarray(complete if complete.any() else image.valid.any(axis=0))
    values = np.where(image.valid, image.pixels, 0).astype(np.float32)
    if axes is not None:
        values = np.tensordot(axes, values, 1)
    blocks = split_cells(_neighbourhoods(values, valid), cell)
    known = split_cells(valid[None].astype(np.float32), cell)
    count = known.sum(axis=-1)
    with np.errstate(all="ignore"):
        mean = np.where(count > 0, (blocks * known).sum(axis=-1) / count, np.nan)
        if cell is not None:
            return mean.astype(np.float32)
        deviation = np.sqrt(np.maximum((blocks**2 * known).sum(axis=-1) / count - mean**2, 0))
        seen = np.where(known > 0, blocks, np.nan)
        return np.concatenate([mean, deviation, *np.nanquantile(seen, QUANTILES, axis=-1)]).astype(np.float32)


def _neighbourhoods(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return (channels * statistics, rows, columns)."""
    weight = valid.astype(np.float32)
    filled = values * weight
    gradient = np.hypot(*(np.gradient(filled, axis=axis) for axis in (-2, -1)))
    parts = [values, gradient]
    for side in SIDES:
        share = np.maximum(uniform_filter(weight, side, mode="reflect"), 1e-6)
        size = (0, side, side)
        mean = uniform_filter(filled, size, mode="reflect") / share
        square = uniform_filter(filled**2, size, mode="reflect") / share
        parts += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    return np.concatenate(parts)


def _principal_axes(images: Sequence[Observation]) -> np.ndarray:
    """Return (axes, bands) of all valid pixels."""
    pixels = np.concatenate([image.pixels[:, image.valid.any(axis=0)].T[::4] for image in images]).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    axes: np.ndarray = vectors[:, np.argsort(-values)[:MAX_CHANNELS]].T.astype(np.float32)
    return axes

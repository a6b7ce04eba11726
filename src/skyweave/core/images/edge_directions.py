"""Directions of edges: what images of two dates or two sensors have in common where grey values have little.

Fitch et al., "Orientation correlation" (BMVC 2002), with twice the angle, so that a bright roof on dark ground and a
dark one on snow agree.
"""

import numpy as np


def edge_directions(values: np.ndarray) -> np.ndarray:
    """Return (rows, columns) complex: twice the angle of each cell's gradient, longer for sharper edges, 0 if unknown.

    Args:
        values: (rows, columns), NaN where unknown.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    count = box_sums(known.astype(np.float64), 1)
    smooth = box_sums(filled, 1) / np.maximum(count, 1)
    down, right = np.gradient(smooth)
    inner = count > 8.5  # the cell and its eight neighbours
    inner[[0, -1]] = False
    inner[:, [0, -1]] = False
    inner &= np.roll(inner, 1, 0) & np.roll(inner, -1, 0) & np.roll(inner, 1, 1) & np.roll(inner, -1, 1)
    gradient = np.where(inner, right + 1j * down, 0)
    length = np.abs(gradient)
    usual = float(np.median(length[inner])) if inner.any() else 1.0
    return np.asarray(gradient**2 / np.maximum(length * (length + usual), 1e-12))


def box_sums(values: np.ndarray, radius: int) -> np.ndarray:
    """Return sums over squares of side 2 radius + 1, cut at the border.

    Args:
        values: (rows, columns).
        radius: cells.
    """
    for axis in (0, 1):
        total = np.cumsum(values, axis)
        length = values.shape[axis]
        high = np.minimum(np.arange(length) + radius, length - 1)
        low = np.arange(length) - radius - 1
        below = np.where(
            (low >= 0).reshape([-1 if k == axis else 1 for k in (0, 1)]), total.take(np.maximum(low, 0), axis), 0
        )
        values = total.take(high, axis) - below
    return values

"""Order along a Hilbert curve, in which neighbours in a file are neighbours on the map."""

import numpy as np


def hilbert_index(x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Return the place of cells on the Hilbert curve through a square of 2**order cells a side.

    The curve that enters each aligned square of 2**k cells leaves it only when all its cells are passed. Bit by bit as
    in Hamilton, "Compact Hilbert Indices" (2006), in two dimensions.

    Args:
        x: integers from 0 to 2**order - 1.
        y: integers of the same shape.
        order: bits of each.

    Returns:
        int64 of the same shape, from 0 to 4**order - 1.
    """
    x, y = x.astype(np.int64), y.astype(np.int64)
    index = np.zeros_like(x)
    for bit in range(order - 1, -1, -1):
        side = 1 << bit
        right, upper = (x & side) > 0, (y & side) > 0
        index += side * side * ((3 * right) ^ upper)
        flip = ~upper & right  # the last quadrant is mirrored
        x, y = (
            np.where(flip, side - 1 - (x & (side - 1)), x & (side - 1)),
            np.where(flip, side - 1 - (y & (side - 1)), y & (side - 1)),
        )
        x, y = np.where(upper, x, y), np.where(upper, y, x)  # the first and the last are turned
    return index

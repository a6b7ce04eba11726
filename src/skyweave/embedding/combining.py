"""Features of several scenes of one ground as one map: over dates, or over sensors."""

from collections.abc import Callable, Mapping

import numpy as np

Combined = tuple[np.ndarray, np.ndarray]
"""Values (windows, channels, rows, columns) float32, and which patches are valid (windows, rows, columns) bool."""
Combine = Callable[[np.ndarray, np.ndarray], Combined]
"""From (scenes, windows, channels, rows, columns) and (scenes, windows, rows, columns) to `Combined`."""


def average_scenes(values: np.ndarray, valid: np.ndarray) -> Combined:
    """Return the mean over the scenes in which a patch is valid.

    Args:
        values: (scenes, windows, channels, rows, columns) float32.
        valid: (scenes, windows, rows, columns) bool.
    """
    count = valid.sum(axis=0)
    total = np.where(valid[:, :, None], values, np.float32(0)).sum(axis=0)
    return total / np.maximum(count, 1)[:, None].astype(np.float32), count > 0


def take_median(values: np.ndarray, valid: np.ndarray) -> Combined:
    """Return the median over the scenes in which a patch is valid: what one date alone shows counts little.

    Args:
        values: (scenes, windows, channels, rows, columns) float32.
        valid: (scenes, windows, rows, columns) bool.
    """
    ordered = np.sort(np.where(valid[:, :, None], values, np.float32(np.inf)), axis=0)
    count = np.broadcast_to(valid.sum(axis=0)[:, None], ordered.shape[1:])
    middle = [np.maximum(at, 0)[None] for at in ((count - 1) // 2, count // 2)]
    low, high = (np.take_along_axis(ordered, np.minimum(at, len(values) - 1), axis=0)[0] for at in middle)
    known = valid.sum(axis=0) > 0
    return np.where(known[:, None], (low + high) / 2, np.float32(0)).astype(np.float32), known


def concatenate_scenes(values: np.ndarray, valid: np.ndarray) -> Combined:
    """Return the channels of all scenes one after the other; a patch is valid where all scenes see it.

    Args:
        values: (scenes, windows, channels, rows, columns) float32.
        valid: (scenes, windows, rows, columns) bool.
    """
    return np.concatenate(list(values), axis=1), valid.sum(axis=0) == len(valid)


COMBINATIONS: Mapping[str, Combine] = {
    "mean": average_scenes,
    "median": take_median,
    "concatenate": concatenate_scenes,
}
"""How features of several scenes become one map, by name."""

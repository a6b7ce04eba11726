"""Backward flow: how identities of instances go from one step to the next (PowerBEV, arXiv 2306.10761)."""

import numpy as np

from skyweave.perception.targets import ObjectTargets


def backward_flow(objects: ObjectTargets, maps: np.ndarray) -> np.ndarray:
    """Return (steps, 2, rows, columns) float32 cells from a cell's centre to the centre of its instance a step before.

    NaN where there is no instance, or where that centre is unknown. At step 0 it points to the present centre.

    Args:
        objects: of the sample.
        maps: (steps, rows, columns) their identities on the map.
    """
    steps, rows, columns = maps.shape
    flow = np.full((steps, 2, rows, columns), np.nan, np.float32)
    for step in range(steps):
        centres = objects.grid.cells_from_world(objects.centres_at(max(step - 1, 0)))
        centre_of = {int(identity): centre for identity, centre in zip(objects.identities, centres, strict=True)}
        row, column = np.nonzero(maps[step])
        targets = np.array([centre_of[int(identity)] for identity in maps[step, row, column]]).reshape(-1, 2)
        flow[step, :, row, column] = targets - np.stack([row, column], 1) - 0.5
    return flow


def propagate_identities(foreground: np.ndarray, peaks: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return (steps, rows, columns) int64 identities of one sample: cells go to the nearest centre, centres move on.

    Args:
        foreground: (steps, rows, columns) bool.
        peaks: (rows, columns) bool: centres of instances at the present.
        flow: (steps, 2, rows, columns) cells.
    """
    result = np.zeros(foreground.shape, np.int64)
    centres = np.argwhere(peaks & foreground[0]) + 0.5
    identities = np.arange(1, len(centres) + 1)
    for step, mask in enumerate(foreground):
        row, column = np.nonzero(mask)
        if not len(row) or not len(centres):
            break
        positions = np.stack([row, column], 1) + 0.5
        targets = positions + flow[step, :, row, column]
        nearest = ((targets[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        result[step, row, column] = identities[nearest]
        if step:  # where each instance is now; one without cells is gone
            centres, identities = _follow_centres(nearest, centres, positions, identities)
    return result


def _follow_centres(
    nearest: np.ndarray, centres: np.ndarray, positions: np.ndarray, identities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each instance is now, without those that are gone."""
    num_cells = np.bincount(nearest, minlength=len(centres))
    sums = np.stack([np.bincount(nearest, along, len(centres)) for along in positions.T], 1)
    alive = num_cells > 0
    return sums[alive] / num_cells[alive, None], identities[alive]

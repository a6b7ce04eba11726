"""The box regression: how a 3D box is written into the channels of the cell of its centre, and read from it."""

import numpy as np
from torch import Tensor

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.targets import ObjectTargets

BOX_CHANNELS = {"offset": 2, "height": 1, "size": 3, "axis": 2, "heading": 2, "velocity": 2}
"""Number of channels of each part of the regression, in order. Offset: rows and columns from the centre of the cell.
Height: of the box's centre above the ground under it, metres. Size: logarithm of metres. Axis: cosine and sine of twice
the yaw; heading: cosine and sine of yaw, which only decides between the two directions along the axis. (A heading alone
fails: where front and back look alike its expectation is 0, and the axis is lost with it.) Velocity: metres per second.
"""
NUM_BOX_CHANNELS = sum(BOX_CHANNELS.values())
BOX_OFFSETS = dict(zip(BOX_CHANNELS, np.cumsum([0, *BOX_CHANNELS.values()]).tolist(), strict=False))
"""First channel of each part."""
VELOCITY_WEIGHT = 0.3
BOX_LOSS_WEIGHTS = [
    VELOCITY_WEIGHT if part == "velocity" else 1.0 for part, width in BOX_CHANNELS.items() for _ in range(width)
]
"""Weight of each channel in the regression loss."""
MAX_OFFSET_CELLS = 1.0
LOG_SIZE_RANGE = (-3.0, 4.0)  # of metres, so that no exponential overflows


def encode_boxes(objects: ObjectTargets, cells: np.ndarray) -> np.ndarray:
    """Return (n, 12) regression targets; NaN where a velocity is unknown.

    Args:
        objects: n objects on the map.
        cells: (n, 2) fractional row and column of their centres.
    """
    boxes = objects.boxes
    return np.concatenate(
        [
            cells - np.floor(cells) - 0.5,
            (boxes.centres[:, 2] - objects.ground.height(boxes.centres))[:, None],
            np.log(boxes.sizes),
            np.stack([function(factor * boxes.yaws) for factor in (2, 1) for function in (np.cos, np.sin)], 1),
            objects.velocities,
        ],
        1,
    )


def decode_boxes(encoded: np.ndarray, cells: np.ndarray, grid: MapGrid, ground: Ground) -> tuple[Boxes, np.ndarray]:
    """Return n boxes in the world frame and their (n, 2) velocities in metres per second.

    Args:
        encoded: (n, 12) regression at the cells.
        cells: (n, 2) whole row and column.
        grid: the map.
        ground: under it; where its height is unknown, so is the box's.
    """
    axis, heading = encoded[:, BOX_OFFSETS["axis"] :][:, :2], encoded[:, BOX_OFFSETS["heading"] :][:, :2]
    yaws = np.arctan2(axis[:, 1], axis[:, 0]) / 2
    backwards = heading[:, 0] * np.cos(yaws) + heading[:, 1] * np.sin(yaws) < 0
    yaws = np.where(backwards, yaws + np.pi, yaws)
    positions = grid.world_from_cells(cells + 0.5 + np.clip(encoded[:, :2], -MAX_OFFSET_CELLS, MAX_OFFSET_CELLS))
    boxes = Boxes(
        np.concatenate([positions, (encoded[:, 2] + ground.height(positions))[:, None]], 1),
        np.exp(np.clip(encoded[:, 3:6], *LOG_SIZE_RANGE)),
        yaws,
    )
    return boxes, encoded[:, BOX_OFFSETS["velocity"] :]


def velocities_at(box_map: Tensor | None, cells: Tensor) -> Tensor:
    """Return (m, 2) the velocities that a box regression predicts at some cells, without gradient.

    Args:
        box_map: (batch, 12, rows, columns); None: there is no detector, and every velocity is 0.
        cells: (m, 3) sample, row and column; fractions are cut off.
    """
    if box_map is None:
        return cells.new_zeros(len(cells), 2)
    sample, row, column = cells.long().T
    velocities: Tensor = box_map[sample, BOX_OFFSETS["velocity"] :, row, column].detach()
    return velocities


def batch_cells(number: int, cells: np.ndarray) -> np.ndarray:
    """Return (n, 3) sample, row and column.

    Args:
        number: of the sample in its batch.
        cells: (n, 2) row and column.
    """
    return np.concatenate([np.full((len(cells), 1), number), cells], 1)

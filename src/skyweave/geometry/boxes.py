"""Oriented 3D boxes that stand upright on the map."""

from dataclasses import dataclass

import numpy as np

CORNER_SIGNS = np.array(  # of (length, width, height), bottom face first, each counter-clockwise from front left
    [[1, 1, -1], [-1, 1, -1], [-1, -1, -1], [1, -1, -1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]]
)


@dataclass(frozen=True)
class Boxes:
    """Any number of boxes.

    Attributes:
        centres: (n, 3) world position of the middle of each box, metres (x east, y north, z up).
        sizes: (n, 3) length (along its heading), width, height, metres > 0.
        yaws: (n,) heading in radians, counter-clockwise from east.
    """

    centres: np.ndarray
    sizes: np.ndarray
    yaws: np.ndarray

    def __post_init__(self) -> None:
        for name, shape in (("centres", (-1, 3)), ("sizes", (-1, 3)), ("yaws", (-1,))):
            values = np.asarray(getattr(self, name), np.float64).reshape(shape)
            if not np.isfinite(values).all():
                raise ValueError(f"{name} of boxes hold NaN or infinity")
            object.__setattr__(self, name, values)
        if not len(self.centres) == len(self.sizes) == len(self.yaws):
            raise ValueError(f"{len(self.centres)} centres, {len(self.sizes)} sizes and {len(self.yaws)} yaws of boxes")
        if (self.sizes <= 0).any():
            raise ValueError(f"box sizes must be metres > 0, got {self.sizes.min()}")

    def __len__(self) -> int:
        return len(self.centres)

    def select(self, which: np.ndarray) -> "Boxes":
        """The boxes at these indices, or where a mask is true."""
        return Boxes(self.centres[which], self.sizes[which], self.yaws[which])

    def corners(self) -> np.ndarray:
        """(n, 8, 3) world positions, the bottom face first, each face counter-clockwise from front left."""
        local = CORNER_SIGNS * self.sizes[:, None] / 2
        c, s = np.cos(self.yaws)[:, None], np.sin(self.yaws)[:, None]
        x = c * local[..., 0] - s * local[..., 1]
        y = s * local[..., 0] + c * local[..., 1]
        return np.stack([x, y, local[..., 2]], -1) + self.centres[:, None]

    def footprints(self) -> np.ndarray:
        """(n, 4, 2) corners on the ground, counter-clockwise."""
        return self.corners()[:, :4, :2]

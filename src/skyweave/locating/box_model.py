"""What a box in an image says of an object that stands on the ground: where, how large, heading where.

The box of an object is that of the eight corners of a cuboid of its class. Where it stands is where the cuboid's box
has the middle of the detected one; its heading is unknown, so the middle is averaged over all, and its scatter is an
error. The extents of the box say how long it is and, up to a mirror, where it heads.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.boxes import CORNER_SIGNS
from skyweave.core.geometry.camera import CameraGeometry

NUM_HEADINGS = 12  # of a half turn; a cuboid turned by half a turn is the same
LOG_SIZE_STD_MIN = 0.05  # of a class whose sizes hardly differ
LOG_EXTENT_STD = 0.1  # by which the extents of a box miss those of its object


@dataclass(frozen=True)
class CuboidBoxes:
    """Boxes in the image of cuboids at n places, for every heading.

    Attributes:
        headings: (k,) radians, counter-clockwise from east.
        centres: (n, k, 2) middles of the boxes relative to the pixel of the place on the ground.
        extents: (n, k, 2) widths and heights of the boxes in pixels.
    """

    headings: np.ndarray
    centres: np.ndarray
    extents: np.ndarray


def project_cuboids(geometry: CameraGeometry, points: np.ndarray, sizes: np.ndarray) -> CuboidBoxes:
    """Project cuboids that stand at points.

    Args:
        geometry: camera and pose.
        points: (n, 3) world positions on the ground in metres.
        sizes: (n, 3) length, width, height in metres.
    """
    headings = np.arange(NUM_HEADINGS) * np.pi / NUM_HEADINGS
    local = (CORNER_SIGNS * sizes[:, None] / 2)[:, None]
    c, s = np.cos(headings)[:, None], np.sin(headings)[:, None]
    x, y, z = np.broadcast_arrays(
        c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1], local[..., 2]
    )
    corners = np.stack([x, y, z + sizes[:, None, None, 2] / 2], -1) + points[:, None, None]
    pixels, _ = geometry.project(corners)
    base, _ = geometry.project(points)
    low, high = pixels.min(2), pixels.max(2)
    return CuboidBoxes(headings, (low + high) / 2 - base[:, None], high - low)


def fit_length_and_heading(
    cuboids: CuboidBoxes, extents: np.ndarray, log_size_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much longer than the mean of their class objects are, and the best of their headings.

    For each heading the size that explains both extents is that of least squares in logarithms, with the scatter of
    sizes in the class as prior.

    Args:
        cuboids: of the mean sizes at the places of the objects.
        extents: (n, 2) widths and heights of the detected boxes in pixels.
        log_size_std: (n,) relative standard deviation of sizes in the class.

    Returns:
        (n,) factors, and (n,) headings in 0..pi, radians; a box hardly tells a heading from its mirror image.
    """
    weight = 1 / LOG_EXTENT_STD**2
    prior = 1 / np.maximum(log_size_std, LOG_SIZE_STD_MIN)[:, None] ** 2
    ratio = np.log(np.maximum(extents, 1e-3))[:, None] - np.log(np.maximum(cuboids.extents, 1e-3))
    scale = weight * ratio.sum(-1) / (2 * weight + prior)
    cost = weight * np.square(ratio - scale[..., None]).sum(-1) + prior * np.square(scale)
    best = np.nan_to_num(cost, nan=np.inf).argmin(1)
    rows = np.arange(len(best))
    return np.exp(scale[rows, best]), cuboids.headings[best]

"""Poses refined so that photos agree on the map: a bundle adjustment whose points all lie on a known ground.

Every photo may shift, rise, and turn about three axes, and the whole flight may rise together; each only as far as
its spread makes believable. Ties say how far apart two photos place one spot. With the ground given there are no
points to solve for, so it is a small robust least squares problem (Cauchy weights, Gauss-Newton), solved in
milliseconds. Things that stand above the ground never agree from two sides; the robust loss leaves them aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.photo import Photo
from skyweave.orthomosaic.tie_points import TiePoints

PARAMETERS_PER_PHOTO = 6  # of a photo: east, north, up in metres; rotations about east, north, up in radians
STEPS = ((1.5, 6), (0.6, 6), (0.25, 8), (0.12, 8))  # (scale of the loss in metres at 40 m height, iterations)
REFERENCE_HEIGHT_M = 40.0
NOISE = 0.1  # of a tie, metres at 40 m height: what matching and uneven ground leave
DERIVATIVE = np.array([1e-3, 1e-3, 1e-3, 1e-5, 1e-5, 1e-5])


@dataclass(frozen=True)
class Adjustment:
    """What was changed.

    Attributes:
        photos: with refined poses.
        corrections: (n, 6) metres east, north, up and radians about east, north, up, of every photo.
        rise: metres that the flight rose as a whole, part of every photo's correction up.
    """

    photos: tuple[Photo, ...]
    corrections: np.ndarray
    rise: float


def adjust_poses(
    photos: Sequence[Photo], ground: Ground, ties: TiePoints, height: float, height_std: float
) -> Adjustment:
    """Refine poses so that tie points agree on the ground.

    Args:
        photos: with poses as read.
        ground: level or with relief.
        ties: all that are given are used; leave out those held out.
        height: of the flight above the ground, metres.
        height_std: standard deviation of it as a share: an error common to all photos.
    """
    count = len(photos)
    # the last parameter is the common rise
    state = np.zeros(PARAMETERS_PER_PHOTO * count + 1)
    sigma = np.concatenate([np.concatenate([_sigma(photo) for photo in photos]), [height_std * height]])
    scale = height / REFERENCE_HEIGHT_M
    for loss, iterations in STEPS:
        width = loss * scale
        for _ in range(iterations):
            step = _step(photos, ground, ties, state, sigma, height, width, NOISE * scale)
            state += step
            if np.abs(step / sigma).max() < 1e-4:
                break
    corrections = state[:-1].reshape(count, PARAMETERS_PER_PHOTO).copy()
    corrections[:, 2] += state[-1]
    moved = tuple(_moved(photo, correction) for photo, correction in zip(photos, corrections, strict=True))
    return Adjustment(moved, corrections, float(state[-1]))


def _step(
    photos: Sequence[Photo],
    ground: Ground,
    ties: TiePoints,
    state: np.ndarray,
    sigma: np.ndarray,
    height: float,
    width: float,
    noise: float,
) -> np.ndarray:
    """One Gauss-Newton step: weighted ties and the pull of the priors."""
    corrections = state[:-1].reshape(len(photos), PARAMETERS_PER_PHOTO).copy()
    corrections[:, 2] += state[-1]
    place_a, slope_a, height_a = _places(photos, ground, ties.a, ties.pixels_a, corrections)
    place_b, slope_b, height_b = _places(photos, ground, ties.b, ties.pixels_b, corrections)
    distance = place_a - place_b
    # In metres everything agrees best where all cameras are on the ground. Counted at a fixed height above it, as
    # pixels are, there is nothing to gain by sinking.
    share = 2 * height / (height_a + height_b)
    residual = distance * share[:, None]
    sinking = -(share**2)[:, None] * distance / (2 * height)  # derivative by either height
    slopes = np.concatenate([slope_a * share[:, None, None], -slope_b * share[:, None, None]], -1)
    slopes[..., 2] += sinking
    slopes[..., PARAMETERS_PER_PHOTO + 2] += sinking
    slopes = np.concatenate(
        [slopes, slopes[..., 2:3] + slopes[..., PARAMETERS_PER_PHOTO + 2 : PARAMETERS_PER_PHOTO + 3]], -1
    )
    known = np.isfinite(residual).all(1) & np.isfinite(slopes).all((1, 2))
    residual, slopes = np.where(known[:, None], residual, 0), np.where(known[:, None, None], slopes, 0)
    weight = known / (1 + (residual**2).sum(1) / width**2) / noise**2
    # each tie couples its two photos and the common rise
    photo_terms = np.arange(PARAMETERS_PER_PHOTO)
    last = np.full((len(ties), 1), len(state) - 1)
    index = np.concatenate(
        [
            ties.a[:, None] * PARAMETERS_PER_PHOTO + photo_terms,
            ties.b[:, None] * PARAMETERS_PER_PHOTO + photo_terms,
            last,
        ],
        1,
    )
    normal, gradient = np.diag(1 / sigma**2), state / sigma**2
    np.add.at(gradient, index, np.einsum("n,nri,nr->ni", weight, slopes, residual))
    np.add.at(normal, (index[:, :, None], index[:, None, :]), np.einsum("n,nri,nrj->nij", weight, slopes, slopes))
    return -np.linalg.solve(normal, gradient)


def _places(
    photos: Sequence[Photo], ground: Ground, which: np.ndarray, pixels: np.ndarray, corrections: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (n, 2) of pixels on the map, their derivatives (n, 2, 6), and heights (n,) of the cameras above them."""
    places, slopes = np.full((len(which), 2), np.nan), np.full((len(which), 2, PARAMETERS_PER_PHOTO), np.nan)
    heights = np.full(len(which), np.nan)
    for k in np.unique(which):
        of_photo = which == k
        now = _moved(photos[k], corrections[k])
        rays = now.geometry.camera.rays(pixels[of_photo])
        at = now.ground_points(pixels[of_photo], ground)
        places[of_photo] = at[:, :2]
        heights[of_photo] = now.position[2] - at[:, 2]
        for freedom in range(PARAMETERS_PER_PHOTO):
            nudge = np.zeros(PARAMETERS_PER_PHOTO)
            nudge[freedom] = DERIVATIVE[freedom]
            # the ground around the spot as level: exact on a plane, close enough on slopes
            pose = _moved(now, nudge).geometry.world_from_camera
            world = rays @ pose[:3, :3].T
            depth = (at[:, 2] - pose[2, 3]) / world[:, 2]
            slopes[of_photo, :, freedom] = (pose[:2, 3] + depth[:, None] * world[:, :2] - at[:, :2]) / DERIVATIVE[
                freedom
            ]
    return places, slopes, heights


def _sigma(photo: Photo) -> np.ndarray:
    std = photo.std
    return np.array([std.horizontal, std.horizontal, std.vertical, std.tilt, std.tilt, std.yaw])


def _moved(photo: Photo, correction: np.ndarray) -> Photo:
    return photo.moved(correction[:3], _rotation(correction[3:]))


def _rotation(vector: np.ndarray) -> np.ndarray:
    """(3, 3) rotation about a vector by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

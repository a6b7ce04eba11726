"""Where pixels meet the ground, and how that moves with every error: first order, with analytic Jacobians.

A pixel's ray ``d`` from the camera at ``c`` meets the ground at ``p = c + s d``, where ``n . dp = de`` for the ground's
normal ``n = (-slope east, -slope north, 1)`` and an error ``de`` of its elevation. So with ``A = I - d n' / (n . d)``::

    dp = A dc + s A dd + d / (n . d) de

and ``dd`` is linear in the pixel, the focal length and the turn of the camera. A wrong clock is a camera that stands
where it was or will be. This is the error budget of a monoplotted point (Kraus, Photogrammetry, volume 1, chapter 7).
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground

MIN_LEVEL = 1e-9  # of the horizontal part of a camera's x axis
SLOPE_STEP_M = 0.5  # to each side, over which the slope of the ground is measured
CAMERA_ERRORS = ("east", "north", "up", "heading", "pitch", "roll", "focal", "clock")
"""Errors that all detections of a camera share: metres, radians, relative to the focal length, seconds.

The last three turn the camera about the vertical, the level axis to its right and the level axis ahead of it.
"""


@dataclass(frozen=True)
class CameraState:
    """A camera at the time of one image, and how it moves.

    Attributes:
        geometry: camera and pose.
        velocity: (3,) of its centre in the world, metres per second.
        turn_rate: (3,) its rotation about the world's axes, radians per second.
    """

    geometry: CameraGeometry
    velocity: np.ndarray
    turn_rate: np.ndarray


@dataclass(frozen=True)
class GroundPoints:
    """Points on the ground that pixels show, and how their east and north move with errors.

    Attributes:
        points: (n, 3) world positions in metres; NaN where a ray does not meet the ground.
        by_pixel: (n, 2, 2) metres per pixel.
        by_camera: (n, 2, 8) metres per unit of `CAMERA_ERRORS`.
        by_elevation: (n, 2) metres per metre of the ground's elevation.
        depression: (n,) angle of the ray below the horizon, radians.
    """

    points: np.ndarray
    by_pixel: np.ndarray
    by_camera: np.ndarray
    by_elevation: np.ndarray
    depression: np.ndarray


def locate_pixels(state: CameraState, pixels: np.ndarray, ground: Ground) -> GroundPoints:
    """Intersect the rays of pixels with the ground, and propagate errors to first order.

    Args:
        state: of the camera.
        pixels: (n, 2) as (u, v).
        ground: in the frame of the camera's pose.
    """
    geometry = state.geometry
    rotation, centre = geometry.world_from_camera[:3, :3], geometry.position
    rays = geometry.camera.rays(pixels)
    directions = rays @ rotation.T
    depth = np.asarray(ground.depth(centre, directions))
    points = centre + depth[:, None] * directions
    normal = np.concatenate([-ground_slope(ground, points), np.ones((len(points), 1))], 1)
    descent = np.einsum("ni,ni->n", normal, directions)
    along = directions / descent[:, None]
    slide = (np.eye(3) - along[:, :, None] * normal[:, None])[:, :2]  # of a point when its ray's origin moves
    swing = depth[:, None, None] * slide  # when its ray's direction changes
    by_ray = swing @ rotation[:, :2]
    by_pixel = by_ray @ geometry.camera.ray_jacobian(pixels)
    by_turn = np.cross(level_axes(geometry.world_from_camera).T, directions[:, None]).transpose(0, 2, 1)
    by_focal = -by_pixel @ (pixels - geometry.camera.intrinsics[:2, 2])[..., None]
    by_clock = slide @ state.velocity + np.einsum("nij,nj->ni", swing, np.cross(state.turn_rate, directions))
    return GroundPoints(
        points,
        by_pixel,
        np.concatenate([slide, swing @ by_turn, by_focal, by_clock[..., None]], 2),
        along[:, :2],
        np.arctan2(-directions[:, 2], np.hypot(directions[:, 0], directions[:, 1])),
    )


def level_axes(world_from_camera: np.ndarray) -> np.ndarray:
    """Return the axes of errors of attitude: (3, 3), in columns up, to the camera's right, ahead of it.

    They follow the image's columns, not the optical axis: straight down, where gimbals tremble about the vertical, the
    heading of the axis jumps by half a turn, and an error that stays the same would seem to change its sign.

    Args:
        world_from_camera: (4, 4) pose.
    """
    east, north = world_from_camera[:2, 0]
    length = max(float(np.hypot(east, north)), MIN_LEVEL)
    return np.array([[0.0, east / length, -north / length], [0.0, north / length, east / length], [1.0, 0.0, 0.0]])


def ground_slope(ground: Ground, points: np.ndarray) -> np.ndarray:
    """Return the slope of the ground towards east and north: (n, 2); 0 where it is unknown.

    Args:
        ground: any surface.
        points: (n, 2 or 3) world positions in metres.
    """
    steps = SLOPE_STEP_M * np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    heights = ground.height(np.asarray(points)[None, :, :2] + steps[:, None])
    return np.nan_to_num(np.stack([heights[0] - heights[1], heights[2] - heights[3]], -1) / (2 * SLOPE_STEP_M))

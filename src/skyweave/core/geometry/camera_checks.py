"""Numbers of cameras and poses that cannot be meant: those of another image size, another unit, another convention."""

from collections.abc import Sequence

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.ground import Ground

MIN_FOCAL_SHARE, MAX_FOCAL_SHARE = 0.1, 30.0  # of the image's width: views of 157 degrees, and of 2
RAY_SAMPLES = 9  # along a side of the image
MAX_OFF_CENTRE = 0.2  # share of the image that a principal point lies from its middle, in both directions alike
MAX_FOLDED_SHARE = 0.5  # of the image, which a distortion makes unreadable


def check_camera(camera: PinholeCamera, source: str) -> None:
    """Refuse the numbers of an image of another size, and of another distortion.

    Args:
        camera: at the size of its images.
        source: where its numbers stand, for messages.

    Raises:
        DataError: a focal length that no camera has, a principal point outside of the image, or a distortion that
            folds it over.
    """
    (focal, _, u), (_, _, v), _ = camera.intrinsics.tolist()
    size = f"{camera.columns} x {camera.rows}"
    across, down = u / camera.columns - 0.5, v / camera.rows - 0.5
    point = f"the principal point of {source}, {u:g} and {v:g}, lies"
    remedy = f"of {size}: its matrix is of another size; give it for this one, in pixels"
    if max(abs(across), abs(down)) >= 0.5:
        raise DataError(f"{point} outside its image {remedy}")
    if not MIN_FOCAL_SHARE <= focal / camera.columns <= MAX_FOCAL_SHARE:
        raise DataError(
            f"the focal length of {source}, {focal:g} pixels, is none of an image of {size}; give it in pixels, and "
            "angles in degrees"
        )
    if min(across, down) > MAX_OFF_CENTRE or max(across, down) < -MAX_OFF_CENTRE:
        raise DataError(f"{point} far from the middle of its image {remedy}")
    rays = camera.rays(camera.pixel_centres(RAY_SAMPLES, RAY_SAMPLES))
    if np.isnan(rays[..., 0]).mean() > MAX_FOLDED_SHARE:
        raise DataError(
            f"the distortion {', '.join(f'{value:g}' for value in camera.distortion)} of {source} folds most of the "
            "image over: it must be k1 k2 p1 p2 k3"
        )


def check_ground_in_view(
    cameras: Sequence[CameraGeometry],
    ground: Ground,
    source: str,
    rule: str = "z must count upwards, and pitch downwards (90 looks straight down)",
) -> None:
    """Refuse poses of which none sees the ground.

    Args:
        cameras: with their poses.
        ground: in the same frame.
        source: where the poses stand, for messages.
        rule: how heights and angles are counted there.

    Raises:
        DataError: all lie below the ground, or look at the sky.
    """
    if cameras and not any(_sees(camera, ground) for camera in cameras):
        z, height = cameras[0].position[2], float(np.ravel(ground.height(cameras[0].position))[0])
        raise DataError(
            f"{source}: no camera sees the ground; the first is at z {z:g} over ground at {height:g}: {rule}"
        )


def _sees(camera: CameraGeometry, ground: Ground) -> bool:
    """Return whether any ray of an image meets the ground in front of the camera."""
    rays = camera.world_rays(camera.camera.pixel_centres(RAY_SAMPLES, RAY_SAMPLES))
    depth = ground.depth(camera.position, rays)
    return bool((np.isfinite(depth) & (depth > 0)).any())

"""``sensor_msgs/msg/CameraInfo`` to a camera: calibration, rectification, region of interest and binning (REP 104).

K and D describe the raw image at the sensor's full resolution, P the rectified one. A driver that reads out a region
of the sensor, or combines its pixels, leaves them as they are and says so in ``roi`` and ``binning``.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.camera_checks import check_camera

PIXEL_CENTRE = 0.5  # ROS has the centre of the first pixel at 0, this project at 0.5
BROWN_MODELS = ("plumb_bob", "rational_polynomial")  # the second is the first where its further coefficients are 0
PINHOLE_MODELS = ("", "none", "pinhole", "perspective", "radtan")  # without distortion, whatever they are called
BROWN_COEFFICIENTS = 5  # k1 k2 p1 p2 k3
MAX_OFF_CENTRE = 0.25  # share of the image that a principal point lies from its middle; more is of a smaller image


def camera_from_info(info: Any, rectified: bool = False) -> PinholeCamera:
    """Return the camera that a ``sensor_msgs/msg/CameraInfo`` describes, for the image that comes with it.

    Args:
        info: the message.
        rectified: whether the image is rectified, as on a topic ``image_rect``.

    Raises:
        DataError: it is not calibrated, or of a lens or a rectification that is not read.
        DataError: numbers that are no camera.
    """
    matrix = np.array(info.k, np.float64).reshape(3, 3)
    projection = np.array(info.p, np.float64).reshape(3, 4)[:, :3]
    if not (info.width and info.height) or not (matrix.any() or projection.any()):
        raise DataError("the camera is not calibrated: its CameraInfo has no size, or K and P are 0")
    if rectified or not matrix.any():
        matrix, distortion = _rectified(info, projection), (0.0,) * BROWN_COEFFICIENTS
    else:
        distortion = _distortion(info)
    return _read_out(info, matrix, distortion)


def _rectified(info: Any, projection: np.ndarray) -> np.ndarray:
    if not projection.any():
        raise DataError("the images are rectified and P of their CameraInfo is 0; take the raw images, image_raw")
    rotation = np.array(info.r, np.float64).reshape(3, 3)
    if rotation.any() and not np.allclose(rotation, np.eye(3), atol=1e-3):
        raise DataError(
            "the images are rectified by a rotation (R), which turns them against the camera that the poses are of; "
            "take the raw images, image_raw"
        )
    return projection


def _distortion(info: Any) -> tuple[float, ...]:
    """Brown-Conrady coefficients; an error for those of another model."""
    coefficients = np.asarray(info.d, np.float64)
    model = info.distortion_model
    known = model in BROWN_MODELS or (model in PINHOLE_MODELS and (model == "" or not coefficients.any()))
    if not known or coefficients[BROWN_COEFFICIENTS:].any():
        further = f" with {len(coefficients)} coefficients" if known else ""
        raise DataError(f"distortion model {model!r}{further} is not read; rectify the images first")
    return tuple(
        np.pad(coefficients[:BROWN_COEFFICIENTS], (0, max(BROWN_COEFFICIENTS - len(coefficients), 0))).tolist()
    )


def _read_out(info: Any, matrix: np.ndarray, distortion: tuple[float, ...]) -> PinholeCamera:
    """The camera of the part of the sensor that was read out, its pixels combined."""
    matrix = matrix.copy()
    matrix[:2, 2] += PIXEL_CENTRE
    k1, k2, p1, p2, k3 = distortion
    camera = PinholeCamera(matrix, int(info.height), int(info.width), (k1, k2, p1, p2, k3))
    across, down = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    _check_plausible(camera, across, down)
    region = info.roi
    if region.width and region.height:
        camera = camera.cropped(int(region.y_offset), int(region.x_offset), int(region.height), int(region.width))
    combined = np.diag([1 / across, 1 / down, 1.0]) @ camera.intrinsics
    return replace(camera, intrinsics=combined, rows=camera.rows // down, columns=camera.columns // across)


def _check_plausible(camera: PinholeCamera, across: int, down: int) -> None:
    """Raise an error for the numbers of an image of another size, or of another distortion."""
    u, v = camera.intrinsics[:2, 2]
    off_centre = max(abs(u / camera.columns - 0.5), abs(v / camera.rows - 0.5))
    if max(across, down) > 1 and MAX_OFF_CENTRE < off_centre < 0.5:
        raise DataError(
            f"CameraInfo says a binning of {across} x {down}, and its K fits an image that is binned already: the "
            "driver must give K at the full resolution, or a binning of 0"
        )
    check_camera(camera, "CameraInfo")

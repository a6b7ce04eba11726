"""What the uncertainty of places is made of: the share of each error in the variance of detections."""

from collections.abc import Iterable

import numpy as np

from skyweave.locating.ground_points import CAMERA_ERRORS
from skyweave.locating.located import LocatedDetections
from skyweave.locating.self_calibration import ErrorEstimate

SOURCES = (*CAMERA_ERRORS, "box", "jitter", "elevation", "object height")


def error_budget(located: Iterable[LocatedDetections], calibration: ErrorEstimate) -> dict[str, float]:
    """Return the root mean variance that each error alone gives to detections, in metres.

    Errors that calibration made dependent on each other share what they have together by their own variance.

    Args:
        located: detections of all images.
        calibration: of the cameras.
    """
    sums = np.zeros(len(SOURCES))
    count = 0
    for image in located:
        stds = np.sqrt(np.diag(calibration.covariance))
        start = image.platform * len(CAMERA_ERRORS)
        by_camera = image.by_camera * stds[start : start + len(CAMERA_ERRORS)]
        trace = np.trace(image.white - image.jitter, axis1=1, axis2=2) + np.square(image.by_box).sum((1, 2))
        parts = [
            np.square(by_camera).sum((0, 1)),
            [trace.sum(), np.trace(image.jitter, axis1=1, axis2=2).sum()],
            np.square(image.by_object * [stds[-1], 1.0]).sum((0, 1)),
        ]
        sums += np.concatenate(parts)
        count += len(image)
    values = np.sqrt(sums / max(2 * count, 1))
    return dict(zip(SOURCES, np.round(values, 3).tolist(), strict=True))

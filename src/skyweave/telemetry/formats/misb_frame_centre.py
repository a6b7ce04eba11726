"""Whether a camera of KLV looks where the same KLV says that the middle of its image lies (ST 0601, tags 23 to 25)."""

from collections.abc import Mapping

import numpy as np
from pyproj import Geod

from skyweave.core.geometry.frames import rotation_from_quaternion

MAX_SHARE = 0.2  # of the distance to the ground, by which the two may differ
MIN_DIFFERENCE_M = 50.0  # below it the elevation of the ground is what differs
MIN_FORWARD_DOWN = 0.05  # of the axis: nearer to the horizon the ground is anywhere


def frame_centre_notes(values: Mapping[str, np.ndarray], orientations: np.ndarray) -> list[str]:
    """Return a note where angles and the stated middle of the image contradict each other.

    Args:
        values: (n,) columns by name, in degrees and metres; NaN where a set does not state one.
        orientations: (n, 4) of the camera, to east, north, up.
    """
    names = ("latitude", "longitude", "sea_level", "centre_latitude", "centre_longitude", "centre_elevation")
    stated = np.column_stack([values[name] for name in names])
    rows = np.flatnonzero(np.isfinite(stated).all(1) & np.isfinite(orientations).all(1))
    if not len(rows):
        return []
    latitude, longitude, height, centre_latitude, centre_longitude, elevation = stated[rows].T
    forward = rotation_from_quaternion(orientations[rows])[:, :, 2]
    depth = (height - elevation) / np.maximum(-forward[:, 2], MIN_FORWARD_DOWN)
    east, north = (depth[:, None] * forward[:, :2]).T
    geod = Geod(ellps="WGS84")
    seen = geod.fwd(longitude, latitude, np.degrees(np.arctan2(east, north)), np.hypot(east, north))[:2]
    distances = geod.inv(*seen, centre_longitude, centre_latitude)[2]
    wrong = (distances > MIN_DIFFERENCE_M) & (distances > MAX_SHARE * np.abs(depth))
    if wrong.mean() <= 0.5:
        return []
    return [
        f"by its angles the camera looks at a place {np.median(distances):.0f} m from where the KLV says that the "
        f"middle of the image lies, in {wrong.sum()} of {len(rows)} sets: angles (tags 5 to 7, 18 to 20) "
        "or place are wrong"
    ]

"""Poses between poses: places linearly, orientations along the great arc, and covariances that grow in the gaps.

Halfway between two samples T seconds apart a platform may be up to a T^2 / 8 from the straight line, for an
acceleration a: the error of linear interpolation. That is what the covariance grows by, so that a log of one fix a
second is trusted less between its fixes than at them.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_from_quaternion
from skyweave.core.geometry.geodesy import unwrap_longitudes
from skyweave.telemetry.poses_over_time import NS_PER_S, HeightDatum, Heights, PosesOverTime

MAX_GAP_S = 5.0  # seconds between two samples, over which nothing is interpolated
MAX_OVERRUN_S = 1.0  # seconds before the first sample and after the last, over which it is held
ACCELERATION_STD = 1.5  # m/s^2, of a platform
ANGULAR_ACCELERATION_STD = 0.5  # rad/s^2, of a camera on a gimbal
SPEED_STD = 5.0  # m/s, of what is held
ANGULAR_RATE_STD = 0.2  # rad/s, of what is held
METRES_PER_DEGREE = 111_320.0  # of latitude


@dataclass(frozen=True)
class _Neighbours:
    """The samples before and after each of k times, among those that are valid.

    Attributes:
        before, after: (k,) indices.
        share: (k,) 0 at ``before``, 1 at ``after``.
        deviation: (k,) seconds squared: what an acceleration is multiplied with for the error between samples.
        overrun: (k,) seconds before the first or after the last sample.
        known: (k,) whether there is anything near enough.
    """

    before: np.ndarray
    after: np.ndarray
    share: np.ndarray
    deviation: np.ndarray
    overrun: np.ndarray
    known: np.ndarray

    def blend(self, values: np.ndarray) -> np.ndarray:
        """Return values at the times: (k, ...), NaN where unknown.

        Args:
            values: (n, ...) of the samples.
        """
        shape = (-1, *(1,) * (values.ndim - 1))
        share, known = self.share.reshape(shape), self.known.reshape(shape)
        blended = values[self.before] * (1 - share) + values[self.after] * share
        return np.asarray(np.where(known, blended, np.nan))

    def std(self, acceleration: float, rate: float) -> np.ndarray:
        """Return the standard deviation of what interpolation adds: (k,).

        Args:
            acceleration: standard deviation of the second derivative.
            rate: standard deviation of the first one, over what is held.
        """
        return np.asarray(acceleration * self.deviation + rate * self.overrun)


def interpolate_poses(poses: PosesOverTime, times: np.ndarray, max_gap: float = MAX_GAP_S) -> PosesOverTime:
    """Return the poses at some times.

    Places, heights and orientations are interpolated apart, each between the samples that have it.

    Args:
        poses: on the same clock.
        times: (k,) int64 nanoseconds, growing.
        max_gap: seconds between samples over which nothing is known, unless the camera is fixed.

    Returns:
        k poses; NaN where the log has no sample near enough.
    """
    times = np.asarray(times, np.int64)

    def neighbours(valid: np.ndarray) -> _Neighbours:
        nearest = _neighbours(poses.times, valid, times, math.inf if poses.is_fixed else max_gap)
        return replace(nearest, deviation=np.zeros(len(times))) if poses.is_fixed else nearest

    place = neighbours(_rows_known(poses.places))
    camera, body = neighbours(_rows_known(poses.enu_from_camera)), neighbours(_rows_known(poses.enu_from_body))
    heights: dict[HeightDatum, Heights] = {
        datum: replace(stated, values=neighbours(np.isfinite(stated.values)).blend(stated.values))
        for datum, stated in poses.heights.items()
    }
    return replace(
        poses,
        times=times,
        places=place.blend(_unwrapped(poses.places)),
        heights=heights,
        enu_from_camera=_slerp(poses.enu_from_camera, camera),
        enu_from_body=_slerp(poses.enu_from_body, body),
        covariance=_covariance(poses.covariance, place, camera if camera.known.any() else body),
        field_of_view=neighbours(np.isfinite(poses.field_of_view[:, 0])).blend(poses.field_of_view),
    )


def interpolate_orientations(times: np.ndarray, quaternions: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Return orientations at some times: (k, 4), NaN where there is no sample near enough.

    Args:
        times: (n,) int64 nanoseconds of the samples, growing.
        quaternions: (n, 4); NaN where unknown.
        when: (k,) int64 nanoseconds.
    """
    return _slerp(quaternions, _neighbours(times, _rows_known(quaternions), when, MAX_GAP_S))


def pose_rates(poses: PosesOverTime, times: np.ndarray, step: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return how fast a platform moves and its camera turns: what an error of the clock is multiplied with.

    Args:
        poses: on the same clock.
        times: (k,) int64 nanoseconds.
        step: seconds over which differences are taken.

    Returns:
        (k, 3) velocity east, north and up in m/s, and (k, 3) angular velocity about east, north and up in rad/s;
        0 where the log knows neither.
    """
    half = round(step * NS_PER_S / 2)
    middle = np.clip(np.asarray(times, np.int64), poses.times[0] + half, max(poses.times[-1] - half, poses.times[0]))
    height = next((stated.values for stated in poses.heights.values()), np.zeros(len(poses)))
    points = np.column_stack([_unwrapped(poses.places), height])
    ends = []
    for when in (middle - half, middle + half):
        moving = _neighbours(poses.times, _rows_known(points), when, MAX_GAP_S)
        turning = _neighbours(poses.times, _rows_known(poses.enu_from_camera), when, MAX_GAP_S)
        ends.append((moving.blend(points), _slerp(poses.enu_from_camera, turning)))
    (start, before), (end, after) = ends
    velocity = _metres_between(start, end) / step
    return np.nan_to_num(velocity), np.nan_to_num(_rotation_vectors(before, after) / step)


def _rows_known(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(values).all(1))


def _unwrapped(places: np.ndarray) -> np.ndarray:
    """Places whose longitudes go on beyond 180 degrees."""
    known = _rows_known(places)
    if not known.any():
        return places
    return np.column_stack([places[:, 0], unwrap_longitudes(places[:, 1], float(places[known][0, 1]))])


def _metres_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From points to others near them, (k, 3) latitude, longitude, height each, as metres east, north, up."""
    north, east, up = (end - start).T
    east = east * np.cos(np.radians(start[:, 0] + end[:, 0]) / 2)
    return np.column_stack([east * METRES_PER_DEGREE, north * METRES_PER_DEGREE, up])


def _neighbours(times: np.ndarray, valid: np.ndarray, when: np.ndarray, max_gap: float) -> _Neighbours:
    rows = np.flatnonzero(valid)
    if not len(rows):
        none = np.zeros(len(when), np.int64)
        return _Neighbours(none, none, none * 0.0, none * 0.0, none * 0.0, none > 0)
    known = times[rows]
    upper = np.clip(np.searchsorted(known, when, side="right"), 1, max(len(rows) - 1, 1))
    lower, upper = upper - 1, np.minimum(upper, len(rows) - 1)
    gap = (known[upper] - known[lower]) / NS_PER_S
    since = (when - known[lower]) / NS_PER_S
    overrun = np.maximum(np.maximum(-since, since - gap), 0.0)
    share = np.clip(since / np.maximum(gap, 1e-9), 0.0, 1.0)
    # at a sample itself nothing is interpolated, however far the next one
    near = (overrun <= MAX_OVERRUN_S) & ((gap <= max_gap) | (share == 0) | (share == 1))
    return _Neighbours(rows[lower], rows[upper], share, share * (1 - share) * gap**2 / 2, overrun, near)


def _slerp(quaternions: np.ndarray, neighbours: _Neighbours) -> np.ndarray:
    """Spherical linear interpolation (Shoemake, 1985) of (n, 4) quaternions."""
    before, after = quaternions[neighbours.before], quaternions[neighbours.after]
    cosine = np.sum(before * after, 1, keepdims=True)
    after = np.where(cosine < 0, -after, after)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    share = neighbours.share[:, None]
    sine = np.sin(angle)
    near = np.nan_to_num(sine) < 1e-6  # nearly the same orientation: the chord is the arc
    safe = np.where(near, 1.0, sine)
    first = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)
    second = np.where(near, share, np.sin(share * angle) / safe)
    mixed = first * before + second * after
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(np.where(neighbours.known[:, None], mixed / np.where(length > 0, length, np.nan), np.nan))


def _covariance(covariance: np.ndarray, place: _Neighbours, rotation: _Neighbours) -> np.ndarray:
    """Covariances (k, 6, 6) that grow with the distance to the samples, block by block."""
    result = np.full((len(place.share), 6, 6), np.nan)
    result[:, :3, :3] = place.blend(covariance[:, :3, :3])
    result[:, 3:, 3:] = rotation.blend(covariance[:, 3:, 3:])
    both = place.known & rotation.known
    cross = np.nan_to_num(rotation.blend(covariance[:, :3, 3:])) * both[:, None, None]
    result[:, :3, 3:], result[:, 3:, :3] = cross, cross.swapaxes(1, 2)
    diagonal = np.arange(3)
    result[:, diagonal, diagonal] += place.std(ACCELERATION_STD, SPEED_STD)[:, None] ** 2
    turned = rotation.std(ANGULAR_ACCELERATION_STD, ANGULAR_RATE_STD)
    result[:, 3 + diagonal, 3 + diagonal] += turned[:, None] ** 2
    return result


def _rotation_vectors(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Rotations (k, 3) about the world's axes, radians, from (k, 4) orientations to others; NaN where one is."""
    vectors = np.full((len(before), 3), np.nan)
    known = _rows_known(before) & _rows_known(after)
    if not known.any():
        return vectors
    first, second = rotation_from_quaternion(before[known]), rotation_from_quaternion(after[known])
    turned = quaternion_from_rotation(second @ first.swapaxes(1, 2))
    sine = np.linalg.norm(turned[:, 1:], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, turned[:, :1])
    vectors[known] = turned[:, 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)
    return vectors

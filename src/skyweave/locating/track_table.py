"""Tracks as plain numbers in degrees and metres: what every writer writes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skyweave.core.geometry.geodesy import grid_convergence, unproject_lon_lat
from skyweave.locating.map_tracker import MapTrack
from skyweave.locating.object_classes import object_class
from skyweave.locating.tracking import TrackingResult
from skyweave.telemetry.poses_over_time import NS_PER_S

ELLIPSE_90 = 2.1460  # semi-axes of the 90 % ellipse of two normal variables in standard deviations
MOVING_STD = 3.0  # standard deviations of a velocity, from which an object moves
MIN_MOVING_SPEED = 0.7  # m/s, below which nothing is said of where an object heads


@dataclass(frozen=True)
class TrackTable:
    """One track, point by point.

    Attributes:
        number: identity.
        category: class.
        score: mean of its detections.
        size: length, width, height in metres.
        size_std: (3,) standard deviations of these.
        times: (n,) int64 nanoseconds, UTC or from the first image.
        lon_lat: (n, 2) degrees.
        up: (n,) metres.
        points: (n, 2) metres east and north in the map's reference system.
        covariances: (n, 2, 2) square metres.
        velocities: (n, 2) metres per second.
        velocity_covariances: (n, 2, 2).
        headings: (n,) radians counter-clockwise from east: of the motion, or of the box; NaN where neither says it.
        platforms: (n,) numbers of the cameras.
        frames: (n,) numbers of the images.
        rows: (n,) of the detections in their images.
    """

    number: int
    category: str
    score: float
    size: np.ndarray
    size_std: np.ndarray
    times: np.ndarray
    lon_lat: np.ndarray
    up: np.ndarray
    points: np.ndarray
    covariances: np.ndarray
    velocities: np.ndarray
    velocity_covariances: np.ndarray
    headings: np.ndarray
    platforms: np.ndarray
    frames: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @property
    def speeds(self) -> np.ndarray:
        """Return speeds over ground: (n,) metres per second."""
        return np.asarray(np.hypot(self.velocities[:, 0], self.velocities[:, 1]))

    @cached_property
    def ellipses(self) -> np.ndarray:
        """Return the ellipses that hold the truth nine times of ten: (n, 3) semi-axes in metres, and the angle of the

        longer one in degrees counter-clockwise from east.
        """
        values, vectors = np.linalg.eigh(self.covariances)
        longer = vectors[:, :, 1]
        axes = ELLIPSE_90 * np.sqrt(np.maximum(values[:, ::-1], 0))
        return np.column_stack([axes, np.degrees(np.arctan2(longer[:, 1], longer[:, 0])) % 180])

    @property
    def length(self) -> float:
        """Return how far it went, in metres."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


def tables_of(result: TrackingResult) -> list[TrackTable]:
    """Return all tracks of a result as tables.

    Args:
        result: of tracking.
    """
    return [_table(track, result) for track in result.tracks]


def _table(track: MapTrack, result: TrackingResult) -> TrackTable:
    points = np.array([point.position for point in track.points])
    velocities = np.array([point.velocity for point in track.points])
    velocity_covariances = np.array([point.velocity_covariance for point in track.points])
    sizes = np.array(track.log_sizes)
    known = object_class(track.category)
    class_std = np.array(known.size_std)
    return TrackTable(
        track.number,
        track.category,
        float(np.mean(track.scores)),
        np.exp(np.median(sizes, axis=0)),
        np.maximum(class_std / np.sqrt(len(sizes)), 0.05 * np.array(known.size)),
        np.array([round(point.time * NS_PER_S) for point in track.points], np.int64),
        unproject_lon_lat(points, result.crs),
        np.array([point.up for point in track.points]),
        points,
        np.array([point.covariance for point in track.points]),
        velocities,
        velocity_covariances,
        _headings(velocities, velocity_covariances, np.array(track.headings)),
        np.array([point.platform for point in track.points]),
        np.array([point.frame for point in track.points]),
        np.array([point.row for point in track.points]),
    )


def _headings(velocities: np.ndarray, covariances: np.ndarray, of_boxes: np.ndarray) -> np.ndarray:
    """Return headings of motion where there is any, else the last one, else (up to half a turn) that of the box."""
    speed = np.hypot(velocities[:, 0], velocities[:, 1])
    std = np.sqrt(np.maximum(np.trace(covariances, axis1=1, axis2=2) / 2, 0))
    moving = speed > np.maximum(MIN_MOVING_SPEED, MOVING_STD * std)
    if not moving.any():
        doubled = np.exp(2j * of_boxes).mean()
        return np.full(len(speed), float(np.angle(doubled) / 2))
    rows = np.flatnonzero(moving)
    nearest = rows[np.clip(np.searchsorted(rows, np.arange(len(speed)), side="right") - 1, 0, None)]
    return np.asarray(np.arctan2(velocities[nearest, 1], velocities[nearest, 0]))


def true_north_offset(crs: str, lon_lat: np.ndarray) -> float:
    """Return how far grid north lies clockwise of true north at a place, in radians.

    Args:
        crs: of the map.
        lon_lat: (2,) degrees.
    """
    return grid_convergence(float(lon_lat[1]), float(lon_lat[0]), crs)


def compass_degrees(headings: np.ndarray, convergence: float) -> np.ndarray:
    """Return compass headings: degrees clockwise from true north.

    Args:
        headings: radians counter-clockwise from grid east.
        convergence: radians by which grid north lies clockwise of true north.
    """
    return np.asarray((90 - np.degrees(headings) + np.degrees(convergence)) % 360)


def iso_times(times: np.ndarray) -> list[str]:
    """Return ISO 8601 in UTC, to the millisecond.

    Args:
        times: (n,) int64 nanoseconds since 1970.
    """
    return [f"{np.datetime64(int(time), 'ns').astype('datetime64[ms]')}Z" for time in times]

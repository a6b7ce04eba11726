"""Errors of poses, lenses and clocks, estimated from what stands still.

A parked car that is seen from several places must be located at one. Where a compass is off it wanders as the drone
flies, where a height is off it drifts, where a clock is off it swings as the drone turns. With the errors ``b`` of unit
variance (`skyweave.locating.located`), an object that stands still at ``X`` was located at ``z`` with
``z + J b = X + noise``: least squares, in which the places are eliminated one by one (Schur complement, as in bundle
adjustment: Triggs et al., 2000). What moves is left out by consensus (MSAC: Torr and Zisserman, 2000): the errors
that one object alone would have are tried on all others.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.locating.located import NUM_CAMERA_ERRORS, LocatedDetections
from skyweave.locating.map_tracker import MapTrack, TrackPoint

MIN_INTERVAL_S = 1.0  # between two observations of an object: boxes repeat their errors
MAX_OBSERVATIONS = 40  # of an object
MIN_OBSERVATIONS = 3
STATIC_GATE = 3.0  # standard deviations beyond the mean of a chi-squared, under which an object may stand still
MAX_MEAN_SQUARE = 4.0  # that an object which moves costs
MAX_HYPOTHESES = 60
REFINEMENTS = 5
NUM_OBJECT_UNKNOWNS = 3  # place east and north, and the height of the object


@dataclass(frozen=True)
class ErrorEstimate:
    """What is known of the errors of cameras that saw the same ground.

    Attributes:
        means: (c, 8) errors of each camera in units of their standard deviations, to be added to its poses.
        covariance: (8 c + 1, 8 c + 1) of these and of the error of the elevation, in the same units.
        elevation: error of the ground's elevation in units of its standard deviation.
        num_static: objects that stood still.
    """

    means: np.ndarray
    covariance: np.ndarray
    elevation: float
    num_static: int

    @classmethod
    def none(cls, num_platforms: int) -> "ErrorEstimate":
        """Return that nothing is known but the standard deviations.

        Args:
            num_platforms: number of cameras.
        """
        size = num_platforms * NUM_CAMERA_ERRORS
        return cls(np.zeros((num_platforms, NUM_CAMERA_ERRORS)), np.eye(size + 1), 0.0, 0)


@dataclass(frozen=True)
class StaticObservations:
    """Where one object was located, again and again.

    Attributes:
        points: (n, 2) metres.
        by_errors: (n, 2, q) by the errors of all cameras and of the elevation, of unit variance.
        by_height: (n, 2) by the height of the object.
        noise: (n, 2, 2) covariance of what is independent from image to image.
        shared: (n, 2, 2) what is added, because all detections of an image share the jitter of its pose: so many
            together say of the errors what one does.
    """

    points: np.ndarray
    by_errors: np.ndarray
    by_height: np.ndarray
    noise: np.ndarray
    shared: np.ndarray


def observations_of(
    tracks: Sequence[MapTrack], located: dict[tuple[int, int], LocatedDetections], num_platforms: int
) -> list[StaticObservations]:
    """Gather where each object was located, at most once a second by a camera.

    Args:
        tracks: all, whether they move or not.
        located: by platform and number of the image.
        num_platforms: number of cameras.
    """
    chosen = [_spaced_points(track) for track in tracks]
    shared = Counter((point.platform, point.frame) for points in chosen for point in points)
    return [
        _observations(
            [(located[key], point.row, shared[key]) for point in points if (key := (point.platform, point.frame))],
            num_platforms,
        )
        for points in chosen
        if len(points) >= MIN_OBSERVATIONS
    ]


def estimate_errors(
    observations: Sequence[StaticObservations], num_platforms: int, before: ErrorEstimate | None = None
) -> ErrorEstimate:
    """Estimate the errors that make objects stand still that do.

    Args:
        observations: of objects, with the poses as corrected so far.
        num_platforms: number of cameras.
        before: what poses are corrected by so far; default: nothing.

    Returns:
        The calibration; with too few objects that stand still it is `before`, as uncertain as at first.
    """
    before = before or ErrorEstimate.none(num_platforms)
    applied = np.append(before.means.reshape(-1), before.elevation)
    candidates = [seen for seen in observations if _may_stand_still(seen)]
    if not candidates:
        return before
    sharp = [_eliminate(seen, seen.noise) for seen in candidates]
    dull = [_eliminate(seen, seen.noise + seen.shared) for seen in candidates]
    step = min((_solve([one], applied) for one in _hypotheses(sharp)), key=lambda errors: _cost(sharp, errors))
    step, static = _refine(sharp, step, applied)
    chosen = [one for one, still in zip(dull, static, strict=True) if still]
    step = _solve(chosen, applied)
    information = np.eye(len(applied)) + sum(one.information for one in chosen)
    total, size = applied + step, num_platforms * NUM_CAMERA_ERRORS
    covariance = np.linalg.inv(information)
    return ErrorEstimate(total[:size].reshape(num_platforms, -1), covariance, float(total[size]), len(chosen))


@dataclass(frozen=True)
class _Reduced:
    """What one object says of the errors, its place and height eliminated.

    Attributes:
        information: (q, q).
        pull: (q,).
        square: of the residuals, without errors.
        degrees: of freedom.
    """

    information: np.ndarray
    pull: np.ndarray
    square: float
    degrees: int

    def stands_still(self, errors: np.ndarray) -> bool:
        """Return whether an object stands still with some errors.

        Args:
            errors: (q,) in units of their standard deviations.
        """
        return self.mean_square(errors) <= 1.0 + STATIC_GATE * float(np.sqrt(2 / self.degrees))

    def mean_square(self, errors: np.ndarray) -> float:
        """Return the mean squared residual, in units of the noise, with some errors."""
        return float(self.square - 2 * self.pull @ errors + errors @ self.information @ errors) / self.degrees


def _hypotheses(reduced: Sequence[_Reduced]) -> list[_Reduced]:
    """Return the objects that say most of the errors: each is tried as the one that stands still."""
    return sorted(reduced, key=lambda one: -float(np.linalg.slogdet(np.eye(len(one.pull)) + one.information)[1]))[
        :MAX_HYPOTHESES
    ]


def _refine(sharp: Sequence[_Reduced], step: np.ndarray, applied: np.ndarray) -> tuple[np.ndarray, list[bool]]:
    """Return errors from all objects that stand still with them, from a first guess; and which did at last."""
    static: list[bool] = []
    for _ in range(REFINEMENTS):
        static = [one.stands_still(step) for one in sharp]
        step = _solve([one for one, still in zip(sharp, static, strict=True) if still], applied)
    return step, static


def _solve(reduced: Sequence[_Reduced], applied: np.ndarray) -> np.ndarray:
    """Return the errors, beyond those applied, with which objects stand still."""
    information = np.eye(len(applied)) + sum(one.information for one in reduced)
    return np.asarray(np.linalg.solve(information, sum((one.pull for one in reduced), -applied)))


def _cost(reduced: Sequence[_Reduced], errors: np.ndarray) -> float:
    """Return how badly errors explain that objects stand still, where one that moves costs no more than a bound."""
    return sum(min(one.mean_square(errors), MAX_MEAN_SQUARE) * one.degrees for one in reduced)


def _spaced_points(track: MapTrack) -> list[TrackPoint]:
    """Return points of a track that are far enough apart in time for their boxes to have other errors."""
    last: dict[int, float] = {}
    points = []
    for point in track.points:
        if point.time - last.get(point.platform, -np.inf) >= MIN_INTERVAL_S - 1e-6:
            last[point.platform] = point.time
            points.append(point)
    return points[:: -(-len(points) // MAX_OBSERVATIONS)]


def _observations(seen: list[tuple[LocatedDetections, int, int]], num_platforms: int) -> StaticObservations:
    """Join detections, each given by its image, its row, and how many of that image are used."""
    by_errors = np.zeros((len(seen), 2, num_platforms * NUM_CAMERA_ERRORS + 1))
    noise, shared_noise = np.zeros((2, len(seen), 2, 2))
    for number, (located, row, shared) in enumerate(seen):
        start = located.platform * NUM_CAMERA_ERRORS
        by_errors[number, :, start : start + NUM_CAMERA_ERRORS] = located.by_camera[row]
        by_errors[number, :, -1] = located.by_object[row, :, 0]
        box = located.by_box[row]
        noise[number] = located.white[row] + box @ box.T
        shared_noise[number] = (shared - 1) * located.jitter[row]
    return StaticObservations(
        np.array([located.points[row, :2] for located, row, _ in seen]),
        by_errors,
        np.array([located.by_object[row, :, 1] for located, row, _ in seen]),
        noise,
        shared_noise,
    )


def _eliminate(seen: StaticObservations, noise: np.ndarray) -> _Reduced:
    """Eliminate the place of an object, and its height, whose variance is one."""
    inverse = np.linalg.inv(noise)
    place = np.broadcast_to(-np.eye(2), (len(seen.points), 2, 2))
    unknown = np.concatenate([place, seen.by_height[..., None]], 2)
    middle = seen.points.mean(0)
    residual = seen.points - middle
    normal = np.einsum("nia,nij,njb->ab", unknown, inverse, unknown)
    normal[2, 2] += 1.0
    cross = np.einsum("niq,nij,nja->qa", seen.by_errors, inverse, unknown)
    full = np.einsum("niq,nij,njp->qp", seen.by_errors, inverse, seen.by_errors)
    right, right_unknown = (np.einsum("nia,nij,nj->a", by, inverse, residual) for by in (seen.by_errors, unknown))
    gain = np.linalg.solve(normal, np.column_stack([cross.T, right_unknown]))
    square = float(np.einsum("ni,nij,nj->", residual, inverse, residual) - right_unknown @ gain[:, -1])
    degrees = max(2 * len(seen.points) - NUM_OBJECT_UNKNOWNS, 1)
    return _Reduced(full - cross @ gain[:, :-1], -(right - cross @ gain[:, -1]), square, degrees)


def _may_stand_still(seen: StaticObservations) -> bool:
    """Return whether the errors that are possible explain that an object seems to move."""
    count = len(seen.points)
    design = np.concatenate([seen.by_errors, seen.by_height[..., None]], 2).reshape(2 * count, -1)
    covariance = design @ design.T
    for number in range(count):
        covariance[2 * number : 2 * number + 2, 2 * number : 2 * number + 2] += seen.noise[number]
    difference = np.kron(np.diff(np.eye(count), axis=0), np.eye(2))
    moved = difference @ seen.points.reshape(-1)
    square = moved @ np.linalg.solve(difference @ covariance @ difference.T, moved)
    degrees = len(moved)
    return bool(square <= degrees + STATIC_GATE * np.sqrt(2 * degrees))

"""Tracking on the map, where the motion of the camera vanishes: any number of cameras in one filter.

Whether a detection belongs to a track is decided by its distance in standard deviations (Mahalanobis), with the errors
that both share taken out: two detections of one camera are compared to a few pixels, those of two cameras to what both
their poses allow. Detections of high scores choose first, those of low scores only continue tracks (ByteTrack, arXiv
2110.06864). A track that nothing continues is predicted for a while, and found again within its grown ellipse.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.locating.ground_points import CAMERA_ERRORS
from skyweave.locating.located import NUM_BOX_ERRORS, NUM_CAMERA_ERRORS, NUM_OBJECT_ERRORS, LocatedDetections
from skyweave.locating.motion import MotionStates, correct_states, predict_states, start_states
from skyweave.locating.object_classes import object_class

CLOCK = CAMERA_ERRORS.index("clock")
NUM_PLATFORM_ERRORS = NUM_CAMERA_ERRORS + NUM_BOX_ERRORS
IMPOSSIBLE = 1e6  # cost of a pair that is none
CONFIRM_S = 2.0  # within which the detections that a track needs must be possible
MIN_IMAGES_UNSEEN = 3  # that a track outlives, however slowly they come
MIN_IMAGES_TENTATIVE = 1.5  # likewise before it counts: the next image, if it comes in time
CLASS_LOG_STD = 0.4  # by which the logarithms of the lengths of two classes that are confused differ


@dataclass(frozen=True)
class MapTrackerConfig:
    """Options of tracking on the map.

    Attributes:
        gate: squared Mahalanobis distance up to which a detection may continue a track; 13.8 leaves one in a thousand.
        start_score: lowest score of a detection that starts a track.
        continue_score: lowest score of a detection that continues one.
        confirm: detections after which a track counts.
        max_gap: seconds for which a track lives without a detection.
        max_tentative_gap: seconds likewise before it counts.
        box_memory: seconds in which the persistent error of boxes is forgotten.
        drift_time: seconds in which camera errors are forgotten.
    """

    gate: float = 13.8
    start_score: float = 0.4
    continue_score: float = 0.1
    confirm: int = 3
    max_gap: float = 4.0
    max_tentative_gap: float = 0.5
    box_memory: float = 2.0
    drift_time: float = 600.0

    def at_interval(self, seconds: float) -> "MapTrackerConfig":
        """Return options with which objects are followed through images that come slowly, such as photographs.

        Args:
            seconds: between images.
        """
        return replace(
            self,
            confirm=int(np.clip(CONFIRM_S / max(seconds, 1e-3), 1, self.confirm)),
            max_gap=max(self.max_gap, MIN_IMAGES_UNSEEN * seconds),
            max_tentative_gap=max(self.max_tentative_gap, MIN_IMAGES_TENTATIVE * seconds),
        )


@dataclass(frozen=True)
class TrackPoint:
    """A track at the time of one image.

    Attributes:
        time: seconds.
        platform: number of the camera.
        frame: number of the image.
        row: of the detection in that image's located detections.
        position: (2,) metres east and north.
        up: metres.
        covariance: (2, 2) of the position.
        velocity: (2,) metres per second.
        velocity_covariance: (2, 2).
    """

    time: float
    platform: int
    frame: int
    row: int
    position: np.ndarray
    up: float
    covariance: np.ndarray
    velocity: np.ndarray
    velocity_covariance: np.ndarray


@dataclass
class MapTrack:
    """One object over time.

    Attributes:
        number: identity, from 1.
        points: in order of time.
        class_scores: sum of the scores of its detections by class.
        log_sizes: of its detections: (3,) logarithms of metres.
        scores: of its detections.
    """

    number: int
    points: list[TrackPoint] = field(default_factory=list)
    class_scores: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    log_sizes: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    headings: list[float] = field(default_factory=list)

    @property
    def category(self) -> str:
        """Return the class of the highest sum of scores."""
        return max(self.class_scores, key=lambda name: self.class_scores[name])

    @property
    def last_time(self) -> float:
        """Return when it was last seen, in seconds."""
        return self.points[-1].time


class MapTracker:
    """Tracks of one place, from one or several cameras.

    Args:
        num_platforms: how many cameras there are.
        config: gates, scores and ages.
        error_covariance: (q, q) of the considered errors in units of their standard deviations, those of each camera
            and its boxes, then those of objects; default: independent and as uncertain as they were.
    """

    def __init__(
        self,
        num_platforms: int = 1,
        config: MapTrackerConfig | None = None,
        error_covariance: np.ndarray | None = None,
    ) -> None:
        self.config, self.num_platforms = config or MapTrackerConfig(), num_platforms
        self.num_errors = num_platforms * NUM_PLATFORM_ERRORS + NUM_OBJECT_ERRORS
        self.error_covariance = np.eye(self.num_errors) if error_covariance is None else error_covariance
        self.finished: list[MapTrack] = []
        self._tracks: list[MapTrack] = []
        self._states = MotionStates.empty(self.num_errors)
        self._time: float | None = None
        self._num_started = 0

    def update(self, located: LocatedDetections) -> np.ndarray:
        """Continue and start tracks with the detections of one image; images come in order of time.

        Args:
            located: detections of the image.

        Returns:
            (n,) numbers of the tracks of the detections; 0 for none.
        """
        self._predict(located.time)
        numbers = np.zeros(len(located), np.int64)
        scores = located.detections.scores
        by_errors = self._by_errors(located)
        free = np.ones(len(self._tracks), bool)
        for chosen in (scores >= self.config.start_score, scores < self.config.start_score):
            rows = np.flatnonzero(chosen & (scores >= self.config.continue_score) & (numbers == 0))
            tracks = np.flatnonzero(free)
            pairs = self._assign(located, by_errors, tracks, rows)
            self._continue(located, by_errors, pairs)
            for track, row in pairs:
                free[track], numbers[row] = False, self._tracks[track].number
        starting = np.flatnonzero((numbers == 0) & (scores >= self.config.start_score))
        self._start(located, by_errors, starting)
        numbers[starting] = [track.number for track in self._tracks[len(self._tracks) - len(starting) :]]
        return numbers

    def finish(self) -> list[MapTrack]:
        """Return all tracks that count, in order of their numbers."""
        self.finished += [track for track in self._tracks if self._is_confirmed(track)]
        self._tracks, self._states = [], MotionStates.empty(self.num_errors)
        return sorted(self.finished, key=lambda track: track.number)

    def active(self) -> list[MapTrack]:
        """Return the tracks that count and still live."""
        return [track for track in self._tracks if self._is_confirmed(track)]

    def _is_confirmed(self, track: MapTrack) -> bool:
        return len(track.points) >= self.config.confirm

    def _predict(self, time: float) -> None:
        """Bring all tracks to a time, and end those that nothing continued."""
        self._end_tracks(time)
        seconds = max(time - (time if self._time is None else self._time), 0.0)
        self._time = time
        if seconds > 0 and self._tracks:
            accelerations = np.array([object_class(track.category).acceleration for track in self._tracks])
            self._states = predict_states(self._states, seconds, accelerations, self._memory(seconds))

    def _end_tracks(self, time: float) -> None:
        """End the tracks that nothing continued."""
        ages = np.array([time - track.last_time for track in self._tracks])
        allowed = np.array([
            self.config.max_gap if self._is_confirmed(track) else self.config.max_tentative_gap
            for track in self._tracks
        ])  # fmt: skip
        alive = ages <= allowed
        self.finished += [
            track for track, lives in zip(self._tracks, alive, strict=True) if not lives and self._is_confirmed(track)
        ]
        self._tracks = [track for track, lives in zip(self._tracks, alive, strict=True) if lives]
        self._states = self._states.select(np.flatnonzero(alive))

    def _memory(self, seconds: float) -> np.ndarray:
        """Return the share of each considered error that stays over some seconds: (q,)."""
        rates = np.zeros(self.num_errors)
        drifting = CAMERA_ERRORS.index("focal")
        for number in range(self.num_platforms):
            start = number * NUM_PLATFORM_ERRORS
            rates[start : start + drifting] = 1 / self.config.drift_time
            rates[start + NUM_CAMERA_ERRORS : start + NUM_PLATFORM_ERRORS] = 1 / self.config.box_memory
        return np.asarray(np.exp(-seconds * rates))

    def _by_errors(self, located: LocatedDetections) -> np.ndarray:
        """Return (n, 2, q) how the places of detections move with all considered errors."""
        by_errors = np.zeros((len(located), 2, self.num_errors))
        start = located.platform * NUM_PLATFORM_ERRORS
        by_errors[..., start : start + NUM_CAMERA_ERRORS] = located.by_camera
        by_errors[..., start + NUM_CAMERA_ERRORS : start + NUM_PLATFORM_ERRORS] = located.by_box
        by_errors[..., -NUM_OBJECT_ERRORS:] = located.by_object
        return by_errors

    def _assign(
        self, located: LocatedDetections, by_errors: np.ndarray, tracks: np.ndarray, rows: np.ndarray
    ) -> list[tuple[int, int]]:
        """Return pairs of a track and a detection, of the lowest sum of costs."""
        if not len(tracks) or not len(rows):
            return []
        from scipy.optimize import linear_sum_assignment

        means, covariances, crosses = self._states.select(tracks).merged()
        by, points = by_errors[rows], located.points[rows, :2]
        noise = located.white[rows] + by @ self.error_covariance @ by.swapaxes(1, 2)
        shared = np.einsum("tiq,njq->tnij", crosses[:, :2], by, optimize=True)
        total = covariances[:, None, :2, :2] + noise + shared + shared.swapaxes(-1, -2)
        if self.num_platforms > 1:
            velocity = means[:, 2:4] * located.clock_std
            total = total + (velocity[:, :, None] * velocity[:, None])[:, None]
        innovation = points[None] - means[:, None, :2]
        distance = np.einsum("tni,tnij,tnj->tn", innovation, np.linalg.inv(total), innovation)
        cost = distance + np.log(np.linalg.det(total)) + self._class_costs(located, tracks, rows)
        cost = np.where(distance <= self.config.gate, cost, IMPOSSIBLE)
        chosen = zip(*linear_sum_assignment(cost), strict=True)
        return [(int(tracks[track]), int(rows[row])) for track, row in chosen if cost[track, row] < IMPOSSIBLE]

    def _class_costs(self, located: LocatedDetections, tracks: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return (t, n) how unlikely it is that one object is of both classes: by their lengths."""
        of_tracks = [self._tracks[track].category for track in tracks]
        of_rows = [located.detections.categories[row] for row in rows]
        lengths = [np.log([object_class(name).size[0] for name in names]) for names in (of_tracks, of_rows)]
        differ = np.array(of_tracks)[:, None] != np.array(of_rows)[None]
        return np.asarray(differ + np.square((lengths[0][:, None] - lengths[1]) / CLASS_LOG_STD))

    def _continue(self, located: LocatedDetections, by_errors: np.ndarray, pairs: list[tuple[int, int]]) -> None:
        if not pairs:
            return
        tracks, rows = np.array(pairs).T
        states = self._states.select(tracks)
        by = by_errors[rows]
        if self.num_platforms > 1:  # what moves is elsewhere, if the camera's clock is wrong
            velocities = states.merged()[0][:, 2:4]
            by = by.copy()
            by[:, :, located.platform * NUM_PLATFORM_ERRORS + CLOCK] -= velocities * located.clock_std
        corrected = correct_states(states, located.points[rows, :2], located.white[rows], by, self.error_covariance)
        self._states.replace_rows(tracks, corrected)
        self._note(located, [self._tracks[track] for track in tracks], rows, corrected)

    def _start(self, located: LocatedDetections, by_errors: np.ndarray, rows: np.ndarray) -> None:
        speeds = np.array([object_class(located.detections.categories[row]).speed for row in rows])
        states = start_states(
            located.points[rows, :2], located.white[rows], by_errors[rows], self.error_covariance, speeds
        )
        started = [MapTrack(self._num_started + number) for number in range(1, len(rows) + 1)]
        self._num_started += len(rows)
        self._tracks += started
        self._states = self._states.append(states)
        self._note(located, started, rows, states)

    def _note(self, located: LocatedDetections, tracks: list[MapTrack], rows: np.ndarray, states: MotionStates) -> None:
        """Add a point to each of some tracks."""
        means, covariances, _ = states.merged()
        for track, row, mean, covariance in zip(tracks, rows.tolist(), means, covariances, strict=True):
            score = float(located.detections.scores[row])
            track.class_scores[located.detections.categories[row]] += score
            track.scores.append(score)
            track.log_sizes.append(np.log(located.sizes[row]))
            track.headings.append(float(located.headings[row]))
            track.points.append(
                TrackPoint(
                    located.time,
                    located.platform,
                    located.frame,
                    row,
                    mean[:2],
                    float(located.points[row, 2]),
                    covariance[:2, :2],
                    mean[2:4],
                    covariance[2:4, 2:4],
                )
            )

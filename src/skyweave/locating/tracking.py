"""From boxes in images to tracks on the map: locate, track, calibrate by what stands still, and once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.core.progress import ReportProgress
from skyweave.detection.image_detections import ImageDetections
from skyweave.locating.camera_track import CameraSample, CameraTrack
from skyweave.locating.config import LocatingConfig
from skyweave.locating.located import NUM_CAMERA_ERRORS, NUM_OBJECT_ERRORS, LocatedDetections, locate_detections
from skyweave.locating.map_tracker import NUM_PLATFORM_ERRORS, MapTrack, MapTracker
from skyweave.locating.self_calibration import ErrorEstimate, estimate_errors, observations_of
from skyweave.telemetry.poses_over_time import NS_PER_S


@dataclass(frozen=True)
class SeenImage:
    """Boxes of one image.

    Attributes:
        frame: number of the image in its sequence.
        time: int64 nanoseconds on the clock of the camera's log.
        detections: in pixels.
    """

    frame: int
    time: int
    detections: ImageDetections


@dataclass(frozen=True)
class CameraStream:
    """Boxes of all images of one camera.

    Attributes:
        name: of the camera or its platform.
        track: its poses.
        images: in order of time.
        start: of the clock of its log on the common clock, nanoseconds.
    """

    name: str
    track: CameraTrack
    images: Sequence[SeenImage]
    start: int = 0


@dataclass(frozen=True)
class TrackingResult:
    """Tracks on the map and what they were made of.

    Attributes:
        crs: of the map.
        tracks: in order of their numbers; times in seconds on the common clock.
        located: by number of the camera and of the image.
        calibration: of the cameras.
        streams: that were tracked.
        has_utc: whether times count from 1970 UTC.
        ground: as it was given.
        elevation_std: of it, metres.
        notes: what the user should know.
    """

    crs: str
    tracks: list[MapTrack]
    located: Mapping[tuple[int, int], LocatedDetections]
    calibration: ErrorEstimate
    streams: Sequence[CameraStream]
    has_utc: bool
    ground: Ground
    elevation_std: float
    notes: tuple[str, ...] = field(default=())


def track_streams(
    streams: Sequence[CameraStream],
    ground: Ground,
    config: LocatingConfig,
    has_utc: bool = True,
    progress: ReportProgress | None = None,
) -> TrackingResult:
    """Locate and track what cameras saw on one map.

    Args:
        streams: of cameras in one reference system.
        ground: in it.
        config: options.
        has_utc: whether the common clock is UTC.
        progress: called with how far it is.
    """
    calibration = ErrorEstimate.none(len(streams))
    tracks, located = _track(streams, ground, config, calibration, progress)
    notes: list[str] = []
    for _ in range(config.calibration_rounds):
        estimated = estimate_errors(observations_of(tracks, located, len(streams)), len(streams), calibration)
        if estimated.num_static < config.min_static:
            notes.append(f"{estimated.num_static} objects stand still: too few to calibrate poses by")
            break
        calibration = estimated
        tracks, located = _track(streams, ground, config, calibration, progress)
    crs = streams[0].track.crs
    elevation_std = config.errors.elevation * float(np.sqrt(calibration.covariance[-1, -1]))
    return TrackingResult(crs, tracks, located, calibration, streams, has_utc, ground, elevation_std, tuple(notes))


def raise_ground(ground: Ground, metres: float) -> Ground:
    """Return the ground with other heights.

    Args:
        ground: level, or an elevation model.
        metres: that are added.
    """
    if isinstance(ground, ElevationModel):
        return replace(ground, heights=ground.heights + metres)
    return GroundPlane(float(ground.height(np.zeros((1, 2)))[0]) + metres)


def tracker_covariance(calibration: ErrorEstimate, num_platforms: int) -> np.ndarray:
    """Return the covariance (q, q) of all errors that tracks consider.

    Args:
        calibration: of the cameras and the elevation.
        num_platforms: number of cameras.
    """
    size = num_platforms * NUM_PLATFORM_ERRORS + NUM_OBJECT_ERRORS
    cameras = [np.arange(NUM_CAMERA_ERRORS) + number * NUM_PLATFORM_ERRORS for number in range(num_platforms)]
    rows = np.concatenate([*cameras, [num_platforms * NUM_PLATFORM_ERRORS]])
    covariance = np.eye(size)
    covariance[np.ix_(rows, rows)] = calibration.covariance
    return covariance


def _track(
    streams: Sequence[CameraStream],
    ground: Ground,
    config: LocatingConfig,
    calibration: ErrorEstimate,
    progress: ReportProgress | None,
) -> tuple[list[MapTrack], dict[tuple[int, int], LocatedDetections]]:
    raised = raise_ground(ground, calibration.elevation * config.errors.elevation)
    covariance = tracker_covariance(calibration, len(streams))
    tracker = MapTracker(len(streams), config.tracker.at_interval(max(map(_interval, streams))), covariance)
    samples = [_samples(stream, calibration.means[number]) for number, stream in enumerate(streams)]
    order = sorted(
        (stream.start + image.time, number, row)
        for number, stream in enumerate(streams)
        for row, image in enumerate(stream.images)
    )
    located: dict[tuple[int, int], LocatedDetections] = {}
    for done, (time, number, row) in enumerate(order):
        image, sample = streams[number].images[row], samples[number][row]
        if sample is None:
            continue
        points = locate_detections(
            image.detections, sample.state, raised, sample.factor, config.errors, config.boxes,
            time / NS_PER_S, number, image.frame,
        )  # fmt: skip
        located[number, image.frame] = points
        tracker.update(points)
        if progress is not None:
            progress("tracking", done + 1, len(order))
    return tracker.finish(), located


def _interval(stream: CameraStream) -> float:
    """Return the seconds between two images of a camera, in the median; 0 of one image."""
    steps = np.diff([image.time for image in stream.images])
    return float(np.median(steps)) / NS_PER_S if len(steps) else 0.0


def _samples(stream: CameraStream, correction: np.ndarray) -> list[CameraSample | None]:
    times = np.array([image.time for image in stream.images], np.int64)
    return stream.track.samples(times, correction) if len(times) else []

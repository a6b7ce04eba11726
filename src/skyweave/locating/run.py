"""``skyweave locate``: images, logs and detectors to tracks on the map, in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.geometry.camera_checks import check_ground_in_view
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.line_journal import LineJournal, fingerprint_of
from skyweave.core.outputs import is_same_file
from skyweave.core.progress import ReportProgress
from skyweave.detection.onnx_detector import DetectorConfig
from skyweave.locating.camera_track import CameraTrack
from skyweave.locating.config import LocatingConfig
from skyweave.locating.counting import read_count_shapes
from skyweave.locating.detecting import detect_images
from skyweave.locating.image_locator import open_detector
from skyweave.locating.image_sequence import ImageSequence, open_sequence
from skyweave.locating.track_table import TrackTable, tables_of
from skyweave.locating.tracking import CameraStream, SeenImage, TrackingResult, track_streams
from skyweave.locating.writers.base import TRACK_WRITERS, TrackOutput
from skyweave.telemetry import PosesOverTime, flight_crs
from skyweave.telemetry.assembly import assemble_poses
from skyweave.telemetry.flight_ground import (
    LEVEL_DATUMS,
    RASTER_DATUMS,
    choose_datum,
    elevation_of_zero,
    read_flight_ground,
)
from skyweave.telemetry.flight_place import check_one_place, check_place_of_images
from skyweave.telemetry.formats.photographs import photograph_samples, read_photographs
from skyweave.telemetry.log_completion import ANGLE_RULE, LogCompletion, camera_of, complete_log, parse_utc
from skyweave.telemetry.poses_over_time import NS_PER_S
from skyweave.telemetry.reading import ReadOptions, read_telemetry

DEFAULT_FORMATS = ("geojson", "csv", "kml", "mot", "report")
PHOTOGRAPHS = "photographs"  # format of a log
FIRST_IMAGE_NOTE = "the first image is taken to be of the first pose; give the UTC time of the first image with --start"
MAX_SPARE_S = 2.0  # by which a log may last longer than its images, if it is to begin with them
OUTPUT_NAMES = ("tracks", "boxes-", "counts.csv", "report.html", "annotated")  # beginnings of names of what is written


@dataclass(frozen=True)
class LocateRequest:
    """What to locate.

    Attributes:
        images: videos, folders of images or lists of frames, one a camera.
        telemetry: logs, one a camera.
        detectors: ONNX models or files of boxes: one for all, or one a camera.
        detector: options of the models.
        boxes_format: of files of boxes; None: by their suffix.
        rate: images a second; None: all of a video.
        completion: what the logs do not say.
        elevation: file of an elevation model; None: level ground.
        stated: standard deviations that the user states by name of `CAMERA_ERRORS`, in metres, radians, seconds.
        config: options of locating and tracking.
        formats: names in `TRACK_WRITERS`.
        count_shapes: GeoJSON of lines and areas over which tracks are counted.
        resume: take boxes that an earlier run has written.
        telemetry_format: of the logs; None: what each looks like.
        origin: latitude, longitude (degrees) and height above the ellipsoid (metres) at which a local frame begins,
            for logs and calibrations that know no fix.
    """

    images: Sequence[Path]
    telemetry: Sequence[Path]
    detectors: Sequence[Path]
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    boxes_format: str | None = None
    rate: float | None = None
    completion: LogCompletion = field(default_factory=LogCompletion)
    elevation: Path | None = None
    stated: np.ndarray = field(default_factory=lambda: np.full(8, np.nan))
    config: LocatingConfig = field(default_factory=LocatingConfig)
    formats: Sequence[str] = DEFAULT_FORMATS
    count_shapes: Path | None = None
    resume: bool = False
    telemetry_format: str | None = None
    origin: tuple[float, float, float] | None = None

    def uses_image_metadata(self, number: int) -> bool:
        """Return whether the telemetry of a camera is the EXIF and XMP of its photographs.

        Args:
            number: of the camera.
        """
        is_one = self.images[number].is_dir() and is_same_file(self.images[number], self.telemetry[number])
        return is_one and self.telemetry_format in (None, PHOTOGRAPHS)

    def open_camera(self, number: int) -> tuple[ImageSequence, PosesOverTime]:
        """Open the images and the log of a camera; photographs that are their own log are of the times that they state.

        Args:
            number: of the camera.
        """
        path = self.images[number]
        if not self.uses_image_metadata(number):
            options = ReadOptions(origin=self.origin, images=path.stem)
            log = read_telemetry(self.telemetry[number], self.telemetry_format, options)
            return open_sequence(path, self.rate), log
        photographs, notes = read_photographs(path)
        times = {photograph.metadata.path: photograph.time for photograph in photographs}
        log = assemble_poses(photograph_samples(photographs, path.name, notes))
        return open_sequence(path, self.rate, times), log


@dataclass(frozen=True)
class LocateReport:
    """What was done.

    Attributes:
        result: of tracking.
        tables: its tracks.
        files: that were written.
        notes: what the user should know.
    """

    result: TrackingResult
    tables: Sequence[TrackTable]
    files: Sequence[Path]
    notes: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        ellipses = np.concatenate([table.ellipses[:, 0] for table in self.tables]) if self.tables else np.zeros(0)
        calibration = self.result.calibration
        return {
            "tracks": len(self.tables),
            "points": int(sum(len(table) for table in self.tables)),
            "categories": _counts(self.tables),
            "median_ellipse_m": round(float(np.median(ellipses)), 3) if len(ellipses) else None,
            "static_objects": calibration.num_static,
            "files": [str(file) for file in self.files],
            "notes": list(self.notes),
        }


def locate(request: LocateRequest, folder: Path, progress: ReportProgress | None = None) -> LocateReport:
    """Detect, locate and track, and write the tracks.

    Args:
        request: what to locate.
        folder: where to write.
        progress: called with how far it is.

    Raises:
        ConfigError: numbers of videos, logs and detectors that do not fit.
        UnknownNameError: a format that nobody writes.
        DataError: what is wrong with a video, a log, or boxes.
        FileNotFoundError: what is not there.
    """
    _check_counts(request)
    _check_inputs(request, folder)
    formats = [*request.formats] if request.count_shapes is None else [*request.formats, "counts"]
    writers = [TRACK_WRITERS[name] for name in dict.fromkeys(formats)]
    sequences, read = zip(*map(request.open_camera, range(len(request.images))), strict=True)
    logs = [complete_log(log, request.completion) for log in read]
    _check_places(logs, request.images)
    clock = _common_clock(logs, request, sequences)
    crs = flight_crs(logs[0])
    shapes = [] if request.count_shapes is None else read_count_shapes(request.count_shapes, crs)
    ground, tracks, ground_notes = _ground_and_tracks(request, sequences, logs, crs)
    detectors = [open_detector(path, request.detector, request.boxes_format) for path in request.detectors]
    folder.mkdir(parents=True, exist_ok=True)
    streams, notes, names = [], [*clock.notes, *ground_notes], _camera_names(logs, request.images)
    for number, sequence in enumerate(sequences):
        camera, detector = tracks[number].camera, detectors[number % len(detectors)]
        schedule, times = sequence.schedule(), clock.image_times[number]
        notes += detector.check_images(schedule, (camera.rows, camera.columns))
        stamps = np.array([times + round(seconds * NS_PER_S) for _, seconds, _ in schedule], np.int64)
        _check_overlap(tracks[number], stamps, ground)
        journal = LineJournal(folder / f"boxes-{number + 1}.jsonl", _made_from(request, number), request.resume)
        seen = detect_images(sequence, detector, journal, progress)
        images = [SeenImage(frame, times + round(seconds * NS_PER_S), boxes) for frame, seconds, boxes in seen]
        streams.append(CameraStream(names[number], tracks[number], images, clock.starts[number]))
        notes += logs[number].notes
    result = track_streams(streams, ground, request.config, clock.has_utc, progress)
    tables = tables_of(result)
    output = TrackOutput(result, tables, sequences, shapes)
    files = [path for write in writers for path in write(output, folder)]
    return LocateReport(result, tables, files, [*notes, *result.notes, *_coverage_notes(streams, result)])


def _made_from(request: LocateRequest, number: int) -> str:
    """What the boxes of a camera depend on: its images, and the model with its options."""
    detector = request.detectors[number % len(request.detectors)]
    model = detector if detector.suffix == ".onnx" else None
    options = f"{request.detector} {request.rate} {request.boxes_format} {detector.name}"
    return fingerprint_of(options, [request.images[number], model, request.detector.names])


def _check_places(logs: Sequence[PosesOverTime], images: Sequence[Path]) -> None:
    """Refuse logs that lie elsewhere than their images and each other."""
    for log, path in zip(logs, images, strict=True):
        check_place_of_images(log, path)
    check_one_place(logs)


def _check_overlap(track: CameraTrack, times: np.ndarray, ground: Ground) -> None:
    """Refuse images of another time than the log's, and poses of which none sees the ground."""
    samples = [sample.state.geometry for sample in track.samples(times) if sample is not None]
    if samples:
        check_ground_in_view(samples, ground, track.poses.source, ANGLE_RULE)
        return
    seen, log = times[[0, -1]] / NS_PER_S, track.poses.seconds[[0, -1]]
    raise DataError(
        f"{track.poses.source}: none of its images has a pose: they are of {seen[0]:.1f} to {seen[1]:.1f} s, the log "
        f"of {log[0]:.1f} to {log[1]:.1f} s; give the UTC time of the first image with --start, or another log"
    )


def _camera_names(logs: Sequence[PosesOverTime], images: Sequence[Path]) -> list[str]:
    """Name cameras by their logs or videos; what is not unique is numbered, as files are named after it."""
    if len(logs) == 1:
        return [logs[0].platform or "camera"]
    names = [log.platform or path.stem for log, path in zip(logs, images, strict=True)]
    unique = len(set(names)) == len(names)
    return [name if unique else f"{name}-{number}" for number, name in enumerate(names, 1)]


@dataclass(frozen=True)
class _Clock:
    """How the clocks of videos and logs hang together.

    Attributes:
        image_times: of each camera, the first image's time on the clock of its log, nanoseconds.
        starts: of each camera, what is added to that for the common clock.
        has_utc: whether the common clock is UTC.
        notes: what was assumed.
    """

    image_times: list[int]
    starts: list[int]
    has_utc: bool
    notes: list[str]


def _common_clock(logs: Sequence[PosesOverTime], request: LocateRequest, sequences: Sequence[ImageSequence]) -> _Clock:
    """Find when the first image of each video was taken by the clock of its log."""
    has_utc = all(log.knows("utc") for log in logs)
    if len(logs) > 1 and not has_utc:
        logs[[log.knows("utc") for log in logs].index(False)].require("utc")
    first, starts, notes = [], [], []
    for number, log in enumerate(logs):
        epoch = int(log.epoch or 0) if has_utc else 0
        starts.append(epoch)
        if log.clock == "video":
            first.append(0)
        elif request.completion.start is not None and has_utc:
            first.append(parse_utc(request.completion.start) - epoch)
        else:
            first.append(int(log.times[0]))
            if not request.uses_image_metadata(number):
                notes.append(_begin_together(log, sequences[number]))
    return _Clock(first, starts, has_utc, notes)


def _begin_together(log: PosesOverTime, sequence: ImageSequence) -> str:
    """Return the note that images begin with their log; refuse it where the log goes on for longer than they do."""
    lasts, images_last = log.seconds[-1] - log.seconds[0], sequence.schedule()[-1][1]
    if log.knows("utc") and lasts > images_last + MAX_SPARE_S:
        raise DataError(
            f"{log.source} lasts {lasts:.0f} s and its images {images_last:.0f} s: of which part is not known; "
            "give the UTC time of the first image with --start"
        )
    return f"{log.source}: {FIRST_IMAGE_NOTE}"


def _check_counts(request: LocateRequest) -> None:
    """Refuse other than one log a camera, and one detector for all or one a camera."""
    cameras = len(request.images)
    if len(request.telemetry) != cameras:
        raise ConfigError(
            f"{cameras} videos and {len(request.telemetry)} logs: give --telemetry one log for each video"
        )
    if len(request.detectors) not in (1, cameras):
        raise ConfigError(f"{cameras} videos and {len(request.detectors)} detectors: give one for all, or one for each")


def _check_inputs(request: LocateRequest, folder: Path) -> None:
    """Refuse a folder whose files that are read are called as those that are written."""
    read = [*request.images, *request.telemetry, *request.detectors, request.elevation, request.completion.camera]
    for path in read:
        if path is not None and path.name.startswith(OUTPUT_NAMES) and path.resolve().parent == folder.resolve():
            raise ConfigError(f"-o {folder} would overwrite {path}, which is read; choose another folder")


def _ground_and_tracks(
    request: LocateRequest, sequences: Sequence[ImageSequence], logs: Sequence[PosesOverTime], crs: str
) -> tuple[Ground, list[CameraTrack], list[str]]:
    """Return the ground, cameras with their heights above the same zero, and notes on the ground."""
    usable = LEVEL_DATUMS if request.elevation is None else (*RASTER_DATUMS, "takeoff", "ground")
    datums = [choose_datum(log, usable) for log in logs]
    notes: list[str] = []
    if request.elevation is None:
        ground: Ground = GroundPlane(0.0)
        lifts = [0.0] * len(logs)
    else:
        ground = read_flight_ground(request.elevation, crs, list(zip(logs, datums, strict=True)), notes)
        lifts = [elevation_of_zero(log, datum, crs, ground) for log, datum in zip(logs, datums, strict=True)]
    errors = request.config.errors
    tracks = [
        CameraTrack(log, camera_of(log, request.completion, sequence.size), crs, datum, lift, errors, request.stated)
        for log, sequence, datum, lift in zip(logs, sequences, datums, lifts, strict=True)
    ]
    return ground, tracks, notes


def _coverage_notes(streams: Sequence[CameraStream], result: TrackingResult) -> list[str]:
    """Say of which images nothing could be located, because the log has no pose."""
    notes = [f"{stream.name}: no image has a box" for stream in streams if not any(map(_boxes_of, stream.images))]
    for number, stream in enumerate(streams):
        located = sum(key[0] == number for key in result.located)
        if located < len(stream.images):
            notes.append(f"{stream.name}: {len(stream.images) - located} of {len(stream.images)} images have no pose")
    return notes


def _boxes_of(image: SeenImage) -> int:
    return len(image.detections)


def _counts(tables: Sequence[TrackTable]) -> dict[str, int]:
    names = [table.category for table in tables]
    return {name: names.count(name) for name in sorted(set(names))}

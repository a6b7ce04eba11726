"""Cameras of an import to a scene of a recording, in the ordinary tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyweave.core.atomic_write import claim_folder, removed_when_broken_off
from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.camera_checks import check_ground_in_view
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.images.resampling import resample
from skyweave.core.line_journal import fingerprint_of
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.recordings.nuscenes import CaptureJournal, finish_recording, write_scene
from skyweave.recordings.recording import Capture, Frame, RecordedScene
from skyweave.telemetry.flight_ground import read_flight_ground
from skyweave.telemetry.flight_place import check_one_place
from skyweave.telemetry.importing.camera import ImportedCamera, open_camera
from skyweave.telemetry.importing.config import CameraImportConfig, ImportConfig
from skyweave.telemetry.importing.images import TimedImages, frame_number
from skyweave.telemetry.importing.labels import ImageLabels, read_labels
from skyweave.telemetry.importing.placed_labels import GroundObject, Keyframe, merge_objects, place_labels
from skyweave.telemetry.interpolation import interpolate_poses
from skyweave.telemetry.log_completion import ANGLE_RULE
from skyweave.telemetry.map_poses import flight_crs, project_poses
from skyweave.telemetry.poses_over_time import NS_PER_S

KEYFRAME_TOLERANCE = 0.99  # of an interval, that keyframes may follow each other by: images come on a grid of times
MIN_HEIGHT_M = 1.0  # above the ground, for the ground sample distance


@dataclass(frozen=True)
class ImportReport:
    """What was imported.

    Attributes:
        tables: folder of the recording's tables.
        frames: keyframes.
        captures: images by platform.
        objects: annotations.
        notes: by platform, what was assumed and estimated.
    """

    tables: Path
    frames: int
    captures: dict[str, int]
    objects: int
    notes: dict[str, list[str]]


def import_scene(
    config: ImportConfig,
    folder: Path,
    image_format: Literal["png", "jpg"] = "jpg",
    progress: Callable[[int, int], None] | None = None,
    resume: bool = False,
) -> ImportReport:
    """Import the images and logs of cameras as one scene of a recording.

    Args:
        config: what is imported.
        folder: of the recording.
        image_format: ``jpg`` or ``png``.
        progress: called with frames done and all frames.
        resume: keep the images that an earlier run of the same import has written, and those of this one if it breaks
            off.

    Raises:
        FileNotFoundError: images, a log or labels are not there.
        DataError: a log lacks what nobody supplies, cameras share no clock, or no image has a pose.
    """
    labels = {camera.platform: _read_labels(camera) for camera in config.cameras}
    estimate, with_elevation = config.align, config.elevation is not None
    cameras = [open_camera(camera, with_elevation=with_elevation, estimate=estimate) for camera in config.cameras]
    check_one_place([camera.poses for camera in cameras])
    crs = flight_crs(cameras[0].poses)
    ground, notes = _ground(config, cameras, crs)
    if cameras[0].poses.epoch is None and len(cameras) == 1:
        notes.append("nobody says when the images were taken: times count from the first one; --start gives its UTC")
    notes += [note for camera in cameras for note in _check_labels(camera, labels[camera.config.platform])]
    frames = _frames(config, cameras, labels, crs, ground, notes)
    description = f"imported from {', '.join(Path(camera.config.images).name for camera in cameras)}"
    scene = RecordedScene(config.scene, frames, crs, description, ground=ground)
    unless = CaptureJournal.file_name(config.scene) if resume else ""
    with claim_folder(folder), removed_when_broken_off(folder, unless):
        journal = CaptureJournal(folder, config.scene, _made_from(config, image_format), resume)
        write_scene(folder, scene, _categories(frames), image_format=image_format, journal=journal, progress=progress)
    by_platform = {camera.config.platform: [*camera.notes, *notes] for camera in cameras}
    world = {"imported": {camera.config.platform: _estimates(camera) for camera in cameras}}
    tables = finish_recording(folder, folder.name, {config.split: [config.scene]}, world=world)
    return ImportReport(tables, len(frames), _count_captures(cameras, frames), _count_objects(frames), by_platform)


def _made_from(config: ImportConfig, image_format: str) -> str:
    """What the images of the scene depend on."""
    files = [
        path for camera in config.cameras for path in (camera.images, camera.telemetry, camera.labels, camera.camera)
    ]
    return fingerprint_of(f"{config} {image_format}", [*files, config.elevation])


def _count_captures(cameras: Sequence[ImportedCamera], frames: Sequence[Frame]) -> dict[str, int]:
    platforms = [camera.config.platform for camera in cameras]
    return {platform: sum(platform in frame.captures for frame in frames) for platform in platforms}


def _categories(frames: Sequence[Frame]) -> list[str]:
    return sorted({name for frame in frames if frame.annotations for name in frame.annotations.categories})


def _count_objects(frames: Sequence[Frame]) -> int:
    return sum(len(frame.annotations.boxes) for frame in frames if frame.annotations)


def _read_labels(camera: CameraImportConfig) -> ImageLabels | None:
    return None if camera.labels is None else read_labels(Path(camera.labels), camera.labels_format)


def _check_labels(camera: ImportedCamera, labels: ImageLabels | None) -> list[str]:
    """Refuse labels of other images than a camera's; return what to note on them."""
    if labels is None:
        return []
    images = camera.images
    return labels.check_images([images.name_of(number) for number in range(len(images.seconds))], images.size)


def _ground(config: ImportConfig, cameras: Sequence[ImportedCamera], crs: str) -> tuple[Ground, list[str]]:
    """What lies under everything, and notes on it."""
    if config.elevation is None:
        return GroundPlane(0.0), ["the ground is taken as level, where heights count from"]
    notes: list[str] = []
    flights = [(camera.poses, camera.datum) for camera in cameras]
    return read_flight_ground(config.elevation, crs, flights, notes), notes


def _frames(
    config: ImportConfig,
    cameras: Sequence[ImportedCamera],
    labels: dict[str, ImageLabels | None],
    crs: str,
    ground: Ground,
    notes: list[str],
) -> list[Frame]:
    """Keyframes, each with the captures of the cameras that have an image and a pose then; what lacks one is noted."""
    step = round(config.interval * NS_PER_S)
    ticks: dict[int, dict[str, Capture]] = {}
    objects: dict[int, list[GroundObject]] = {}
    for camera, epoch in zip(cameras, _epochs(cameras), strict=True):
        platform = camera.config.platform
        numbers = _keyframe_numbers(camera.images, config.interval, labels[platform])
        keyframes = _keyframes(camera, numbers, epoch, crs, ground, config.max_columns)
        notes += _coverage_notes(camera, len(numbers), len(keyframes))
        geometries = [keyframe.capture.geometry for keyframe in keyframes]
        check_ground_in_view(geometries, ground, camera.poses.source, ANGLE_RULE)
        placed = place_labels(keyframes, labels[platform], ground)
        for number, keyframe in enumerate(keyframes):
            tick = keyframe.capture.time // step if len(cameras) > 1 else keyframe.capture.time
            if platform not in ticks.setdefault(tick, {}):
                ticks[tick][platform] = keyframe.capture
                if placed is not None:
                    objects.setdefault(tick, []).extend(placed[number])
    if not ticks:
        images, times = cameras[0].config.images, _describe_times(cameras[0])
        raise DataError(f"no image of {images} has a pose at its time: {times}; check --start and --offset")
    return [
        Frame(
            min(capture.time for capture in captures.values()),
            captures,
            merge_objects(objects[tick]) if tick in objects else None,
        )
        for tick, captures in sorted(ticks.items())
    ]


def _coverage_notes(camera: ImportedCamera, keyframes: int, placed: int) -> list[str]:
    if placed in (0, keyframes):  # without any it is an error
        return []
    lost = f"{keyframes - placed} of {keyframes} keyframes have no pose at their time and are left out"
    return [f"{lost} ({_describe_times(camera)})"]


def _describe_times(camera: ImportedCamera) -> str:
    seconds, log = camera.images.seconds, camera.poses.seconds
    step = f", every {np.median(np.diff(log)):.3g} s" if len(log) > 1 else ""
    return f"the images are of 0 to {seconds[-1]:.1f} s, the log of {log[0]:.1f} to {log[-1]:.1f} s{step}"


def _epochs(cameras: Sequence[ImportedCamera]) -> list[int]:
    """UTC nanoseconds of each camera's first image; a camera that is alone may do without."""
    if len(cameras) > 1:
        for camera in cameras:
            camera.poses.require("utc")
    return [camera.poses.epoch or 0 for camera in cameras]


def _keyframe_numbers(images: TimedImages, interval: float, labels: ImageLabels | None) -> list[int]:
    """Numbers of keyframes: of labelled images, of photographs, or every so often of a video."""
    if labels is not None:
        candidates = [n for n in range(len(images.seconds)) if labels.of_image(n, images.name_of(n)) is not None]
    elif images.dense:
        ticks = np.arange(0.0, float(images.seconds[-1]) + 1e-6, interval)
        candidates = [frame_number(images, second) for second in ticks]
    else:
        candidates = list(range(len(images.seconds)))
    kept: list[int] = []
    for number in candidates:
        if not kept or images.seconds[number] - images.seconds[kept[-1]] >= KEYFRAME_TOLERANCE * interval:
            kept.append(number)
    return kept


def _keyframes(
    camera: ImportedCamera, numbers: Sequence[int], epoch: int, crs: str, ground: Ground, max_columns: int
) -> list[Keyframe]:
    """Keyframes at the times at which the log has a pose."""
    seconds = camera.images.seconds[list(numbers)]
    sampled = interpolate_poses(camera.poses, np.round(seconds * NS_PER_S).astype(np.int64))
    whole = np.column_stack([sampled.places, sampled.heights[camera.datum].values, sampled.enu_from_camera])
    if not np.isfinite(whole).all(1).any():
        return []
    placed = project_poses(sampled, crs, camera.datum)
    intrinsics, platform = camera.camera, camera.config.platform
    if intrinsics.columns > max_columns:
        intrinsics = intrinsics.resized(round(intrinsics.rows * max_columns / intrinsics.columns), max_columns)
    keyframes = []
    for index, pose in zip(placed.indices.tolist(), placed.world_from_camera, strict=True):
        geometry = CameraGeometry(intrinsics, pose, crs, platform)
        load = partial(_load, camera.images, float(seconds[index]), geometry, ground)
        capture = Capture(platform, platform, epoch + int(sampled.times[index]), geometry, load)
        scale = intrinsics.columns / camera.camera.columns
        keyframes.append(Keyframe(capture, numbers[index], camera.images.name_of(numbers[index]), scale))
    return keyframes


def _load(images: TimedImages, seconds: float, geometry: CameraGeometry, ground: Ground) -> Observation:
    """Read and reduce one image."""
    pixels, _ = images.image_at(seconds)
    bands = pixels.transpose(2, 0, 1).astype(np.float32)
    size = (geometry.camera.rows, geometry.camera.columns)
    if bands.shape[1:] != size:
        bands, _ = resample(bands, None, size)
    below = float(np.nan_to_num(ground.height(geometry.position[None])[0]))
    height = max(float(geometry.position[2]) - below, MIN_HEIGHT_M)
    distance = height / float(geometry.camera.intrinsics[0, 0])
    return Observation.from_pixels(np.rint(bands), get_sensor("rgb"), distance, geometry=geometry)


def _estimates(camera: ImportedCamera) -> dict[str, Any]:
    """What is recorded beside the tables: how well the poses are known, and what was estimated of them."""
    std = np.sqrt(np.nanmedian(np.diagonal(camera.poses.covariance, axis1=1, axis2=2), axis=0))
    facts: dict[str, Any] = {
        "images": Path(camera.config.images).name,
        "log": camera.poses.source,
        "pose_std": {"position": std[:3].tolist(), "rotation": std[3:].tolist()},
        "height": camera.datum,
        "height_bias_std": camera.poses.heights[camera.datum].bias_std,
        "time_std": camera.poses.time_std,
        "notes": list(camera.notes),
    }
    if camera.alignment is not None:
        facts |= {
            "delay": camera.alignment.delay,
            "boresight": camera.alignment.boresight.tolist(),
            "boresight_std": camera.alignment.boresight_std.tolist(),
        }
    return facts

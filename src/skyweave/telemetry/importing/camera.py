"""One camera of an import: its images, and its poses on their clock."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.ground import GroundPlane
from skyweave.telemetry.angles import camera_orientations
from skyweave.telemetry.assembly import assemble_poses
from skyweave.telemetry.flight_ground import LEVEL_DATUMS, RASTER_DATUMS, choose_datum
from skyweave.telemetry.flight_place import check_place_of_images
from skyweave.telemetry.formats.photographs import photograph_samples, read_photographs
from skyweave.telemetry.importing.alignment import LogAlignment, align, choose_window, measure_motion
from skyweave.telemetry.importing.config import CameraImportConfig
from skyweave.telemetry.importing.images import FolderImages, TimedImages, VideoImages
from skyweave.telemetry.log_completion import LogCompletion, camera_of, check_height, complete_log, parse_utc
from skyweave.telemetry.map_poses import flight_crs
from skyweave.telemetry.poses_over_time import NS_PER_S, HeightDatum, Heights, PosesOverTime
from skyweave.telemetry.reading import ReadOptions, read_telemetry

CREATION_STD_S = 2.0  # of the time in a video's container: of its beginning or its end, in whole seconds
STANDING_STD = np.array([1.0, 1.0, 0.5, *np.radians([1.0, 1.0, 2.0])])  # of a camera that somebody measured in


@dataclass(frozen=True)
class ImportedCamera:
    """A camera, ready to be written.

    Attributes:
        config: what the user said of it.
        images: by time.
        poses: on the clock of the images, whole.
        camera: intrinsics at the size of the images.
        datum: which height is z.
        alignment: what was estimated; None where it was not.
        notes: what was assumed.
    """

    config: CameraImportConfig
    images: TimedImages
    poses: PosesOverTime
    camera: PinholeCamera
    datum: HeightDatum
    alignment: LogAlignment | None
    notes: tuple[str, ...]


def open_camera(config: CameraImportConfig, *, with_elevation: bool, estimate: bool) -> ImportedCamera:
    """Open a camera: read its log, complete it, bring it to the clock of the images, and align it.

    Args:
        config: of the camera.
        with_elevation: heights are over the sea or the ellipsoid, as those of an elevation model.
        estimate: the delay of the log and the boresight, unless the delay is given.

    Raises:
        FileNotFoundError: images or log are not there.
        DataError: the log lacks what nobody supplies; the message names the option.
    """
    images, poses, counts_from_start = _open(config)
    completion = LogCompletion(
        config.height,
        config.pitch,
        config.heading,
        config.field_of_view,
        None if config.camera is None else Path(config.camera),
        None,
    )
    poses = complete_log(poses, completion)
    datum = choose_datum(poses, RASTER_DATUMS if with_elevation else LEVEL_DATUMS)
    camera = camera_of(poses, completion, images.size)
    alignment, notes = None, list(poses.notes)
    if config.offset is not None:
        delay = round(config.offset * NS_PER_S)
        poses = replace(poses, times=poses.times - delay, epoch=None if poses.epoch is None else poses.epoch + delay)
    elif estimate and not config.stands and isinstance(images, VideoImages):
        alignment = _align(images, poses, camera, datum)
        poses = poses if alignment is None else alignment.apply(poses)
        notes.append(_describe(alignment))
    if config.start is not None and counts_from_start:
        poses = replace(poses, epoch=parse_utc(config.start))  # of the images, whatever the delay of the log
    return ImportedCamera(config, images, poses, camera, datum, alignment, tuple(notes))


def _open(config: CameraImportConfig) -> tuple[TimedImages, PosesOverTime, bool]:
    """Images, poses on their clock, and whether that clock is the images' own, whose UTC the user may state."""
    path = Path(config.images)
    if not path.exists():
        raise FileNotFoundError(f"there are no images {path}; check the name")
    if path.is_dir() and config.telemetry is None and not config.stands:
        return *_photographs(path, config), True
    images: TimedImages = FolderImages(path, config.rate) if path.is_dir() else VideoImages(path)
    if config.stands:
        return images, _standing_poses(config, images), True
    options = ReadOptions(config.channel, config.system, config.origin, path.stem)
    log = read_telemetry(config.telemetry or path, config.telemetry_format, options)
    check_place_of_images(log, path)
    return images, _on_image_clock(log, config, images), log.clock == "video"


def _photographs(folder: Path, config: CameraImportConfig) -> tuple[TimedImages, PosesOverTime]:
    photographs, notes = read_photographs(folder)
    images = FolderImages(folder, config.rate, {photo.metadata.path: photo.time for photo in photographs})
    poses = assemble_poses(photograph_samples(photographs, folder.name, notes))
    epoch = images.first if poses.clock == "utc" else None
    return images, replace(poses, times=poses.times - images.first, clock="video", epoch=epoch)


def _standing_poses(config: CameraImportConfig, images: TimedImages) -> PosesOverTime:
    """Poses of a camera that stands, one a second."""
    assert config.latitude is not None and config.longitude is not None and config.height is not None
    assert config.heading is not None and config.pitch is not None
    check_height(config.height)
    times = np.arange(-NS_PER_S, round((images.seconds[-1] + 2) * NS_PER_S), NS_PER_S, dtype=np.int64)
    n = len(times)
    heading, pitch = np.full(n, config.heading), np.full(n, -config.pitch)
    start = images.start if config.start is None else parse_utc(config.start)
    return PosesOverTime(
        source=config.images,
        times=times,
        clock="video",
        places=np.tile([config.latitude, config.longitude], (n, 1)),
        heights={"ground": Heights(np.full(n, config.height))},
        enu_from_camera=camera_orientations(heading, pitch, np.zeros(n)),
        enu_from_body=np.full((n, 4), np.nan),
        covariance=np.tile(np.diag(STANDING_STD**2), (n, 1, 1)),
        epoch=start,
        platform=config.platform,
        is_fixed=True,
    )


def _on_image_clock(log: PosesOverTime, config: CameraImportConfig, images: TimedImages) -> PosesOverTime:
    """The log with times since the first image."""
    start = None if config.start is None else parse_utc(config.start)
    if log.clock == "video":
        return log
    if start is None and images.start is not None and log.epoch is not None:
        note = "the video begins when its container says so, within seconds: --start gives the exact UTC time"
        log = replace(log, time_std=CREATION_STD_S, notes=(*log.notes, note))
        start = images.start
    if start is None or log.epoch is None:
        raise DataError(
            f"{log.source} counts time on a clock of its own ({log.clock}) and the images do not say when they were "
            "taken; give the UTC time of the first image with --start"
        )
    return replace(log, times=log.times + (log.epoch - start), clock="video", epoch=start)


def _align(images: VideoImages, poses: PosesOverTime, camera: PinholeCamera, datum: HeightDatum) -> LogAlignment | None:
    start = max(float(poses.seconds[0]), 0.0)
    seconds = choose_window(poses, start, min(float(poses.seconds[-1]), float(images.seconds[-1])))
    if len(seconds) < 3:
        return None
    pairs, columns = measure_motion(images.image_at, seconds.tolist())
    rows = max(round(camera.rows * columns / camera.columns), 1)
    ground = GroundPlane(0.0) if datum in LEVEL_DATUMS else GroundPlane(float(np.nanmin(poses.heights[datum].values)))
    return align(poses, camera.resized(rows, columns), ground, flight_crs(poses), datum, pairs)


def _describe(alignment: LogAlignment | None) -> str:
    if alignment is None:
        return "the delay of the log was not estimated: the images do not move as level ground under the poses would"
    angles, std = np.degrees(alignment.boresight), np.degrees(alignment.boresight_std)
    return (
        f"from the motion of {alignment.matches} patches: the log is {alignment.delay:+.2f} s off the images (+- "
        f"{alignment.delay_std:.2f}), the camera turned by {angles[0]:+.1f}, {angles[1]:+.1f} and {angles[2]:+.1f} "
        f"degrees about right, down and forward (+- {std[0]:.1f}, {std[1]:.1f}, {std[2]:.1f})"
    )

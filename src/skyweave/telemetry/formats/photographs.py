"""Photographs that say in EXIF and XMP where and how they were taken: a folder of them is a log of one pose a photo."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.telemetry.angles import body_orientations
from skyweave.telemetry.image_metadata.attitude import rotation_from_attitude, settle_conventions
from skyweave.telemetry.image_metadata.capture_time import order_times
from skyweave.telemetry.image_metadata.image_files import SUFFIXES, find_images
from skyweave.telemetry.image_metadata.intrinsics import camera_from_metadata
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata, read_metadata
from skyweave.telemetry.poses_over_time import HeightDatum, MissingTopic
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples

SAME_SECOND_NS = 1_000_000  # by which photos of one second are moved apart, so that each has a time of its own
MISSING: dict[MissingTopic, str] = {
    "position": "none of the photographs has a GPS position",
    "height": "none of the photographs has an altitude",
    "orientation": "the photographs say nothing of their gimbal",
    "heading": "the photographs say nothing of their heading",
    "utc": "the photographs have the camera's time, whose zone they do not say",
    "lens": "the photographs say nothing of their focal length",
}


@dataclass(frozen=True)
class Photograph:
    """One image of a sequence.

    Attributes:
        metadata: what it says of itself.
        time: nanoseconds since 1970, by the clock of the sequence.
        camera: of the pixels as stored; None where nothing is known of it.
    """

    metadata: PhotoMetadata
    time: int
    camera: PinholeCamera | None


class PhotographReader:
    """A photograph, or a folder of them."""

    description = "photographs with EXIF (a folder)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether this is an image, or a folder with images.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        if path.is_dir():
            return any(child.suffix.lower() in SUFFIXES for child in path.rglob("*"))
        return path.suffix.lower() in SUFFIXES

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read the metadata of photographs; pixels are not decoded.

        Args:
            path: a photograph, or a folder that is searched to any depth.
            options: not used.

        Raises:
            DataError: none of them can be read.
        """
        photographs, notes = read_photographs(path)
        return photograph_samples(photographs, path.name, notes)


def read_photographs(path: Path) -> tuple[list[Photograph], list[str]]:
    """Read a sequence of photographs in order of time.

    Args:
        path: a photograph, or a folder of them.

    Returns:
        The photographs, and notes on what was left out.

    Raises:
        DataError: none of them can be read, or states a time.
    """
    read: list[PhotoMetadata] = []
    skipped: list[str] = []
    for file in find_images([path]).values():
        try:
            metadata = read_metadata(file)
        except DataError as error:
            skipped.append(str(error))
            continue
        if metadata.time is None:
            skipped.append(f"{file.name} does not say when it was taken")
        else:
            read.append(metadata)
    if not read:
        reasons = "; ".join(skipped[:3]) or "it holds no images"
        raise DataError(f"{path}: no photograph of a sequence can be used: {reasons}")
    seconds = order_times([metadata.time for metadata in read])
    ordered = sorted(zip(seconds, read, strict=True), key=lambda pair: (pair[0], pair[1].path.name))
    photographs: list[Photograph] = []
    for second, metadata in ordered:
        earliest = photographs[-1].time + SAME_SECOND_NS if photographs else 0
        photographs.append(Photograph(metadata, max(round(second * 1e3) * 1_000_000, earliest), _camera(metadata)))
    notes = [f"{len(skipped)} photographs are left out: {skipped[0]}"] if skipped else []
    return photographs, notes


def photograph_samples(photographs: list[Photograph], source: str, notes: list[str]) -> LogSamples:
    """Return the telemetry of photographs.

    Args:
        photographs: in order of time.
        source: of them, for messages.
        notes: on how they were read.
    """
    metadata = [photograph.metadata for photograph in photographs]
    positions = np.array([_position(one) for one in metadata])
    views = [photograph.camera for photograph in photographs]
    fields_of_view = np.array([(np.nan, np.nan) if view is None else _field_of_view(view) for view in views])
    zoned = all(m.time is not None and m.time.utc_offset is not None for m in metadata)
    return LogSamples(
        source=source,
        times=np.array([photograph.time for photograph in photographs], np.int64),
        clock="utc" if zoned else "local",
        columns={
            "latitude": positions[:, 0],
            "longitude": positions[:, 1],
            "horizontal_std": np.array([m.horizontal_accuracy for m in metadata], float),
            "horizontal_fov": fields_of_view[:, 0],
            "vertical_fov": fields_of_view[:, 1],
        },
        heights=_heights(metadata),
        enu_from_camera=_orientations(metadata),
        enu_from_body=_headings(metadata),
        camera=views[0] if all(_is_same(view, views[0]) for view in views) else None,
        platform=metadata[0].camera,
        missing=MISSING,
        notes=(*notes, *dict.fromkeys(note for m in metadata for note in m.notes)),
    )


def _position(metadata: PhotoMetadata) -> tuple[float, float]:
    """Return latitude and longitude, NaN where a photograph does not say them or contradicts itself."""
    if metadata.latitude is None or metadata.longitude is None or "position" in metadata.contradictions:
        return np.nan, np.nan
    return metadata.latitude, metadata.longitude


def _camera(metadata: PhotoMetadata) -> PinholeCamera | None:
    try:
        return camera_from_metadata(metadata)[0]
    except DataError:
        return None


def _field_of_view(camera: PinholeCamera) -> tuple[float, float]:
    """Horizontal and vertical degrees."""
    size = np.array([camera.columns, camera.rows])
    across, down = np.degrees(2 * np.arctan(size / 2 / np.diag(camera.intrinsics)[:2]))
    return float(across), float(down)


def _is_same(camera: PinholeCamera | None, other: PinholeCamera | None) -> bool:
    if camera is None or other is None:
        return False
    same_size = (camera.rows, camera.columns) == (other.rows, other.columns)
    return (
        same_size and bool(np.allclose(camera.intrinsics, other.intrinsics)) and camera.distortion == other.distortion
    )


def _heights(metadata: list[PhotoMetadata]) -> dict[HeightDatum, np.ndarray]:
    above_ellipsoid = np.array([m.altitude if m.ellipsoid else None for m in metadata], float)
    above_sea = np.array([None if m.ellipsoid else m.altitude for m in metadata], float)
    return {
        "takeoff": np.array([m.relative_altitude for m in metadata], float),
        "ground": np.array([m.above_ground for m in metadata], float),
        "sea_level": above_sea,
        "ellipsoid": above_ellipsoid,
    }


def _orientations(metadata: list[PhotoMetadata]) -> np.ndarray:
    """Orientations of the cameras (n, 4) of the pixels as stored; NaN where a photograph does not say."""
    stated = {
        str(m.path): m.attitude for m in metadata if m.attitude is not None and "attitude" not in m.contradictions
    }
    attitudes = stated | settle_conventions(stated, {str(m.path): m.camera for m in metadata})
    unknown = np.full(4, np.nan)
    rows = [
        quaternion_from_rotation(rotation_from_attitude(attitude, m.orientation))
        if (attitude := attitudes.get(str(m.path))) is not None
        else unknown
        for m in metadata
    ]
    return np.stack(rows)


def _headings(metadata: list[PhotoMetadata]) -> np.ndarray:
    """Orientations of level aircraft with the headings that photographs state (n, 4)."""
    heading = np.array([m.flight_yaw for m in metadata], float)
    return body_orientations(heading, np.zeros_like(heading), np.zeros_like(heading))

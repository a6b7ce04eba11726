"""A folder of pictures to photos on the map, each by its own pose, with what was assumed and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.data.elevation import read_elevation
from skyweave.orthomosaic.intrinsics import Calibration, camera_from_metadata
from skyweave.orthomosaic.metadata import Attitude, PhotoMetadata, read_metadata
from skyweave.orthomosaic.photo import Photo, PoseStd, world_from_camera
from skyweave.orthomosaic.poses import Poses
from skyweave.orthomosaic.utm_zone import UtmZone, find_utm_zone

SUFFIXES = {".jpg", ".jpeg", ".tif", ".tiff", ".png", ".webp"}
MIN_HEIGHT_M = 2.0  # metres; a picture from lower was taken on the ground
MAX_DISTANCE_M = 20_000.0  # metres from the middle of a flight
DEFAULT_HEIGHT_M = 50.0  # metres; where nothing is known, until the overlaps tell


@dataclass(frozen=True)
class Flight:
    """Photos over one ground.

    Attributes:
        zone: the map's reference system.
        photos: those with a place.
        ground: plane or elevation model, in the frame of the photos' altitudes.
        height_source: what the height above ground rests on: ``given``, ``poses``, ``take-off``, ``elevation``, or
            ``unknown``: a guess that the overlaps must replace.
        height_std: standard deviation of that height, the same error for all photos, as a share of it.
        skipped: pictures left out, and why.
        notes: what was assumed.
    """

    zone: UtmZone
    photos: tuple[Photo, ...]
    ground: Ground
    height_source: str
    height_std: float
    skipped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Return the median height of the cameras above the ground, metres."""
        points = np.array([photo.position for photo in self.photos])
        return float(np.nanmedian(points[:, 2] - self.ground.height(points)))


def find_images(sources: Sequence[str | Path]) -> dict[str, Path]:
    """Find images by name: files as given, folders searched to any depth, in the order of their names.

    Args:
        sources: files and folders.

    Raises:
        FileNotFoundError: a source does not exist, or there is no image in any of them.
    """
    images_by_name: dict[str, Path] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise FileNotFoundError(f"there is no picture or folder {source}")
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        for file in files:
            if (file.suffix.lower() in SUFFIXES or file == source) and not file.name.startswith("."):
                name = file.relative_to(source).as_posix() if source.is_dir() else file.name
                images_by_name[name if name not in images_by_name else file.as_posix()] = file
    if not images_by_name:
        raise FileNotFoundError(
            f"no pictures ({', '.join(sorted(SUFFIXES))}) in {', '.join(str(source) for source in sources)}"
        )
    return images_by_name


def read_flight(
    images: dict[str, Path],
    *,
    poses: Poses | None = None,
    calibration: Calibration | None = None,
    elevation: str | Path | None = None,
    height: float | None = None,
    horizontal_std: float | None = None,
) -> Flight:
    """Place every picture by its metadata.

    Args:
        images: by name, from `find_images`.
        poses: replaces what pictures say of themselves.
        calibration: replaces the focal length of every picture.
        elevation: raster of ground heights; without it the ground is level.
        height: metres above ground of the median picture; replaces every altitude but for their differences.
        horizontal_std: metres that GPS positions are off, one standard deviation.

    Raises:
        ValueError: no picture can be placed; the message says why for each of the first few.
    """
    if height is not None and not (np.isfinite(height) and height >= MIN_HEIGHT_M):
        raise DataError(f"height above ground {height} must be metres >= {MIN_HEIGHT_M:g}")
    notes: list[str] = []
    if poses is not None:
        known = sum(path.name in poses.images for path in images.values())
        if not known:
            raise DataError(
                f"the file of poses names none of the pictures: it has {next(iter(poses.images), 'nothing')}, they are "
                f"{next(iter(images.values())).name} and so on"
            )
        if known < len(images):
            notes.append(f"{len(images) - known} of {len(images)} pictures are not in the file of poses")
    read, skipped = _read(images, poses, calibration)
    _refuse_nothing(read, skipped)
    far = _far(read)
    if len(far) < len(read):
        skipped |= far
        read = {name: metadata for name, metadata in read.items() if name not in far}
    zone = find_utm_zone(
        np.array([[photo.longitude, photo.latitude] for photo in read.values()], np.float64),
    )
    positions = zone.project([(photo.longitude, photo.latitude) for photo in read.values()])
    altitudes, ground, source, std = _altitudes(list(read.values()), positions, zone, poses, elevation, height, notes)
    attitudes = _attitudes(read, positions, zone, notes)
    photos = []
    for (name, metadata), xy, z, (attitude, yaw_source) in zip(
        read.items(), positions, altitudes, attitudes, strict=True
    ):
        camera, focal_source = camera_from_metadata(metadata, calibration)
        convergence = zone.convergence(metadata.longitude or 0.0, metadata.latitude or 0.0)
        pose = world_from_camera(np.array([*xy, z]), attitude, convergence, metadata.orientation)
        photo = Photo(
            name,
            str(metadata.path),
            CameraGeometry(camera, pose, zone.crs, name),
            _position_std(metadata, yaw_source, horizontal_std),
            yaw_source,
            focal_source,
        )
        reason = _unusable(photo, ground)
        if reason:
            skipped[name] = reason
        else:
            photos.append(photo)
    _refuse_nothing(photos, skipped)
    sources = sorted({photo.focal_source for photo in photos})
    notes.append(f"focal length from: {', '.join(sources)}")
    return Flight(zone, tuple(photos), ground, source, std, skipped, tuple(notes))


def set_height(flight: Flight, height: float) -> Flight:
    """Return the flight with its level ground moved so that the median camera is at a height above it.

    Args:
        flight: over level ground.
        height: metres.
    """
    lowered = float(np.median([photo.position[2] for photo in flight.photos])) - height
    return replace(flight, ground=GroundPlane(lowered), height_source="overlaps", height_std=0.05)


def drop_photos(flight: Flight, reasons: dict[str, str]) -> Flight:
    """Return the flight without some photos.

    Args:
        flight: with these photos.
        reasons: why each is left out, by its name.

    Raises:
        DataError: no photo is left.
    """
    photos = tuple(photo for photo in flight.photos if photo.name not in reasons)
    skipped = {**flight.skipped, **reasons}
    _refuse_nothing(photos, skipped)
    return replace(flight, photos=photos, skipped=skipped)


def _far(read: dict[str, PhotoMetadata]) -> dict[str, str]:
    """Photos far from the others: their positions are wrong, or they belong to another map."""
    places = np.array([[photo.longitude, photo.latitude] for photo in read.values()], np.float64)
    middle = np.median(places, axis=0)
    metres = (places - middle) * 111_320.0 * (np.cos(np.radians(middle[1])), 1.0)
    return {
        name: f"lies {np.hypot(*offset) / 1000:.0f} km from the others; map it by itself"
        for name, offset in zip(read, metres, strict=True)
        if np.hypot(*offset) > MAX_DISTANCE_M
    }


def _read(
    images: dict[str, Path], poses: Poses | None, calibration: Calibration | None
) -> tuple[dict[str, PhotoMetadata], dict[str, str]]:
    read, skipped = {}, {}
    for name, path in images.items():
        try:
            metadata = read_metadata(path)
            metadata = metadata if poses is None else poses.apply(metadata)
            camera_from_metadata(metadata, calibration)
        except ValueError as error:
            skipped[name] = str(error)
            continue
        if metadata.latitude is None or metadata.longitude is None:
            skipped[name] = "has no GPS position"
        else:
            read[name] = metadata
    return read, skipped


def _refuse_nothing(remaining: Sequence[Photo] | dict[str, PhotoMetadata], skipped: dict[str, str]) -> None:
    if remaining:
        return
    reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    raise DataError(f"none of {len(skipped)} pictures can be placed ({reasons}{more}); give their poses with --poses")


def _altitudes(
    photos: list[PhotoMetadata],
    positions: np.ndarray,
    zone: UtmZone,
    poses: Poses | None,
    elevation: str | Path | None,
    height: float | None,
    notes: list[str],
) -> tuple[np.ndarray, Ground, str, float]:
    """Altitude of every camera, the ground in the same frame, what that rests on, and its spread as a share."""
    above_sea = np.array([np.nan if p.altitude is None else p.altitude for p in photos])
    above_start = np.array([np.nan if p.relative_altitude is None else p.relative_altitude for p in photos])
    started = bool(np.isfinite(above_start).all() and np.median(above_start) >= MIN_HEIGHT_M)
    # differences between photos: the barometer's are better than the receiver's
    shape = above_start if started else np.where(np.isfinite(above_sea), above_sea, np.nanmedian([*above_sea, 0.0]))
    if elevation is not None:
        voids: list[str] = []
        ground = read_elevation(elevation, zone.crs, _around(positions), voids)
        notes += voids
        under = ground.height(positions)
        known = np.isfinite(under)
        if not known.any():
            reason = "".join(f"; {void}" for void in voids)
            raise DataError(f"{elevation} does not cover the place of any picture; choose one that does{reason}")
        if height is not None:
            return shape - np.median(shape[known]) + np.median(under[known]) + height, ground, "given", 0.03
        if started:
            start = int(np.flatnonzero(known)[0])
            notes.append(
                f"altitudes count from the ground under {photos[start].path.name}, taken for the take-off point"
            )
            return above_start + under[start], ground, "elevation", 0.1
        if np.isfinite(above_sea).all():
            notes.append("altitudes above sea level are used as they are; drones are often tens of metres off")
            return above_sea, ground, "elevation", 0.3
        raise DataError("pictures state no altitude; give the height above ground with --height METRES")
    base = float(np.median(shape))
    if height is not None:
        return shape, GroundPlane(base - height), "given", 0.03
    if poses is not None and poses.ground_altitude is not None and np.isfinite(above_sea).all():
        return above_sea, GroundPlane(poses.ground_altitude), "poses", 0.05
    if started:
        notes.append("the ground is taken to be level with the take-off point")
        offset = float(np.median(above_sea - above_start)) if np.isfinite(above_sea).all() else 0.0
        return above_start + offset, GroundPlane(offset), "take-off", 0.1
    return shape, GroundPlane(base - DEFAULT_HEIGHT_M), "unknown", 1.0


def _around(positions: np.ndarray) -> tuple[float, float, float, float]:
    margin = 500.0  # metres; farther than any usable view from drone heights
    low, high = positions.min(0) - margin, positions.max(0) + margin
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _attitudes(
    photos: dict[str, PhotoMetadata], positions: np.ndarray, zone: UtmZone, notes: list[str]
) -> list[tuple[Attitude, str]]:
    """Attitude of each and what its heading was taken from."""
    track = _track(list(photos.values()), positions)
    result: list[tuple[Attitude, str]] = []
    assumed: dict[str, list[str]] = {}
    for (name, photo), course in zip(photos.items(), track, strict=True):
        if photo.attitude is not None:
            result.append((photo.attitude, "gimbal"))
            continue
        convergence = zone.convergence(photo.longitude or 0.0, photo.latitude or 0.0)
        if photo.flight_yaw is not None:
            yaw, source = photo.flight_yaw, "aircraft"
        elif np.isfinite(course):
            yaw, source = float(course) + convergence, "track"
        else:
            yaw, source = 0.0, "none"
        result.append((Attitude(yaw, -90.0, 0.0), source))
        assumed.setdefault(source, []).append(name)
    words = {"aircraft": "the aircraft's heading", "track": "the direction of flight", "none": "north"}
    for source, names in assumed.items():
        notes.append(
            f"{len(names)} pictures say nothing of their gimbal ({names[0]}{', ..' if len(names) > 1 else ''}): taken "
            f"to look straight down, their top towards {words[source]} unless the overlaps tell otherwise"
        )
    return result


def _track(photos: list[PhotoMetadata], positions: np.ndarray) -> np.ndarray:
    """Grid course at each picture in degrees, from the longer of the legs before and after it; NaN where it hovers."""
    order = sorted(range(len(photos)), key=lambda k: (photos[k].time or 0.0, photos[k].path.name))
    courses = np.full(len(photos), np.nan)
    for place, k in enumerate(order):
        legs = [positions[order[place + 1]] - positions[k]] if place + 1 < len(order) else []
        legs += [positions[k] - positions[order[place - 1]]] if place else []
        # at the end of a strip the shorter leg is the one along it, the longer one may be the turn
        legs = [leg for leg in legs if np.hypot(*leg) > 2.0]
        if legs:
            leg = min(legs, key=lambda leg: float(np.hypot(*leg)))
            courses[k] = np.degrees(np.arctan2(leg[0], leg[1])) % 360
    return courses


def _position_std(photo: PhotoMetadata, yaw_source: str, horizontal: float | None) -> PoseStd:
    accuracy = photo.horizontal_accuracy
    metres = horizontal if horizontal is not None else min(max(accuracy, 0.02), 10.0) if accuracy is not None else 2.0
    if yaw_source == "gimbal":
        return PoseStd(metres)
    yaw = np.radians(10.0 if yaw_source == "aircraft" else 20.0)
    return PoseStd(metres, yaw=float(yaw), tilt=float(np.radians(4.0)))


def _unusable(photo: Photo, ground: Ground) -> str | None:
    below = ground.height(photo.position[None])[0]
    if np.isfinite(below) and photo.position[2] - below < MIN_HEIGHT_M:
        return f"stands {photo.position[2] - below:.1f} m above the ground; taken before take-off, or a wrong altitude"
    seen = np.isfinite(photo.footprint(ground)[..., 0])
    if seen.any():
        return None
    if isinstance(ground, ElevationModel) and np.isfinite(photo.footprint(GroundPlane(ground._range[0]))[..., 0]).any():
        return "looks where the elevation model does not reach"
    return "looks at or above the horizon"

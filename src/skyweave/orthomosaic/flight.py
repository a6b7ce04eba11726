"""A folder of pictures to photos on the map, each by its own pose, with what was assumed and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.data.elevation import read_elevation
from skyweave.orthomosaic.intrinsics import Calibration, camera_of
from skyweave.orthomosaic.metadata import Attitude, PhotoMetadata, read_metadata
from skyweave.orthomosaic.photo import Photo, Spread, world_from_camera
from skyweave.orthomosaic.poses import Poses
from skyweave.orthomosaic.utm_zone import Zone, zone_of

SUFFIXES = {".jpg", ".jpeg", ".tif", ".tiff", ".png", ".webp"}
LEAST_HEIGHT = 2.0  # metres; a picture from lower was taken on the ground
FARTHEST = 20_000.0  # metres from the middle of a flight
UNKNOWN_HEIGHT = 50.0  # metres; where nothing is known, until the overlaps tell


@dataclass(frozen=True)
class Flight:
    """Photos over one ground.

    Attributes:
        zone: the map's reference system.
        photos: those with a place.
        ground: plane or elevation model, in the frame of the photos' altitudes.
        height_source: what the height above ground rests on: ``given``, ``poses``, ``take-off``, ``elevation``, or
            ``unknown``: a guess that the overlaps must replace.
        height_spread: standard deviation of that height, the same error for all photos, as a share of it.
        skipped: pictures left out, and why.
        notes: what was assumed.
    """

    zone: Zone
    photos: tuple[Photo, ...]
    ground: Ground
    height_source: str
    height_spread: float
    skipped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Median height of the cameras above the ground, metres."""
        points = np.array([photo.position for photo in self.photos])
        return float(np.nanmedian(points[:, 2] - self.ground.height(points)))


def find_pictures(sources: Sequence[str | Path]) -> dict[str, Path]:
    """Pictures by name: files as given, folders searched to any depth, in the order of their names.

    Raises:
        FileNotFoundError: a source does not exist, or there is no picture in any of them.
    """
    found: dict[str, Path] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise FileNotFoundError(f"there is no picture or folder {source}")
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        for file in files:
            if (file.suffix.lower() in SUFFIXES or file == source) and not file.name.startswith("."):
                name = file.relative_to(source).as_posix() if source.is_dir() else file.name
                found[name if name not in found else file.as_posix()] = file
    if not found:
        raise FileNotFoundError(
            f"no pictures ({', '.join(sorted(SUFFIXES))}) in {', '.join(str(source) for source in sources)}"
        )
    return found


def read_flight(
    pictures: dict[str, Path],
    *,
    poses: Poses | None = None,
    calibration: Calibration | None = None,
    elevation: str | Path | None = None,
    height: float | None = None,
    horizontal_spread: float | None = None,
) -> Flight:
    """Place every picture by its metadata.

    Args:
        pictures: by name, from `find_pictures`.
        poses: replaces what pictures say of themselves.
        calibration: replaces the focal length of every picture.
        elevation: raster of ground heights; without it the ground is level.
        height: metres above ground of the median picture; replaces every altitude but for their differences.
        horizontal_spread: metres that GPS positions are off, one standard deviation.

    Raises:
        ValueError: no picture can be placed; the message says why for each of the first few.
    """
    if height is not None and not (np.isfinite(height) and height >= LEAST_HEIGHT):
        raise DataError(f"height above ground {height} must be metres >= {LEAST_HEIGHT:g}")
    notes: list[str] = []
    if poses is not None:
        known = sum(path.name in poses.images for path in pictures.values())
        if not known:
            raise DataError(
                f"the file of poses names none of the pictures: it has {next(iter(poses.images), 'nothing')}, they are "
                f"{next(iter(pictures.values())).name} and so on"
            )
        if known < len(pictures):
            notes.append(f"{len(pictures) - known} of {len(pictures)} pictures are not in the file of poses")
    read, skipped = _read(pictures, poses, calibration)
    _refuse_nothing(read, skipped)
    far = _far(read)
    if len(far) < len(read):
        skipped |= far
        read = {name: metadata for name, metadata in read.items() if name not in far}
    zone = zone_of(
        np.array([[photo.longitude, photo.latitude] for photo in read.values()], np.float64),
    )
    positions = zone.project([(photo.longitude, photo.latitude) for photo in read.values()])
    altitudes, ground, source, spread = _altitudes(
        list(read.values()), positions, zone, poses, elevation, height, notes
    )
    attitudes = _attitudes(read, positions, zone, notes)
    photos = []
    for (name, metadata), xy, z, (attitude, yaw_source) in zip(
        read.items(), positions, altitudes, attitudes, strict=True
    ):
        camera, focal_source = camera_of(metadata, calibration)
        convergence = zone.convergence(metadata.longitude or 0.0, metadata.latitude or 0.0)
        pose = world_from_camera(np.array([*xy, z]), attitude, convergence, metadata.orientation)
        photo = Photo(
            name,
            str(metadata.path),
            CameraGeometry(camera, pose, zone.crs, name),
            _spread(metadata, yaw_source, horizontal_spread),
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
    return Flight(zone, tuple(photos), ground, source, spread, skipped, tuple(notes))


def at_height(flight: Flight, height: float) -> Flight:
    """The flight with its level ground moved so that the median camera is this high above it."""
    lowered = float(np.median([photo.position[2] for photo in flight.photos])) - height
    return replace(flight, ground=GroundPlane(lowered), height_source="overlaps", height_spread=0.05)


def without(flight: Flight, reasons: dict[str, str]) -> Flight:
    """The flight without some photos, by name, and why.

    Raises:
        ValueError: none is left.
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
        if np.hypot(*offset) > FARTHEST
    }


def _read(
    pictures: dict[str, Path], poses: Poses | None, calibration: Calibration | None
) -> tuple[dict[str, PhotoMetadata], dict[str, str]]:
    read, skipped = {}, {}
    for name, path in pictures.items():
        try:
            metadata = read_metadata(path)
            metadata = metadata if poses is None else poses.apply(metadata)
            camera_of(metadata, calibration)
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
    zone: Zone,
    poses: Poses | None,
    elevation: str | Path | None,
    height: float | None,
    notes: list[str],
) -> tuple[np.ndarray, Ground, str, float]:
    """Altitude of every camera, the ground in the same frame, what that rests on, and its spread as a share."""
    above_sea = np.array([np.nan if p.altitude is None else p.altitude for p in photos])
    above_start = np.array([np.nan if p.relative_altitude is None else p.relative_altitude for p in photos])
    started = bool(np.isfinite(above_start).all() and np.median(above_start) >= LEAST_HEIGHT)
    # differences between photos: the barometer's are better than the receiver's
    shape = above_start if started else np.where(np.isfinite(above_sea), above_sea, np.nanmedian([*above_sea, 0.0]))
    if elevation is not None:
        ground = read_elevation(elevation, zone.crs, _around(positions))
        under = ground.height(positions)
        known = np.isfinite(under)
        if not known.any():
            raise DataError(f"{elevation} does not cover the place of any picture; choose one that does")
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
    return shape, GroundPlane(base - UNKNOWN_HEIGHT), "unknown", 1.0


def _around(positions: np.ndarray) -> tuple[float, float, float, float]:
    margin = 500.0  # metres; farther than any usable view from drone heights
    low, high = positions.min(0) - margin, positions.max(0) + margin
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _attitudes(
    photos: dict[str, PhotoMetadata], positions: np.ndarray, zone: Zone, notes: list[str]
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


def _spread(photo: PhotoMetadata, yaw_source: str, horizontal: float | None) -> Spread:
    accuracy = photo.horizontal_accuracy
    metres = horizontal if horizontal is not None else min(max(accuracy, 0.02), 10.0) if accuracy is not None else 2.0
    if yaw_source == "gimbal":
        return Spread(metres)
    yaw = np.radians(10.0 if yaw_source == "aircraft" else 20.0)
    return Spread(metres, yaw=float(yaw), tilt=float(np.radians(4.0)))


def _unusable(photo: Photo, ground: Ground) -> str | None:
    below = ground.height(photo.position[None])[0]
    if np.isfinite(below) and photo.position[2] - below < LEAST_HEIGHT:
        return f"stands {photo.position[2] - below:.1f} m above the ground; taken before take-off, or a wrong altitude"
    seen = np.isfinite(photo.footprint(ground)[..., 0])
    if seen.any():
        return None
    if isinstance(ground, ElevationModel) and np.isfinite(photo.footprint(GroundPlane(ground._range[0]))[..., 0]).any():
        return "looks where the elevation model does not reach"
    return "looks at or above the horizon"

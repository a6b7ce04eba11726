"""A folder of pictures to photos on the map, each by its own pose, with what was assumed and what was left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.geodesy import MAX_HEIGHT_M, central_lon_lat, distances_lon_lat
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.core.images.image_names import natural_order
from skyweave.orthomosaic.altitudes import MIN_HEIGHT_M, resolve_altitudes
from skyweave.orthomosaic.flight_notes import describe_photos
from skyweave.orthomosaic.map_zone import MapZone, find_map_zone
from skyweave.orthomosaic.photo import Photo, PoseStd, median_height, world_from_camera
from skyweave.orthomosaic.poses import Poses
from skyweave.telemetry.image_metadata.attitude import Attitude, settle_conventions
from skyweave.telemetry.image_metadata.capture_time import order_times
from skyweave.telemetry.image_metadata.image_files import find_copies
from skyweave.telemetry.image_metadata.intrinsics import Calibration, camera_from_metadata
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata, Topic, read_metadata

MAX_DISTANCE_M = 20_000.0  # metres from the middle of a flight


@dataclass(frozen=True)
class Flight:
    """Photos over one ground.

    Attributes:
        zone: the map's reference system.
        photos: those with a place.
        ground: plane or elevation model, in the frame of the photos' altitudes.
        height_source: what the height above ground rests on: ``given``, ``poses``, ``take-off``, ``stated``,
            ``elevation``, or ``unknown``: a guess that the overlaps must replace.
        height_std: standard deviation of that height, the same error for all photos, as a share of it.
        skipped: pictures left out, and why.
        notes: what was assumed.
    """

    zone: MapZone
    photos: tuple[Photo, ...]
    ground: Ground
    height_source: str
    height_std: float
    skipped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Return the median height of the cameras above the ground, or above what they see of it, metres."""
        return median_height(self.photos, self.ground)


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
    _check_height(height)
    notes = [] if poses is None else _check_poses(images, poses)
    read, skipped = _read(images, poses, calibration)
    zone = find_map_zone(_lon_lat(read))
    positions = zone.project(_lon_lat(read))
    read, gimbal_notes = _gimbals(read)
    altitudes = resolve_altitudes(
        list(read.values()), positions, zone.crs, poses=poses, elevation=elevation, height=height
    )
    notes += [*gimbal_notes, *altitudes.notes]
    attitudes = _attitudes(read, positions, zone, notes)
    photos: list[Photo] = []
    for name, xy, z, attitude in zip(read, positions, altitudes.cameras, attitudes, strict=True):
        if not np.isfinite(z):
            skipped[name] = "does not state its altitude, as others do; give --height METRES or its pose with --poses"
            continue
        photo = _placed(name, read[name], np.array([*xy, z]), attitude, zone, calibration, horizontal_std)
        if reason := _unusable(photo, altitudes.ground):
            skipped[name] = reason
        else:
            photos.append(photo)
    _refuse_nothing(photos, skipped)
    notes += describe_photos([read[photo.name] for photo in photos], focal_given=calibration is not None)
    sources = sorted({photo.focal_source for photo in photos})
    notes.append(f"focal length from: {', '.join(sources)}")
    return Flight(zone, tuple(photos), altitudes.ground, altitudes.source, altitudes.std, skipped, tuple(notes))


def _placed(
    name: str,
    metadata: PhotoMetadata,
    position: np.ndarray,
    attitude: tuple[Attitude, str],
    zone: MapZone,
    calibration: Calibration | None,
    horizontal_std: float | None,
) -> Photo:
    camera, focal_source = camera_from_metadata(metadata, calibration)
    convergence = zone.convergence(metadata.longitude or 0.0, metadata.latitude or 0.0)
    pose = world_from_camera(position, attitude[0], convergence, metadata.orientation)
    geometry = CameraGeometry(camera, pose, zone.crs, name)
    std = _position_std(metadata, attitude[1], horizontal_std)
    return Photo(name, str(metadata.path), geometry, std, attitude[1], focal_source)


def _check_poses(images: dict[str, Path], poses: Poses) -> list[str]:
    """Notes on what the file of poses leaves out; an error where it names none, or one that is several pictures."""
    _refuse_ambiguous(images, poses)
    known = sum(poses.entry(path, name) is not None for name, path in images.items())
    if not known:
        raise DataError(
            f"the file of poses names none of the pictures: it has {next(iter(poses.images), 'nothing')}, they are "
            f"{next(iter(images.values())).name} and so on; give the poses of these, or their pictures"
        )
    notes = poses.unread_notes()
    if known < len(images):
        notes.append(f"{len(images) - known} of {len(images)} pictures are not in the file of poses")
    return notes


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


def _check_height(height: float | None) -> None:
    """Refuse a height above the ground at which no map is flown."""
    if height is not None and not MIN_HEIGHT_M <= height <= MAX_HEIGHT_M:
        raise DataError(f"height above ground {height:g} must be metres from {MIN_HEIGHT_M:g} to {MAX_HEIGHT_M:g}")


def _names_by_file(images: dict[str, Path], poses: Poses) -> dict[str, list[str]]:
    """The pictures that take their pose by the name of their file alone, by that name."""
    names: dict[str, list[str]] = {}
    for name, path in images.items():
        if name not in poses.images and path.name in poses.images:
            names.setdefault(path.name, []).append(name)
    return names


def _refuse_ambiguous(images: dict[str, Path], poses: Poses) -> None:
    """Raise an error where one pose would go to several pictures of one name in several folders."""
    for file, which in _names_by_file(images, poses).items():
        if len(which) > 1:
            raise DataError(
                f"the file of poses names {file}, and {len(which)} pictures are called so ({', '.join(which[:3])}); "
                'write their folders in its "file"'
            )


def _far(read: dict[str, PhotoMetadata]) -> dict[str, str]:
    """Photos far from the others: their positions are wrong, or they belong to another map."""
    places = _lon_lat(read)
    return {
        name: f"lies {metres / 1000:.0f} km from the others; map it by itself"
        for name, metres in zip(read, distances_lon_lat(places, central_lon_lat(places)), strict=True)
        if metres > MAX_DISTANCE_M
    }


def _read(
    images: dict[str, Path], poses: Poses | None, calibration: Calibration | None
) -> tuple[dict[str, PhotoMetadata], dict[str, str]]:
    """Metadata of the photos that can be placed, all near each other, and why others cannot."""
    read: dict[str, PhotoMetadata] = {}
    skipped = _unwanted_copies(images, poses)
    for name, path in images.items():
        if name in skipped:
            continue
        try:
            read[name] = _placeable(name, path, poses, calibration)
        except ValueError as error:
            skipped[name] = str(error)
    _refuse_nothing(read, skipped)
    far = _far(read)
    if len(far) == len(read):
        return read, skipped
    return {name: metadata for name, metadata in read.items() if name not in far}, skipped | far


def _unwanted_copies(images: dict[str, Path], poses: Poses | None) -> dict[str, str]:
    """Why copies of other pictures are left out; one that the file of poses names is wanted."""
    posed = set() if poses is None else images.keys() & poses.images.keys()
    copies = find_copies(images)
    return {name: f"is a copy of {original}" for name, original in copies.items() if name not in posed}


def _placeable(name: str, path: Path, poses: Poses | None, calibration: Calibration | None) -> PhotoMetadata:
    metadata = read_metadata(path)
    if poses is not None:
        metadata = poses.apply(metadata, name)
    if calibration is not None:
        metadata = _without(metadata, "lens")
    if metadata.contradictions:
        raise DataError(_contradiction(metadata.contradictions))
    if metadata.latitude is None or metadata.longitude is None:
        raise DataError("has no GPS position")
    camera_from_metadata(metadata, calibration)  # raises where nothing is known of the lens
    return metadata


def _lon_lat(read: dict[str, PhotoMetadata]) -> np.ndarray:
    return np.array([[photo.longitude, photo.latitude] for photo in read.values()], np.float64)


def _without(metadata: PhotoMetadata, topic: Topic) -> PhotoMetadata:
    """Without the contradictions of a topic that the user has decided."""
    return replace(metadata, contradictions={t: text for t, text in metadata.contradictions.items() if t != topic})


def _contradiction(contradictions: Mapping[Topic, str]) -> str:
    topic, text = next(iter(contradictions.items()))
    return f"{text}; give its {topic} with --poses" + (", or --focal or --camera" if topic == "lens" else "")


def _refuse_nothing(remaining: Sequence[Photo] | dict[str, PhotoMetadata], skipped: dict[str, str]) -> None:
    if remaining:
        return
    reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    unread = all("cannot be read" in why for why in skipped.values())
    remedy = "give others, or copies that are whole and of 8 bits" if unread else "give their poses with --poses"
    raise DataError(f"none of {len(skipped)} pictures can be placed ({reasons}{more}); {remedy}")


def _gimbals(read: dict[str, PhotoMetadata]) -> tuple[dict[str, PhotoMetadata], list[str]]:
    """The photos with the attitudes of gimbals that are written like those of bodies read as such, and notes."""
    stated = {name: photo.attitude for name, photo in read.items() if photo.attitude is not None}
    gimbals = settle_conventions(stated, {name: photo.camera for name, photo in read.items()})
    if not gimbals:
        return read, []
    note = (
        f"{len(gimbals)} pictures ({next(iter(gimbals))}, ..) write a gimbal's pitch, -90 straight down, where 0 "
        "should be: they are read so"
    )
    return read | {name: replace(read[name], attitude=attitude) for name, attitude in gimbals.items()}, [note]


def _attitudes(
    photos: dict[str, PhotoMetadata], positions: np.ndarray, zone: MapZone, notes: list[str]
) -> list[tuple[Attitude, str]]:
    """Attitude of each and what its heading was taken from."""
    track = _track(list(photos.values()), positions)
    result: list[tuple[Attitude, str]] = []
    assumed: dict[str, list[str]] = {}
    for (name, photo), course in zip(photos.items(), track, strict=True):
        if photo.attitude is not None:
            result.append((photo.attitude, "gimbal"))
            continue
        yaw, source = _heading(photo, float(course), zone)
        result.append((Attitude(yaw, -90.0, 0.0), source))
        assumed.setdefault(source, []).append(name)
    notes += [_assumption_note(names, source) for source, names in assumed.items()]
    return result


def _heading(photo: PhotoMetadata, course: float, zone: MapZone) -> tuple[float, str]:
    """Compass heading of a picture without an attitude, and what it was taken from."""
    if photo.flight_yaw is not None:
        return photo.flight_yaw, "aircraft"
    if np.isfinite(course):
        return course + zone.convergence(photo.longitude or 0.0, photo.latitude or 0.0), "track"
    return 0.0, "none"


def _assumption_note(names: list[str], source: str) -> str:
    """Note on pictures that say nothing of their gimbal."""
    words = {"aircraft": "the aircraft's heading", "track": "the direction of flight", "none": "north"}
    return (
        f"{len(names)} pictures say nothing of their gimbal ({names[0]}{', ..' if len(names) > 1 else ''}): taken "
        f"to look straight down, their top towards {words[source]} unless the overlaps tell otherwise"
    )


def _track(photos: list[PhotoMetadata], positions: np.ndarray) -> np.ndarray:
    """Grid course at each picture in degrees, from the longer of the legs before and after it; NaN where it hovers."""
    times = order_times([photo.time for photo in photos])
    order = sorted(range(len(photos)), key=lambda k: (times[k], natural_order(photos[k].path.name)))
    courses = np.full(len(photos), np.nan)
    for place, k in enumerate(order):
        legs = [positions[order[place + 1]] - positions[k]] if place + 1 < len(order) else []
        legs += [positions[k] - positions[order[place - 1]]] if place else []
        courses[k] = _course(legs)
    return courses


def _course(legs: list[np.ndarray]) -> float:
    """Grid course in degrees of the legs (east, north) at a picture; NaN where it hovers."""
    # at the end of a strip the shorter leg is the one along it, the longer one may be the turn
    flown = [leg for leg in legs if np.hypot(*leg) > 2.0]
    if not flown:
        return float("nan")
    leg = min(flown, key=lambda leg: float(np.hypot(*leg)))
    return float(np.degrees(np.arctan2(leg[0], leg[1])) % 360)


def _position_std(photo: PhotoMetadata, yaw_source: str, horizontal: float | None) -> PoseStd:
    accuracy = photo.horizontal_accuracy
    metres = horizontal if horizontal is not None else min(max(accuracy, 0.02), 10.0) if accuracy is not None else 2.0
    if yaw_source == "gimbal":
        return PoseStd(metres)
    yaw = np.radians(10.0 if yaw_source == "aircraft" else 20.0)
    return PoseStd(metres, yaw=float(yaw), tilt=float(np.radians(4.0)))


def _meets(photo: Photo, ground: Ground) -> bool:
    """Whether some corner of a picture looks at the ground."""
    return bool(np.isfinite(photo.footprint(ground)[..., 0]).any())


def _unusable(photo: Photo, ground: Ground) -> str | None:
    below = ground.height(photo.position[None])[0]
    if np.isfinite(below) and photo.position[2] - below < MIN_HEIGHT_M:
        return f"stands {photo.position[2] - below:.1f} m above the ground; taken before take-off, or a wrong altitude"
    if _meets(photo, ground):
        return None
    if isinstance(ground, ElevationModel) and _meets(photo, GroundPlane(ground._range[0])):
        return "looks where the elevation model does not reach"
    return "looks at or above the horizon"

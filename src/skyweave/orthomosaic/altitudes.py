"""How high the cameras of a flight were, and the ground in the same frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.data.elevation import read_elevation
from skyweave.orthomosaic.poses import Poses
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata

MIN_HEIGHT_M = 2.0  # metres; a picture from lower was taken on the ground
DEFAULT_HEIGHT_M = 50.0  # metres; where nothing is known, until the overlaps tell
MAX_TAKE_OFF_RANGE_M = 10.0  # of the take-off's altitude, by all photos; barometers and receivers drift by less
AROUND_FLIGHT_M = 500.0  # of the ground; farther than any usable view from drone heights


@dataclass(frozen=True)
class Altitudes:
    """Altitudes of cameras over one ground.

    Attributes:
        cameras: (n,) metres; NaN where a photo's is unknown.
        ground: plane or elevation model in the same frame.
        source: what the height above ground rests on: ``given``, ``poses``, ``take-off``, ``stated``, ``elevation`` or
            ``unknown``.
        std: standard deviation of that height, the same error for all photos, as a share of it.
        notes: what was assumed.
    """

    cameras: np.ndarray
    ground: Ground
    source: str
    std: float
    notes: tuple[str, ...] = ()


def resolve_altitudes(
    photos: Sequence[PhotoMetadata],
    positions: np.ndarray,
    crs: str,
    *,
    poses: Poses | None = None,
    elevation: str | Path | None = None,
    height: float | None = None,
) -> Altitudes:
    """Return the altitude of every camera and the ground in the same frame.

    Args:
        photos: with what they say of their altitudes.
        positions: (n, 2) east and north of the map, metres.
        crs: of the map.
        poses: may know the altitude of the ground.
        elevation: raster of ground heights; None: the ground is level.
        height: metres above ground of the median photo; replaces every altitude but for their differences.

    Raises:
        DataError: the elevation model does not cover the photos, or they state no altitude to place over it.
    """
    above_sea = _above_sea(photos)
    above_start, notes = _above_start(photos, above_sea)
    # differences between photos: the barometer's are better than the receiver's
    shape = above_sea if above_start is None else above_start
    if height is not None:
        shape = _filled(photos, shape, notes)
    if elevation is not None:
        ground, voids = _ground(elevation, crs, positions, needed=height is not None or above_start is not None)
        notes += voids
        if height is not None:
            return _at_height(shape, positions, ground, height, notes)
        return _over_elevation(photos, positions, ground, above_sea, above_start, notes)
    if height is not None:
        return Altitudes(shape, GroundPlane(float(np.median(shape)) - height), "given", 0.03, tuple(notes))
    above_ground = _nan_for_none([photo.above_ground for photo in photos])
    ground_altitude = None if poses is None else poses.ground_altitude
    return _over_level_ground(above_sea, above_start, above_ground, ground_altitude, notes)


def _over_level_ground(
    above_sea: np.ndarray,
    above_start: np.ndarray | None,
    above_ground: np.ndarray,
    ground_altitude: float | None,
    notes: list[str],
) -> Altitudes:
    if ground_altitude is not None and np.isfinite(above_sea).all():
        return Altitudes(above_sea, GroundPlane(ground_altitude), "poses", 0.05, tuple(notes))
    if above_start is not None:
        notes.append("the ground is taken to be level with the take-off point")
        offset = _median_or_zero(above_sea - above_start)
        return Altitudes(above_start + offset, GroundPlane(offset), "take-off", 0.1, tuple(notes))
    if np.isfinite(above_ground).any() and np.nanmedian(above_ground) >= MIN_HEIGHT_M:
        return _at_stated_heights(above_sea, above_ground, notes)
    shape = np.where(np.isfinite(above_sea), above_sea, _median_or_zero(above_sea))
    return Altitudes(shape, GroundPlane(float(np.median(shape)) - DEFAULT_HEIGHT_M), "unknown", 1.0, tuple(notes))


def _at_stated_heights(above_sea: np.ndarray, above_ground: np.ndarray, notes: list[str]) -> Altitudes:
    """Return cameras at the heights above the ground that the photos state."""
    notes.append("heights above the ground are those that the pictures state, over ground taken to be level")
    offset = _median_or_zero(above_sea - above_ground)
    cameras = np.where(np.isfinite(above_ground), above_ground + offset, above_sea)
    return Altitudes(cameras, GroundPlane(offset), "stated", 0.1, tuple(notes))


def _above_sea(photos: Sequence[PhotoMetadata]) -> np.ndarray:
    """Metres above the sea, NaN where unknown: 0 among others is what cameras write that do not know it."""
    above_sea = np.array([np.nan if photo.altitude is None else photo.altitude for photo in photos])
    if np.nan_to_num(above_sea).any():
        above_sea[above_sea == 0] = np.nan
    return above_sea


def _nan_for_none(values: Sequence[float | None]) -> np.ndarray:
    """Return values as an array, with NaN where one is None."""
    return np.array([np.nan if value is None else value for value in values])


def _above_start(photos: Sequence[PhotoMetadata], above_sea: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """Metres above the take-off, NaN where unknown, None where that leads nowhere; and notes.

    A photo that says nothing of it is as high above the sea as the others take off, and what it flew above that.
    """
    above_start = _nan_for_none([photo.relative_altitude for photo in photos])
    known = np.isfinite(above_start)
    if not known.any() or np.median(above_start[known]) < MIN_HEIGHT_M:
        return None, []
    take_off = above_sea - above_start
    if not np.isfinite(take_off).any():
        return above_start, []
    notes = _take_off_doubts(take_off)
    filled = ~known & np.isfinite(above_sea)
    if filled.any():
        median = float(np.nanmedian(take_off))
        notes.append(_filled_note(photos, filled, median))
        above_start = np.where(filled, above_sea - median, above_start)
    return above_start, notes


def _take_off_doubts(take_off: np.ndarray) -> list[str]:
    """Return a note where the photos' take-off points lie too far apart in altitude to be one."""
    low, high = np.nanmin(take_off), np.nanmax(take_off)
    if high - low <= MAX_TAKE_OFF_RANGE_M:
        return []
    return [
        f"by their altitudes the pictures were taken from take-off points between {low:.0f} and {high:.0f} m: "
        "map flights from different places apart, or with --dem and --height"
    ]


def _filled_note(photos: Sequence[PhotoMetadata], filled: np.ndarray, take_off: float) -> str:
    """Return the note on photos whose height above the take-off is taken from their altitude."""
    names = [photo.path.name for photo, fill in zip(photos, filled, strict=True) if fill]
    return (
        f"{_count(names)} without a height above the take-off: it is taken from the altitude above the sea, "
        f"the take-off lying at {take_off:.1f} m"
    )


def _filled(photos: Sequence[PhotoMetadata], shape: np.ndarray, notes: list[str]) -> np.ndarray:
    """Altitudes of which the unknown ones are as high as the others, with a note."""
    unknown = np.isnan(shape)
    if unknown.any():
        names = [photo.path.name for photo, missing in zip(photos, unknown, strict=True) if missing]
        notes.append(f"{_count(names)} of an unknown altitude: taken to be as high as the others")
    return np.where(unknown, _median_or_zero(shape), shape)


def _median_or_zero(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0


def _ground(elevation: str | Path, crs: str, positions: np.ndarray, needed: bool) -> tuple[ElevationModel, list[str]]:
    """The elevation model about the photos and notes on it; ``needed``: it must be known below one of them."""
    voids: list[str] = []
    ground = read_elevation(elevation, crs, _around(positions), voids)
    if needed and not np.isfinite(ground.height(positions)).any():
        reason = "".join(f"; {void}" for void in voids)
        raise DataError(f"{elevation} does not cover the place of any picture; choose one that does{reason}")
    return ground, voids


def _at_height(
    shape: np.ndarray, positions: np.ndarray, ground: ElevationModel, height: float, notes: list[str]
) -> Altitudes:
    under = ground.height(positions)
    known = np.isfinite(under)
    raised = shape - np.median(shape[known]) + np.median(under[known]) + height
    return Altitudes(raised, ground, "given", 0.03, tuple(notes))


def _ellipsoid_notes(photos: Sequence[PhotoMetadata]) -> list[str]:
    """Return a note where altitudes count from another zero than the ground's heights."""
    if not any(photo.ellipsoid for photo in photos):
        return []
    return [
        "altitudes of these pictures count from the ellipsoid, heights of elevation models usually from the sea, "
        "up to 100 m apart: give --height METRES if they are not of one kind"
    ]


def _over_elevation(
    photos: Sequence[PhotoMetadata],
    positions: np.ndarray,
    ground: ElevationModel,
    above_sea: np.ndarray,
    above_start: np.ndarray | None,
    notes: list[str],
) -> Altitudes:
    if above_start is not None:
        under = ground.height(positions)
        start = int(np.flatnonzero(np.isfinite(under))[0])
        notes.append(f"altitudes count from the ground under {photos[start].path.name}, taken for the take-off point")
        return Altitudes(above_start + under[start], ground, "elevation", 0.1, tuple(notes))
    if not np.isfinite(above_sea).any():
        raise DataError("pictures state no altitude; give the height above ground with --height METRES")
    notes.append("altitudes above sea level are used as they are; drones are often tens of metres off")
    notes += _ellipsoid_notes(photos)
    return Altitudes(above_sea, ground, "elevation", 0.3, tuple(notes))


def _around(positions: np.ndarray) -> tuple[float, float, float, float]:
    low, high = positions.min(0) - AROUND_FLIGHT_M, positions.max(0) + AROUND_FLIGHT_M
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _count(names: Sequence[str]) -> str:
    """``3 pictures (A.JPG, ..)``."""
    return f"{len(names)} picture{'s' * (len(names) > 1)} ({names[0]}{', ..' * (len(names) > 1)})"

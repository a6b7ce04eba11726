"""The ground beneath flights, and which of a log's heights counts from it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.ground import ElevationModel, Ground
from skyweave.telemetry.map_poses import project_poses
from skyweave.telemetry.poses_over_time import HeightDatum, PosesOverTime

MARGIN_M = 2000.0  # around the flights, that oblique cameras may see
LEVEL_DATUMS: tuple[HeightDatum, ...] = ("ground", "takeoff")  # whose zero is level ground
ELLIPSOID_NOTE = (
    "heights of the log count from the ellipsoid, those of elevation models usually from the sea, up to 100 m apart: "
    "leave --dem away and give --height METRES if they are not of one kind"
)
RASTER_DATUMS: tuple[HeightDatum, ...] = ("sea_level", "ellipsoid")  # over which elevation models count


def choose_datum(poses: PosesOverTime, usable: Sequence[HeightDatum]) -> HeightDatum:
    """Return the heights that are z: those known for the largest share of a log, the first of these.

    A sonar's height above the ground reaches a few metres, and is 0 or missing beyond.

    Args:
        poses: of a log.
        usable: heights that may be z, the best first.

    Raises:
        DataError: it states none of them; the message says what gives them.
    """
    shares = {datum: float(np.mean(np.nan_to_num(heights.values) != 0)) for datum, heights in poses.heights.items()}
    zeros = (*LEVEL_DATUMS, *RASTER_DATUMS)
    stated = [datum.replace("_", " ") for datum in zeros if shares.get(datum, 0.0) > 0]
    if not stated:
        raise DataError(
            f"{poses.source}: it does not say what its heights count from; give the metres above the ground with "
            "--height"
        )
    known = [datum for datum in usable if shares.get(datum, 0.0) > 0]
    if not known:
        remedy = "give the ground with --dem, or give the metres above the ground with --height"
        if "sea_level" in usable:
            remedy = "leave --dem away, so that the ground is level"
        raise DataError(f"{poses.source}: it states heights above the {', '.join(stated)} only; {remedy}")
    return max(known, key=lambda datum: shares[datum])


def elevation_of_zero(poses: PosesOverTime, datum: HeightDatum, crs: str, ground: Ground) -> float:
    """Return what is added to heights, so that they count as an elevation model does, in metres.

    Args:
        poses: of a log.
        datum: which of its heights is z; those above take-off or the ground count from the elevation there.
        crs: of the map.
        ground: an elevation model.

    Raises:
        DataError: it does not cover the start of the flight.
    """
    if datum in RASTER_DATUMS:
        return 0.0
    first = project_poses(poses, crs, datum).world_from_camera[0, :3, 3]
    elevation = float(ground.height(first[None, :2])[0])
    if not np.isfinite(elevation):
        raise DataError(f"{poses.source}: the elevation model does not cover the start of the flight")
    return elevation


def read_flight_ground(
    path: str | Path, crs: str, flights: Sequence[tuple[PosesOverTime, HeightDatum]], notes: list[str] | None = None
) -> ElevationModel:
    """Read the heights of the ground around flights.

    Args:
        path: raster of heights, any that `skyweave.data.elevation.read_elevation` reads.
        crs: of the map.
        flights: whole poses, and which of their heights is z.
        notes: what the user should know is added here.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is no elevation model, or knows nothing of the place.
        MissingExtraError: rasterio is not installed.
    """
    from skyweave.data.elevation import read_elevation

    places = np.concatenate([project_poses(poses, crs, datum).world_from_camera[:, :2, 3] for poses, datum in flights])
    (west, south), (east, north) = places.min(0) - MARGIN_M, places.max(0) + MARGIN_M
    noted: list[str] = []
    ground = read_elevation(path, crs, (float(west), float(south), float(east), float(north)), noted)
    if notes is not None:
        notes += noted + ([ELLIPSOID_NOTE] if any(datum == "ellipsoid" for _, datum in flights) else [])
    return ground

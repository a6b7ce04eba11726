"""The ground beneath flights, from a raster of heights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.geometry.ground import ElevationModel
from skyweave.telemetry.map_poses import project_poses
from skyweave.telemetry.poses_over_time import HeightDatum, PosesOverTime

MARGIN_M = 2000.0  # around the flights, that oblique cameras may see


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
    return read_elevation(path, crs, (float(west), float(south), float(east), float(north)), notes)

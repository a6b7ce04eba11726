"""The projected reference system that a flight is mapped in: UTM, and UPS beyond it, about the poles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry import geodesy


@dataclass(frozen=True)
class MapZone:
    """A zone of UTM or UPS on WGS84.

    Attributes:
        crs: ``EPSG:326xx`` north, ``EPSG:327xx`` south, ``EPSG:5041`` and ``EPSG:5042`` about the poles.
    """

    crs: str

    def project(self, degrees: Sequence[tuple[float | None, float | None]] | np.ndarray) -> np.ndarray:
        """Project geographic positions.

        Args:
            degrees: (n, 2) longitude and latitude.

        Returns:
            (n, 2) easting and northing in metres.
        """
        return geodesy.project_lon_lat(np.asarray(degrees, np.float64), self.crs)

    def degrees(self, points: np.ndarray) -> np.ndarray:
        """Return the geographic positions of map positions.

        Args:
            points: (n, 2) easting and northing in metres.

        Returns:
            (n, 2) longitude and latitude.
        """
        return geodesy.unproject_lon_lat(points, self.crs)

    def convergence(self, longitude: float, latitude: float) -> float:
        """Return the degrees that grid north lies clockwise of true north.

        Args:
            longitude: degrees.
            latitude: degrees.
        """
        return float(np.degrees(geodesy.grid_convergence(latitude, longitude, self.crs)))


def find_map_zone(degrees: np.ndarray) -> MapZone:
    """Return the zone of the middle of a flight; all of it go by one.

    Args:
        degrees: (n, 2) longitude and latitude, on both sides of the antimeridian or not.
    """
    longitude, latitude = geodesy.central_lon_lat(degrees)
    return MapZone(geodesy.map_crs(latitude, longitude))

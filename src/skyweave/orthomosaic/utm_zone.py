"""The UTM zone that a flight is mapped in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry import geodesy


@dataclass(frozen=True)
class UtmZone:
    """A UTM zone on WGS84.

    Attributes:
        crs: ``EPSG:326xx`` north, ``EPSG:327xx`` south.
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


def find_utm_zone(degrees: np.ndarray) -> UtmZone:
    """Return the zone of the median position; all of a flight go by one.

    Args:
        degrees: (n, 2) longitude and latitude.

    Raises:
        DataError: beyond 84 north or 80 south, where UTM ends.
    """
    longitude, latitude = np.median(degrees, axis=0)
    return UtmZone(geodesy.utm_crs(float(latitude), float(longitude)))

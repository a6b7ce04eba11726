"""The UTM zone that a flight is mapped in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry import geodesy


@dataclass(frozen=True)
class Zone:
    """A UTM zone on WGS84.

    Attributes:
        crs: ``EPSG:326xx`` north, ``EPSG:327xx`` south.
    """

    crs: str

    def project(self, degrees: Sequence[tuple[float | None, float | None]] | np.ndarray) -> np.ndarray:
        """(n, 2) easting and northing in metres of (longitude, latitude) pairs."""
        return geodesy.project_lon_lat(np.asarray(degrees, np.float64), self.crs)

    def degrees(self, points: np.ndarray) -> np.ndarray:
        """(n, 2) longitude and latitude of eastings and northings."""
        return geodesy.unproject_lon_lat(points, self.crs)

    def convergence(self, longitude: float, latitude: float) -> float:
        """Degrees that grid north lies clockwise of true north at a place."""
        return float(np.degrees(geodesy.grid_convergence(latitude, longitude, self.crs)))


def zone_of(degrees: np.ndarray) -> Zone:
    """The zone of the median of (n, 2) longitudes and latitudes; all of a flight go by one.

    Raises:
        ValueError: beyond 84 north or 80 south, where UTM ends.
    """
    longitude, latitude = np.median(degrees, axis=0)
    return Zone(geodesy.utm_crs(float(latitude), float(longitude)))

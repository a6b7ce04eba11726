"""The UTM zone of a place, and how its grid is turned there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import Proj, Transformer


@dataclass(frozen=True)
class Zone:
    """A UTM zone on WGS84.

    Attributes:
        crs: ``EPSG:326xx`` north, ``EPSG:327xx`` south.
    """

    crs: str

    def project(self, degrees: Sequence[tuple[float | None, float | None]] | np.ndarray) -> np.ndarray:
        """(n, 2) easting and northing in metres of (longitude, latitude) pairs."""
        longitudes, latitudes = np.asarray(degrees, np.float64).reshape(-1, 2).T
        transformer = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)
        return np.stack(transformer.transform(longitudes, latitudes), -1)

    def degrees(self, points: np.ndarray) -> np.ndarray:
        """(n, 2) longitude and latitude of eastings and northings."""
        transformer = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        return np.stack(transformer.transform(points[:, 0], points[:, 1]), -1)

    def convergence(self, longitude: float, latitude: float) -> float:
        """Degrees that grid north lies clockwise of true north at a place."""
        return float(Proj(self.crs).get_factors(longitude, latitude).meridian_convergence)


def zone_of(degrees: np.ndarray) -> Zone:
    """The zone of the median of (n, 2) longitudes and latitudes; all of a flight go by one.

    Raises:
        ValueError: beyond 84 north or 80 south, where UTM ends.
    """
    longitude, latitude = np.median(degrees, axis=0)
    if not -80 <= latitude <= 84:
        raise ValueError(f"latitude {latitude:.3f} lies outside UTM, which ends at 80 south and 84 north")
    number = min(int((longitude + 180) // 6) + 1, 60)
    return Zone(f"EPSG:{32600 + number if latitude >= 0 else 32700 + number}")

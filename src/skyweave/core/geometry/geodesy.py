"""Points on the Earth (WGS84): UTM, local east-north-up frames, and how a grid's north is turned."""

from dataclasses import dataclass, field

import numpy as np
from pyproj import CRS, Geod, Proj, Transformer

from skyweave.core.errors import DataError
from skyweave.core.geometry.utm import utm_crs

MAX_HEIGHT_M = 40_000.0  # of balloons, the highest platforms in the air; higher is another unit, or no height
GEOGRAPHIC_CRS = "EPSG:4326"
GEOCENTRIC_CRS = "EPSG:4978"
UPS_NORTH, UPS_SOUTH = "EPSG:5041", "EPSG:5042"  # with east and north in this order


def map_crs(latitude: float, longitude: float) -> str:
    """Return the projected reference system for maps about a point: its UTM zone, or UPS beyond UTM's ends.

    Args:
        latitude: degrees.
        longitude: degrees.

    Raises:
        DataError: no place on the Earth.
    """
    if 84 < latitude <= 90:
        return UPS_NORTH
    if -90 <= latitude < -80:
        return UPS_SOUTH
    return utm_crs(latitude, longitude)


def central_lon_lat(degrees: np.ndarray) -> tuple[float, float]:
    """Return the middle of places: the median of their directions from the Earth's centre.

    Unlike a median of longitudes it holds on both sides of the antimeridian and about the poles, and few places that
    are far from the others do not move it.

    Args:
        degrees: (n, 2) longitudes and latitudes, any multiple of 360 degrees off.

    Returns:
        Longitude, -180 to 180, and latitude in degrees.
    """
    longitude, latitude = np.radians(np.atleast_2d(np.asarray(degrees, np.float64))[:, :2].T)
    directions = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    x, y, z = np.median(directions, axis=1)
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def unwrap_longitudes(longitudes: np.ndarray, reference: float | np.ndarray) -> np.ndarray:
    """Return longitudes within 180 degrees of a reference, so that places near each other have numbers near each other.

    Args:
        longitudes: (...,) degrees.
        reference: degrees, one or (...,); results may lie beyond -180 or 180 by as much as it is near them.
    """
    return np.asarray(reference + (np.asarray(longitudes, np.float64) - reference + 180) % 360 - 180)


def distances_lon_lat(degrees: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    """Return the distances of places from one place along the ellipsoid: (n,) metres.

    Args:
        degrees: (n, 2) longitudes and latitudes.
        place: longitude and latitude.
    """
    longitude, latitude = np.atleast_2d(np.asarray(degrees, np.float64))[:, :2].T
    start = np.full_like(longitude, place[0]), np.full_like(latitude, place[1])
    return np.asarray(Geod(ellps="WGS84").inv(*start, longitude, latitude)[2])


def project_lon_lat(degrees: np.ndarray, crs: str) -> np.ndarray:
    """Project geographic to map coordinates: (n, 2) metres east and north.

    Args:
        degrees: (n, 2) longitudes and latitudes.
        crs: of the map.
    """
    longitude, latitude = np.atleast_2d(np.asarray(degrees, np.float64))[:, :2].T
    return np.stack(Transformer.from_crs(GEOGRAPHIC_CRS, crs, always_xy=True).transform(longitude, latitude), -1)


def unproject_lon_lat(points: np.ndarray, crs: str) -> np.ndarray:
    """Return the longitudes and latitudes of map coordinates: (n, 2) degrees.

    Args:
        points: (n, 2 or 3) metres east and north.
        crs: of the map.
    """
    x, y = np.atleast_2d(np.asarray(points, np.float64))[:, :2].T
    return np.stack(Transformer.from_crs(crs, GEOGRAPHIC_CRS, always_xy=True).transform(x, y), -1)


def is_in_degrees(crs: str) -> bool:
    """Return whether coordinates of a reference system are longitudes and latitudes in degrees.

    Args:
        crs: reference system.
    """
    system = CRS.from_user_input(crs)
    return bool(system.is_geographic and system.axis_info[0].unit_name == "degree")


def grid_convergence(latitude: float, longitude: float, crs: str) -> float:
    """Return the angle by which grid north lies clockwise of true north, in radians.

    Args:
        latitude: degrees.
        longitude: degrees.
        crs: of the grid.
    """
    return float(np.radians(Proj(crs).get_factors(longitude, latitude).meridian_convergence))


@dataclass(frozen=True)
class LocalFrame:
    """East, north, up in metres about an origin: the plane that touches the ellipsoid there.

    Attributes:
        latitude: degrees.
        longitude: degrees.
        height: metres above the ellipsoid.

    Raises:
        DataError: no point on the Earth.
    """

    latitude: float
    longitude: float
    height: float = 0.0
    _rotation: np.ndarray = field(init=False, repr=False, compare=False)
    _origin: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= 180 and np.isfinite(self.height)):
            raise DataError(f"{self.latitude}, {self.longitude}, {self.height} are no place on the Earth")
        sin_lat, cos_lat = np.sin(np.radians(self.latitude)), np.cos(np.radians(self.latitude))
        sin_lon, cos_lon = np.sin(np.radians(self.longitude)), np.cos(np.radians(self.longitude))
        rows = [
            [-sin_lon, cos_lon, 0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
        object.__setattr__(self, "_rotation", np.array(rows))
        object.__setattr__(self, "_origin", _geocentric(np.array([[self.latitude, self.longitude, self.height]]))[0])

    @property
    def crs(self) -> str:
        """Return a transverse Mercator projection about the origin, for rasters of this frame.

        It differs from the frame by the Earth's curvature only: east and north of points at the origin's height agree
        to 0.1 mm within 1 km and to 0.1 m within 10 km.
        """
        origin = f"+lat_0={self.latitude!r} +lon_0={self.longitude!r}"
        return str(CRS.from_proj4(f"+proj=tmerc {origin} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m").to_wkt())

    def from_geographic(self, points: np.ndarray) -> np.ndarray:
        """Convert geographic points to this frame: (n, 3) east, north, up in metres.

        Args:
            points: (n, 3) latitude, longitude in degrees and height in metres.
        """
        return np.asarray((_geocentric(np.asarray(points, np.float64)) - self._origin) @ self._rotation.T)

    def to_geographic(self, points: np.ndarray) -> np.ndarray:
        """Convert points of this frame: (n, 3) latitude, longitude in degrees and height in metres.

        Args:
            points: (n, 3) east, north, up in metres.
        """
        x, y, z = (np.asarray(points, np.float64) @ self._rotation + self._origin).T
        longitude, latitude, height = Transformer.from_crs(GEOCENTRIC_CRS, "EPSG:4979", always_xy=True).transform(
            x, y, z
        )
        return np.stack([latitude, longitude, height], -1)


def _geocentric(points: np.ndarray) -> np.ndarray:
    latitude, longitude, height = points.T
    transformer = Transformer.from_crs("EPSG:4979", GEOCENTRIC_CRS, always_xy=True)
    return np.stack(transformer.transform(longitude, latitude, height), -1)

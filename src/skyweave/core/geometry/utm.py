"""Zones of the universal transverse Mercator projection, by arithmetic alone."""

import numpy as np

from skyweave.core.errors import DataError


def utm_crs(latitude: float, longitude: float) -> str:
    """Return the UTM zone of a point as ``EPSG:326xx`` (north) or ``EPSG:327xx`` (south).

    Args:
        latitude: degrees.
        longitude: degrees.

    Raises:
        DataError: beyond 84 north or 80 south, where UTM ends, or no coordinates at all.
    """
    if not (np.isfinite(latitude) and np.isfinite(longitude) and abs(longitude) <= 180):
        raise DataError(f"latitude {latitude} and longitude {longitude} are no place on the Earth")
    if not -80 <= latitude <= 84:
        raise DataError(f"latitude {latitude:.3f} lies outside UTM, which ends at 80 south and 84 north")
    number = min(int((longitude + 180) // 6) + 1, 60)
    return f"EPSG:{utm_series(latitude) + number}"


def utm_series(latitude: float) -> int:
    """Return what the EPSG codes of the UTM zones of a hemisphere count from."""
    return 32600 if latitude >= 0 else 32700

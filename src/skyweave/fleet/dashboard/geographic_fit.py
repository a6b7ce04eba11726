"""Longitude and latitude near a place as polynomials, so that a page can convert without knowing reference systems."""

from functools import lru_cache
from typing import Any

import numpy as np

EXTENT_M = 10_000.0  # to each side of the origin in which the polynomials hold
DEGREE = 3
SAMPLES = 9  # a side


@lru_cache(maxsize=8)
def fit_geographic(crs: str, east: float, north: float) -> dict[str, Any] | None:
    """Return polynomials of degrees near a point of a reference system in metres; None: it has no place on Earth.

    ``longitude`` and ``latitude`` are coefficients of x^i y^j with i + j <= 3 in the order of `exponents`, x and y from
    -1 to 1 for ``extent`` metres to the west and east, south and north of ``origin``. ``convergence`` is the angle from
    the map's north to true north at the origin, radians clockwise.

    Args:
        crs: reference system.
        east: of the origin, metres.
        north: of the origin, metres.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        to_degrees = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
        x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-1, 1, SAMPLES)] * 2))
        degrees = to_degrees.transform(east + EXTENT_M * x, north + EXTENT_M * y, errcheck=True)
    except ProjError:
        return None
    terms = np.stack([x**i * y**j for i, j in exponents()], 1)
    longitude, latitude = (np.linalg.lstsq(terms, values, rcond=None)[0] for values in degrees)
    by_x, by_y = exponents().index((1, 0)), exponents().index((0, 1))
    true_north = np.linalg.solve(
        [[longitude[by_x], longitude[by_y]], [latitude[by_x], latitude[by_y]]], [0.0, 1.0]
    )  # metres that lead along the meridian, but for their length
    return {
        "crs": crs,
        "origin": [east, north],
        "extent": EXTENT_M,
        "longitude": longitude.tolist(),
        "latitude": latitude.tolist(),
        "convergence": float(np.arctan2(true_north[0], true_north[1])),
    }


def exponents() -> list[tuple[int, int]]:
    """Return the powers of x and y of each term, the lowest first."""
    return [(total - j, j) for total in range(DEGREE + 1) for j in range(total + 1)]

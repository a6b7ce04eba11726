"""Where a GeoTIFF lies, without GDAL and PROJ: its transform, its reference system by code, metres a pixel.

OGC GeoTIFF 1.1 (19-008r4).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.georeference import IDENTITY, Affine, Georeference, check_pixels, pixel_centre
from skyweave.data.tiff_metadata import tag_value

PIXEL_SCALE, TIEPOINTS, TRANSFORMATION, GEO_KEYS, GEO_DOUBLES, GEO_TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
RATIONAL_POLYNOMIALS = 50844
RASTER_TYPE, GEOGRAPHIC, PROJECTED, LINEAR_UNIT = 1025, 2048, 3072, 3076
PIXEL_IS_POINT = 2
METRE, USER_DEFINED = 9001, 32767
MERCATOR = (3857, 3395, 3785, 3832, 3994, 41001, 900913)
"""Codes of maps whose scale grows towards the poles: a metre of theirs is none on the ground."""
HUNDRED, UTM_HUNDREDS = 100, (326, 327)
"""Codes of UTM on WGS 84, which is in metres, begin with these."""
UNKNOWN_UNIT = (
    "how many metres its pixels measure takes PROJ to know, which is not installed here; pip install "
    "'skyweave[geo]', or warp it to UTM where GDAL is"
)
EQUATOR_M, FLATTENING = 6378137.0, 1 / 298.257223563  # WGS 84


def locate_tiff(page: Any) -> Georeference:
    """Return where the pixels of a page lie.

    Args:
        page: of tifffile.

    Raises:
        DataError: control points, a model, or pixels without an area, which only GDAL reads.
    """
    shape = page.imagelength, page.imagewidth
    keys = _geo_keys(page)
    affine = _transform(page)
    if affine is None:
        _refuse_models(page)
        return Georeference(None, IDENTITY, shape, None)
    check_pixels(affine)
    if keys.get(RASTER_TYPE) == PIXEL_IS_POINT:
        a, b, c, d, e, f = affine
        affine = a, b, c - a / 2 - b / 2, d, e, f - d / 2 - e / 2
    if not keys:
        return Georeference(None, affine, shape, None)
    code = _code(keys)
    metres = _metres(keys, affine, shape)
    crs, remedy = f"EPSG:{code}" if code else "user-defined", UNKNOWN_UNIT if metres is None else None
    return Georeference(crs, affine, shape, metres, remedy=remedy)


def _refuse_models(page: Any) -> None:
    """Refuse a place that is more than a transform."""
    if not {TIEPOINTS, RATIONAL_POLYNOMIALS}.isdisjoint(page.tags.keys()):
        raise DataError(
            "it is located by control points or a model, not by a transform; warp it first: `gdalwarp PATH OUT.tif`"
        )


def geo_tags(page: Any) -> dict[int, tuple[Any, ...]]:
    """Return the tags that name the reference system of a page, to be written into another file.

    Args:
        page: of tifffile.
    """
    return {code: page.tags[code].value for code in (GEO_KEYS, GEO_DOUBLES, GEO_TEXTS) if code in page.tags}


def _transform(page: Any) -> Affine | None:
    """Return the affine transform; None where there is none."""
    matrix, scale, points = (tag_value(page, code, ()) for code in (TRANSFORMATION, PIXEL_SCALE, TIEPOINTS))
    if matrix:
        a, b, _, c, d, e, _, f = matrix[:8]
        return float(a), float(b), float(c), float(d), float(e), float(f)
    if not scale:
        return None
    column, row, _, x, y = points[:5]
    across, down = scale[:2]
    return across, 0.0, x - column * across, 0.0, -down, y + row * down


def _geo_keys(page: Any) -> dict[int, int]:
    """Return the keys whose values are short numbers."""
    entries = np.reshape(tag_value(page, GEO_KEYS, ()), (-1, 4))[1:].tolist()
    return {key: value for key, place, _, value in entries if place == 0}


def _code(keys: Mapping[int, int]) -> int | None:
    """Return the EPSG code of the reference system; None without, or of one that the file defines itself."""
    code = keys.get(PROJECTED, keys.get(GEOGRAPHIC))
    return None if code == USER_DEFINED else code


def _metres(keys: Mapping[int, int], affine: Affine, shape: tuple[int, int]) -> float | None:
    """Return the side of a pixel in metres; None where it takes PROJ to know."""
    if PROJECTED in keys:
        return _metres_by_unit(keys, affine)
    if keys.get(GEOGRAPHIC, USER_DEFINED) == USER_DEFINED:
        return None
    latitude = math.radians(pixel_centre(affine, shape)[1])
    eccentricity = FLATTENING * (2 - FLATTENING)
    bend = 1 - eccentricity * math.sin(latitude) ** 2
    north = EQUATOR_M * (1 - eccentricity) / bend**1.5
    east = EQUATOR_M / math.sqrt(bend) * math.cos(latitude)
    a, b, _, d, e, _ = affine
    across, down = math.hypot(a * east, d * north), math.hypot(b * east, e * north)
    return math.radians(math.sqrt(across * down))


def _metres_by_unit(keys: Mapping[int, int], affine: Affine) -> float | None:
    """Return the side of a pixel of a map in metres; None of other units, and of scales that grow."""
    a, b, _, d, e, _ = affine
    code = keys[PROJECTED]
    is_metric = keys.get(LINEAR_UNIT) == METRE or code // HUNDRED in UTM_HUNDREDS
    return math.sqrt(abs(a * e - b * d)) if is_metric and code not in MERCATOR else None

"""Elevation models from any raster, on a map grid: heights in metres, and what is no height on Earth is unknown."""

from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel
from skyweave.data.georeference import Georeference
from skyweave.data.header import header_of
from skyweave.data.raster_files import is_gdal_name, open_raster

MIN_RESOLUTION_M = 0.05
MAX_CELLS_PER_SIDE = 2000  # finer heights do not help a mosaic
MAX_READ_SIDE = 8192  # pixels of the raster; a wider part is read coarser
MARGIN_PIXELS = 2  # around the bounds, for bilinear interpolation
HEIGHT_RANGE_M = (-500.0, 9000.0)  # the Dead Sea's shore is at -430, Mount Everest at 8849
UNIT_NAMES = {  # metres, and the names of it, in small letters without blanks, underscores and the s of a plural
    1.0: ("m", "metre", "meter", "mtr"),
    0.3048: ("ft", "foot", "feet", "internationalfoot", "internationalfeet", "foot(international)"),
    1200 / 3937: ("us-ft", "ft-u", "ftu", "ussurveyfoot", "ussurveyfeet", "footu", "ussurveyft"),
    0.9144: ("yd", "yard"),
    1.8288: ("fath", "fathom"),
    1000.0: ("km", "kilometre", "kilometer"),
    0.1: ("dm", "decimetre", "decimeter"),
    0.01: ("cm", "centimetre", "centimeter"),
    0.001: ("mm", "millimetre", "millimeter"),
}
METRES_PER_UNIT = {name: metres for metres, names in UNIT_NAMES.items() for name in names}
ELLIPSOIDAL = (
    "{}: its heights count from the ellipsoid, as its reference system says; altitudes above the sea are up to "
    "100 m off over it"
)
EIGHT_BITS = "{}: its values of 8 bits are taken for metres; a shaded relief for display is no elevation model"


def read_elevation(
    path: str | Path, crs: str, bounds: tuple[float, float, float, float], notes: list[str] | None = None
) -> ElevationModel:
    """Read heights within bounds, reprojected bilinearly; what the raster does not know is NaN.

    The scale, the offset and the unit of the heights are applied where the file states them.

    Args:
        path: any single-band raster of heights with a reference system.
        crs: of the map.
        bounds: (west, south, east, north) in metres of it.
        notes: what the user should know is added here: values that are no heights, and count as unknown.

    Raises:
        FileNotFoundError: no such file.
        DataError: GDAL cannot read the raster, it has no reference system or several bands, or knows nothing of the
            bounds.
        MissingExtraError: rasterio is not installed.
    """
    if not is_gdal_name(str(path)) and not Path(path).exists():
        raise FileNotFoundError(f"no such elevation model: {path}")
    with open_raster(path) as source:
        place = header_of(source, path).place
        _check_place(place, path)
        if source.count != 1:
            raise DataError(f"{path} has {source.count} bands; an elevation model has one, the heights")
        heights, transform = _read_heights(source, place, crs, bounds)
        heights = _in_metres(heights, source)
        known, note = mask_voids(heights, str(path))
        doubts = _doubts(source, str(path))
        grid = _map_grid(place, crs, bounds)
        projected = _reproject(known, transform, str(place.crs), grid, crs)
    if notes is not None:
        notes += [*([note] if note else []), *doubts]
    if not np.isfinite(projected).any():
        raise DataError(_describe_gap(str(path), crs, bounds) + (f"; {note}" if note else ""))
    return ElevationModel(projected, grid)


def mask_voids(heights: np.ndarray, source: str) -> tuple[np.ndarray, str | None]:
    """Return heights with NaN for values that no place on Earth has, and a sentence about them.

    Args:
        heights: any shape, metres; NaN where unknown.
        source: of the heights, for the sentence.

    Returns:
        The heights, and what was masked; None where every value can be a height.
    """
    with np.errstate(invalid="ignore"):
        void = (heights < HEIGHT_RANGE_M[0]) | (heights > HEIGHT_RANGE_M[1]) | np.isinf(heights)
    if not void.any():
        return heights, None
    values, counts = np.unique(heights[void], return_counts=True)
    usual = values[counts.argmax()]
    note = (
        f"{source}: {int(void.sum())} of {heights.size} heights there are no heights on Earth ({usual:g} m, mainly), "
        "and the file does not declare them as nodata: they count as unknown"
    )
    return np.where(void, np.nan, heights), note


def _doubts(source: Any, path: str) -> list[str]:
    """Notes on a raster whose values may be no heights above the sea."""
    doubts = [EIGHT_BITS.format(path)] if source.dtypes[0] == "uint8" else []
    return doubts + ([ELLIPSOIDAL.format(path)] if counts_from_ellipsoid(source.crs.to_wkt()) else [])


def counts_from_ellipsoid(crs: str) -> bool:
    """Return whether a reference system has heights, and no vertical datum that they count from.

    Args:
        crs: any that PROJ knows.
    """
    from pyproj import CRS

    system = CRS.from_user_input(crs)
    return len(system.axis_info) > 2 and not system.is_compound


def _read_heights(
    source: Any, place: Georeference, crs: str, bounds: tuple[float, float, float, float]
) -> tuple[np.ndarray, Any]:
    """Return stored values around the bounds as float64, NaN where the file declares none, and their transform."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import transform_bounds

    corners = transform_bounds(crs, place.crs, *bounds)
    xs, ys = [corners[0], corners[2]] * 2, [corners[1]] * 2 + [corners[3]] * 2
    inverse = ~rasterio.Affine(*place.affine)
    columns = [inverse.a * x + inverse.b * y + inverse.c for x, y in zip(xs, ys, strict=True)]
    rows = [inverse.d * x + inverse.e * y + inverse.f for x, y in zip(xs, ys, strict=True)]
    left, right = _overlap(columns, source.width)
    top, bottom = _overlap(rows, source.height)
    if left >= right or top >= bottom:
        raise DataError(_describe_gap(source.name, crs, bounds))
    size = max(min(bottom - top, MAX_READ_SIDE), 1), max(min(right - left, MAX_READ_SIDE), 1)
    stored = source.read(
        1,
        window=((top, bottom), (left, right)),
        out_shape=size,
        masked=True,
        resampling=Resampling.nearest,  # another one would mix heights with values that stand for none
    )
    a, b, c, d, e, f = place.affine
    x, y = (right - left) / size[1], (bottom - top) / size[0]
    transform = rasterio.Affine(a * x, b * y, a * left + b * top + c, d * x, e * y, d * left + e * top + f)
    return np.ma.filled(stored.astype(np.float64), np.nan), transform


def _overlap(positions: list[float], size: int) -> tuple[int, int]:
    """Return the first pixel and the one behind the last that a stretch of an axis needs."""
    first = int(np.floor(min(positions))) - MARGIN_PIXELS
    return max(first, 0), min(int(np.ceil(max(positions))) + MARGIN_PIXELS, size)


def _in_metres(stored: np.ndarray, source: Any) -> np.ndarray:
    """Return heights by the file's scale, offset and unit; a value that stands for none stays recognisable."""
    scale, offset, unit = source.scales[0] or 1.0, source.offsets[0], _vertical_unit(source)
    if (scale, offset, unit) == (1.0, 0.0, 1.0):
        return stored
    with np.errstate(invalid="ignore"):
        extreme = (stored <= -9999) | (stored >= 1e6)  # a fill value, not 3000 m in tenths of feet
    return np.where(extreme, stored, (stored * scale + offset) * unit)


def _vertical_unit(source: Any) -> float:
    """Return metres per unit of height, from the band's unit or the vertical part of the reference system."""
    stated = (source.units[0] or "").strip()
    name = "".join(stated.casefold().replace("_", " ").split())
    metres = METRES_PER_UNIT.get(name, METRES_PER_UNIT.get(name.removesuffix("s")))
    if metres is not None:
        return metres
    if name:
        raise DataError(
            f"{source.name}: heights in {stated!r} are not read; say what they are in with `rio edit-info --bidx 1 "
            f"--units m {source.name}` (m, ft, us-ft, cm ...)"
        )
    from pyproj import CRS

    axes = CRS.from_user_input(source.crs.to_wkt()).axis_info
    return float(axes[2].unit_conversion_factor) if len(axes) > 2 else 1.0


def _map_grid(place: Georeference, crs: str, bounds: tuple[float, float, float, float]) -> MapGrid:
    """Return the grid over the bounds with cells as fine as the raster's pixels."""
    from rasterio.warp import transform_bounds

    a, b, c, d, e, f = place.affine
    rows, columns = place.shape
    xs = [c + a * column + b * row for row in (0, rows) for column in (0, columns)]
    ys = [f + d * column + e * row for row in (0, rows) for column in (0, columns)]
    west, _, east, _ = transform_bounds(place.crs, crs, min(xs), min(ys), max(xs), max(ys))
    side = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    resolution = max(round((east - west) / columns, 3), MIN_RESOLUTION_M, side / MAX_CELLS_PER_SIDE)
    return MapGrid.covering(bounds, resolution, crs)


def _reproject(heights: np.ndarray, transform: Any, source_crs: str, grid: MapGrid, crs: str) -> np.ndarray:
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    projected = np.full(grid.shape, np.nan)
    reproject(
        heights,
        projected,
        src_transform=transform,
        src_crs=source_crs,
        src_nodata=np.nan,
        dst_transform=rasterio.Affine(*grid.affine),
        dst_crs=crs,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    return projected


def _check_place(place: Georeference, path: str | Path) -> None:
    """Refuse a raster that does not lie on a plain grid of a known reference system."""
    if place.remedy or place.warp_crs:
        raise DataError(f"{path}: {place.remedy or f'located by {place.by}; warp it to a plain grid first'}")
    if place.crs is None:
        raise DataError(f"{path} has no reference system; an elevation model must say where it lies")


def _describe_gap(name: str, crs: str, bounds: tuple[float, float, float, float]) -> str:
    """Return the message on a raster that does not know the heights under the images."""
    return f"{name} does not cover the images, which lie in {bounds} of {crs}; choose one that does"

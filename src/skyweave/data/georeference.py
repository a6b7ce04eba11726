"""Where a raster lies: by a transform, by ground control points, in a local system, or only through a model."""

import math
import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.utm import utm_crs

Affine = tuple[float, float, float, float, float, float]
IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
MAX_AFFINE_RESIDUAL_PIXELS = 0.25  # of ground control points; a plain transform is exact enough below it
MAX_WARP_RESIDUAL_PIXELS = 1.0  # of GDAL's polynomial through the control points
MIN_CONTROL_POINTS = 3
MIN_SIDE_M = 1e-3  # of a pixel on a map; a smaller one may be in degrees
MAX_SHEAR_COSINE = 0.1  # between the sides of a pixel; more is no grid that patches can be cut from


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a raster lie.

    Attributes:
        crs: ``EPSG:code`` where it has one, else WKT; None without.
        affine: GDAL affine of the pixel grid; the identity without georeference.
        shape: (rows, columns) of that grid.
        metres_per_pixel: geometric mean of both sides at the centre; None where the unit of length is not known.
        name: of the reference system in words.
        by: what the place rests on, for people: ``6 ground control points``; None for a transform.
        warp_crs: reference system that pixels are warped to, because control points do not lie on a plain grid.
        remedy: why the place cannot be used as it is, and the command that mends it; None where it can.
    """

    crs: str | None
    affine: Affine
    shape: tuple[int, int]
    metres_per_pixel: float | None
    name: str | None = None
    by: str | None = None
    warp_crs: str | None = None
    remedy: str | None = None


def locate(dataset: Any) -> Georeference:
    """Return where an open dataset lies.

    Args:
        dataset: of rasterio.

    Raises:
        DataError: its reference system is not known, or its pixels are no parallelograms with an area.
    """
    transform = dataset.transform
    affine: Affine = (transform.a, transform.b, transform.c, transform.d, transform.e, transform.f)
    shape = (dataset.height, dataset.width)
    if affine != IDENTITY:
        return _plain(_crs_text(dataset.crs), affine, shape)
    if dataset.gcps[0]:
        return _by_control_points(dataset, shape)
    if dataset.rpcs is not None:
        return _by_model(dataset, shape)
    if dataset.tags(ns="GEOLOCATION"):
        return _by_geolocation(dataset, shape)
    return Georeference(None, IDENTITY, shape, None)


def on_grid(dataset: Any, place: Georeference) -> Any:
    """Return the dataset on the grid of its place: itself, or a virtual one that GDAL warps by control points.

    Values are those of the nearest pixel: no value is invented, and none is mixed with one that stands for no data.

    Args:
        dataset: of rasterio.
        place: of it, from `locate`.
    """
    if place.warp_crs is None:
        return dataset
    from rasterio.enums import ColorInterp
    from rasterio.vrt import WarpedVRT

    masked = dataset.nodata is not None or ColorInterp.alpha in dataset.colorinterp
    return WarpedVRT(dataset, crs=place.warp_crs, add_alpha=not masked)


def metres_per_pixel(crs: str, affine: Affine, shape: tuple[int, int]) -> float | None:
    """Return the side of a pixel in metres at the image's centre; degrees are measured on the ellipsoid there.

    Args:
        crs: as text that pyproj reads.
        affine: of the pixel grid.
        shape: (rows, columns).

    Raises:
        DataError: the reference system is not known.
    """
    system = _parse(crs)
    if system.is_geographic:
        return _side_of_degrees(system.get_geod(), affine, shape)
    factor = _metres_per_unit(system)
    if factor is None:
        return None
    a, b, _, d, e, _ = affine
    side = math.sqrt(abs(a * e - b * d)) * factor
    if system.is_projected and side < MIN_SIDE_M:
        _refuse_degrees(affine, shape, side)
    return float(side * _mercator_shrinkage(system, affine, shape))


def _refuse_degrees(affine: Affine, shape: tuple[int, int], side: float) -> None:
    """Refuse coordinates that are degrees, under the name of a system in metres."""
    x, y = pixel_centre(affine, shape)
    if abs(x) <= 360 and abs(y) <= 90:
        raise DataError(
            f"its pixels of {side:g} m at ({x:g}, {y:g}) look like degrees under the name of a system in metres; give "
            "it the right name: `rio edit-info --crs EPSG:4326 PATH`"
        )


def _side_of_degrees(geod: Any, affine: Affine, shape: tuple[int, int]) -> float | None:
    """Return the side in metres of the pixel of degrees at the image's centre; None without an ellipsoid."""
    if geod is None:
        return None
    a, b, _, d, e, _ = affine
    x, y = pixel_centre(affine, shape)
    if abs(y) > 90:
        raise DataError(
            f"its centre is at latitude {y:g}: degrees do not fit; give it the name of the system that it is in: `rio "
            "edit-info --crs EPSG:CODE PATH`"
        )
    _, _, across = geod.inv(x, y, x + a, y + d)
    _, _, down = geod.inv(x, y, x + b, y + e)
    return float(math.sqrt(across * down))


def pixel_centre(affine: Affine, shape: tuple[int, int]) -> tuple[float, float]:
    """Return (x, y) of the image's centre.

    Args:
        affine: of the pixel grid.
        shape: (rows, columns).
    """
    a, b, c, d, e, f = affine
    return c + a * shape[1] / 2 + b * shape[0] / 2, f + d * shape[1] / 2 + e * shape[0] / 2


def _plain(crs: str | None, affine: Affine, shape: tuple[int, int], by: str | None = None) -> Georeference:
    """Return the place by a transform; without a reference system its unit is not known."""
    check_pixels(affine)
    if crs is None:
        return Georeference(None, affine, shape, None)
    return Georeference(crs, affine, shape, metres_per_pixel(crs, affine, shape), _name(crs), by)


def check_pixels(affine: Affine) -> None:
    """Refuse pixels without an area, and those that are no rectangles.

    Args:
        affine: of the pixel grid.

    Raises:
        DataError: says what to do.
    """
    a, b, _, d, e, _ = affine
    if not all(map(math.isfinite, affine)) or a * e == b * d:
        raise DataError(f"its transform {affine} gives pixels no area; correct it")
    if abs(a * b + d * e) > MAX_SHEAR_COSINE * math.hypot(a, d) * math.hypot(b, e):
        raise DataError(f"its transform {affine} is sheared: pixels are no rectangles; warp it to a plain grid first")


def _by_control_points(dataset: Any, shape: tuple[int, int]) -> Georeference:
    points, system = dataset.gcps
    crs = _crs_text(system)
    by = f"{len(points)} ground control points"
    if len(points) < MIN_CONTROL_POINTS:
        return _by_too_few_points(dataset, crs, by, shape)
    pixels = np.array([[point.col, point.row] for point in points], np.float64)
    ground = np.array([[point.x, point.y] for point in points], np.float64)
    affine, residual = _fit_affine(pixels, ground)
    if residual <= MAX_AFFINE_RESIDUAL_PIXELS:
        return _plain(crs, affine, shape, by)
    return _by_warping(dataset, crs, by, shape, points)


def _by_too_few_points(dataset: Any, crs: str | None, by: str, shape: tuple[int, int]) -> Georeference:
    """Return that control points do not tell size and turn of the pixels, and the command that does."""
    remedy = (
        f"located by {by}, and {MIN_CONTROL_POINTS} are needed; write the transform of its pixels: `rio edit-info "
        f"--crs {crs or 'EPSG:CODE'} --transform 'TRANSFORM' {shlex.quote(dataset.name)}` (such as [0.5, 0, "
        "400000, 0, -0.5, 5000000])"
    )
    return Georeference(None, IDENTITY, shape, None, by=by, remedy=remedy)


def _fit_affine(pixels: np.ndarray, ground: np.ndarray) -> tuple[Affine, float]:
    """Return the affine through control points by least squares, and by how many pixels it misses the worst."""
    centre, extent = ground.mean(axis=0), max(float(np.ptp(ground)), 1e-12)
    design = np.column_stack([pixels, np.ones(len(pixels))])
    solution, _, rank, _ = np.linalg.lstsq(design, (ground - centre) / extent, rcond=None)
    if rank < MIN_CONTROL_POINTS:
        return IDENTITY, math.inf
    a, d = solution[0] * extent
    b, e = solution[1] * extent
    c, f = solution[2] * extent + centre
    if a * e == b * d:
        return IDENTITY, math.inf
    missed = ground - (design @ solution * extent + centre)
    in_pixels = np.linalg.solve(np.array([[a, b], [d, e]]), missed.T)
    return tuple(map(float, (a, b, c, d, e, f))), float(np.abs(in_pixels).max())  # type: ignore[return-value]


def _by_warping(dataset: Any, crs: str | None, by: str, shape: tuple[int, int], points: list[Any]) -> Georeference:
    """Return the grid that GDAL warps to, or the command for those that its polynomial misses."""
    target = _metric_crs(crs, points) if crs else None
    if target is None or _polynomial_residual(points) > MAX_WARP_RESIDUAL_PIXELS:
        command = f"gdalwarp -tps -t_srs {target or 'EPSG:4326'} {_in_out(dataset)}"
        remedy = f"located by {by} that lie on no plain grid; warp it first: `{command}`"
        return Georeference(None, IDENTITY, shape, None, by=by, remedy=remedy)
    return _by_polynomial(dataset, target, by)


def _by_polynomial(dataset: Any, target: str, by: str) -> Georeference:
    """Return the grid that GDAL warps to by its polynomial."""
    from rasterio.vrt import WarpedVRT

    with WarpedVRT(dataset, crs=target) as grid:
        affine: Affine = tuple(grid.transform[:6])
        size = (grid.height, grid.width)
    return Georeference(
        target, affine, size, metres_per_pixel(target, affine, size), _name(target), f"{by}, warped", target
    )


def _polynomial_residual(points: list[Any]) -> float:
    """Return by how many pixels GDAL's polynomial misses the worst control point."""
    from rasterio.errors import RasterioError
    from rasterio.transform import GCPTransformer

    try:
        with GCPTransformer(points) as transformer:
            rows, columns = transformer.rowcol([p.x for p in points], [p.y for p in points], op=float)
    except RasterioError:
        return math.inf
    return _largest_miss(points, rows, columns)


def _largest_miss(points: list[Any], rows: list[float], columns: list[float]) -> float:
    """Return by how many pixels computed places miss the worst control point; infinity where one is not finite."""
    misses = [abs(r - p.row) + abs(c - p.col) for r, c, p in zip(rows, columns, points, strict=True)]
    return math.inf if not np.isfinite(misses).all() else float(max(misses))


def _mean_place(points: list[Any]) -> tuple[float, float]:
    """Return (latitude, longitude) of the centre of control points in degrees."""
    longitudes = np.radians([p.x for p in points])  # averaged on the circle: they may lie on both sides of 180 degrees
    longitude = float(np.degrees(np.arctan2(np.sin(longitudes).mean(), np.cos(longitudes).mean())))
    return float(np.mean([p.y for p in points])), longitude


def _metric_crs(crs: str, points: list[Any]) -> str | None:
    """Return the reference system itself, or for degrees the UTM zone at the centre of the control points."""
    if not _parse(crs).is_geographic:
        return crs
    latitude, longitude = _mean_place(points)
    return utm_crs(latitude, longitude) if abs(latitude) <= 80 else None


def _by_geolocation(dataset: Any, shape: tuple[int, int]) -> Georeference:
    """Return that arrays place the pixels, and the command that warps by them."""
    remedy = f"located by geolocation arrays; warp it first: `gdalwarp -geoloc -t_srs EPSG:4326 {_in_out(dataset)}`"
    return Georeference(None, IDENTITY, shape, None, by="geolocation arrays", remedy=remedy)


def _by_model(dataset: Any, shape: tuple[int, int]) -> Georeference:
    """Return that rational polynomials place the pixels, which need the height of the ground."""
    model = dataset.rpcs
    target = utm_crs(model.lat_off, model.long_off)
    remedy = (
        "located by rational polynomials (RPC), which need the height of the ground; warp it first, with an "
        f"elevation model: `gdalwarp -rpc -to RPC_DEM=DEM.tif -t_srs {target} {_in_out(dataset)}` (without a DEM "
        f"-to RPC_HEIGHT={model.height_off:g})"
    )
    return Georeference(None, IDENTITY, shape, None, by="rational polynomials (RPC)", remedy=remedy)


def _in_out(dataset: Any) -> str:
    return f"-r bilinear -dstalpha {shlex.quote(dataset.name)} warped.tif"


def _crs_text(crs: Any) -> str | None:
    if not crs:
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def _parse(crs: str) -> Any:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise DataError(f"its coordinate reference system {crs!r} is not known ({error}); reproject it") from error


def _metres_per_unit(system: Any) -> float | None:
    """Return the unit of length of a projected or local system; None for one without horizontal lengths."""
    if not _has_lengths(system):
        return None
    axis = system.axis_info[0]
    known = axis.unit_conversion_factor and axis.unit_name.casefold() != "unknown"
    return float(axis.unit_conversion_factor) if known else None


def _has_lengths(system: Any) -> bool:
    """Return whether a system is a plane with axes, which are in a unit of length."""
    return (system.is_projected or system.is_engineering) and bool(system.axis_info)


def _is_plain_mercator(method: str) -> bool:
    """Return whether a projection is Mercator's, whose scale grows towards the poles, and none of its kin."""
    return "Mercator" in method and "Transverse" not in method and "Oblique" not in method


def _mercator_shrinkage(system: Any, affine: Affine, shape: tuple[int, int]) -> float:
    """Return ground metres per metre of a Mercator map at the image's centre; 1 of maps whose scale is near 1."""
    from pyproj import Proj

    operation = system.coordinate_operation
    if not _is_plain_mercator(operation.method_name if operation is not None else ""):
        return 1.0
    latitude = float(Proj(system)(*pixel_centre(affine, shape), inverse=True)[1])
    return max(math.cos(math.radians(latitude)), 1e-3)


def _name(crs: str) -> str:
    """Return a reference system in words."""
    system = _parse(crs)
    if system.is_engineering:
        return f"local system {system.name!r}, {system.axis_info[0].unit_name if system.axis_info else 'unknown unit'}"
    return crs if crs.startswith("EPSG:") else str(system.name)

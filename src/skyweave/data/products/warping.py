"""A raster that ground control points place, on a plain map grid: GDAL's thin plate spline goes through every point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from skyweave.core.geometry.utm import utm_crs

ControlPoint = tuple[float, float, float, float, float]
"""Column, row, longitude or x, latitude or y, height."""
MAX_ERROR_PIXELS = 0.125  # of places between those that are computed exactly
BLOCK_SIDE = 512


@dataclass(frozen=True)
class WarpedGrid:
    """A plain grid in metres: its system as WKT, its GDAL affine and (rows, columns)."""

    crs: str
    affine: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]


def plan_map_grid(points: Sequence[ControlPoint], crs: str, metres: float) -> WarpedGrid:
    """Return the grid that holds all control points, in the UTM zone at their centre.

    Args:
        points: of the raster, up to its edges.
        crs: of them, as WKT.
        metres: pixel side.
    """
    from rasterio.crs import CRS
    from rasterio.warp import transform

    x, y = ([point[axis] for point in points] for axis in (2, 3))
    longitudes, latitudes = transform(crs, "EPSG:4326", x, y)
    turned = np.radians(longitudes)  # averaged on the circle: points may lie on both sides of 180 degrees
    longitude = float(np.degrees(np.arctan2(np.sin(turned).mean(), np.cos(turned).mean())))
    target = CRS.from_user_input(utm_crs(float(np.mean(latitudes)), longitude)).to_wkt()
    east, north = transform(crs, target, x, y)
    left, bottom = (float(np.floor(min(values) / metres) * metres) for values in (east, north))
    right, top = (float(np.ceil(max(values) / metres) * metres) for values in (east, north))
    shape = round((top - bottom) / metres), round((right - left) / metres)
    return WarpedGrid(target, (metres, 0.0, left, 0.0, -metres, top), shape)


def warp_raster(source: str, bands: Sequence[Any], points: Sequence[ControlPoint], crs: str, grid: WarpedGrid) -> Any:
    """Return a virtual raster, as XML, that is the source on the grid; values are interpolated (bilinear).

    Args:
        source: GDAL's name of a raster, or a virtual raster as text.
        bands: its bands, as `skyweave.data.products.product.ProductBand`.
        points: that place it.
        crs: of them, as WKT.
        grid: of the result.
    """
    size = {"rasterXSize": str(grid.shape[1]), "rasterYSize": str(grid.shape[0])}
    root = ElementTree.Element("VRTDataset", {**size, "subClass": "VRTWarpedDataset"})
    a, b, c, d, e, f = grid.affine
    _add(root, "SRS", grid.crs)
    _add(root, "GeoTransform", _join(c, a, b, f, d, e))
    for number, band in enumerate(bands, start=1):
        kind = {"dataType": "Float32", "band": str(number), "subClass": "VRTWarpedRasterBand"}
        element = ElementTree.SubElement(root, "VRTRasterBand", kind)
        _add(element, "Description", band.name)
        if band.unit:
            _add(element, "UnitType", band.unit)
        _add(element, "NoDataValue", repr(band.nodata))
    _add(root, "BlockXSize", str(min(BLOCK_SIDE, grid.shape[1])))
    _add(root, "BlockYSize", str(min(BLOCK_SIDE, grid.shape[0])))
    _add_options(root, source, bands, points, crs, grid)
    return root


def add_control_points(element: Any, points: Sequence[ControlPoint], **attributes: str) -> None:
    """Add control points to a virtual raster.

    Args:
        element: of its XML.
        points: to add.
        attributes: of their list.
    """
    listed = ElementTree.SubElement(element, "GCPList", attributes)
    for number, point in enumerate(points):
        place = dict(zip(("Pixel", "Line", "X", "Y", "Z"), map(repr, point), strict=True))
        ElementTree.SubElement(listed, "GCP", {"Id": str(number), **place})


def _add_options(
    root: Any, source: str, bands: Sequence[Any], points: Sequence[ControlPoint], crs: str, grid: WarpedGrid
) -> None:
    """Add how GDAL warps: the text that `gdalwarp -of VRT -tps` writes."""
    options = ElementTree.SubElement(root, "GDALWarpOptions")
    _add(options, "ResampleAlg", "Bilinear")
    _add(options, "WorkingDataType", "Float32")
    for name, value in (("INIT_DEST", "NO_DATA"), ("ERROR_OUT_IF_EMPTY_SOURCE_WINDOW", "FALSE")):
        ElementTree.SubElement(options, "Option", name=name).text = value
    ElementTree.SubElement(options, "SourceDataset", relativeToVRT="0").text = source
    approximate = _nest(options, "Transformer", "ApproxTransformer")
    _add(approximate, "MaxError", str(MAX_ERROR_PIXELS))
    general = _nest(approximate, "BaseTransformer", "GenImgProjTransformer")
    spline = _nest(general, "SrcTPSTransformer", "TPSTransformer")
    _add(spline, "Reversed", "0")
    add_control_points(spline, points)
    a, b, c, d, e, f = grid.affine
    _add(general, "DstGeoTransform", _join(c, a, b, f, d, e))
    _add(general, "DstInvGeoTransform", _join(-c / a, 1 / a, 0.0, -f / e, 0.0, 1 / e))
    systems = _nest(general, "ReprojectTransformer", "ReprojectionTransformer")
    _add(systems, "SourceSRS", crs)
    _add(systems, "TargetSRS", grid.crs)
    mapping = ElementTree.SubElement(options, "BandList")
    for number, band in enumerate(bands, start=1):
        element = ElementTree.SubElement(mapping, "BandMapping", src=str(number), dst=str(number))
        for side in ("Src", "Dst"):
            _add(element, f"{side}NoDataReal", repr(band.nodata))
            _add(element, f"{side}NoDataImag", "0")


def _nest(element: Any, outer: str, inner: str) -> Any:
    return ElementTree.SubElement(ElementTree.SubElement(element, outer), inner)


def _add(element: Any, name: str, text: str) -> None:
    ElementTree.SubElement(element, name).text = text


def _join(*numbers: float) -> str:
    return ",".join(map(repr, numbers))

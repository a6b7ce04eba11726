"""A product as one raster: GDAL's virtual one, whose bands are the product's files on the grid of the finest."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from skyweave.core.errors import DataError
from skyweave.data.products.gains import GainGrid
from skyweave.data.products.product import Product, ProductBand, QualityBand
from skyweave.data.products.warping import ControlPoint, add_control_points, plan_map_grid, warp_raster

RESAMPLING = "bilinear"
"""Of bands on a coarser grid; pixels without data have no weight."""
GDAL_TYPES = {"uint8": "Byte", "int16": "Int16", "uint16": "UInt16", "float32": "Float32", "float64": "Float64"}


@dataclass(frozen=True)
class _Grid:
    """Pixels of one file: (rows, columns), GDAL affine, reference system as WKT, type, and control points."""

    shape: tuple[int, int]
    affine: tuple[float, ...]
    crs: str
    dtype: str
    points: tuple[ControlPoint, ...] = ()

    @property
    def area(self) -> float:
        """Return the area of a pixel in square units of the grid."""
        return abs(self.affine[0] * self.affine[4] - self.affine[1] * self.affine[3])


@lru_cache(maxsize=256)
def product_as_raster(product: Product) -> str:
    """Return a virtual raster, as text that GDAL opens like a file: names, scales, nodata and time are in it.

    Args:
        product: whose files are there.

    Raises:
        DataError: files in several reference systems.
        RasterioError: a file cannot be read.
    """
    grids = [_read_grid(band.file) for band in product.bands]
    finest = min(grids, key=lambda grid: grid.area)
    root = _dataset(finest)
    for number, (band, grid) in enumerate(zip(product.bands, grids, strict=True), start=1):
        _check_same_system(band, grid, finest)
        root.append(_band(number, band, grid, finest))
    if finest.points:
        root = _on_map(root, product, finest)
    if product.time:
        metadata = ElementTree.SubElement(root, "Metadata")
        ElementTree.SubElement(metadata, "MDI", key="datetime").text = product.time
    return ElementTree.tostring(root, encoding="unicode")


def _on_map(root: ElementTree.Element, product: Product, finest: "_Grid") -> ElementTree.Element:
    """Return a virtual raster that control points place on a map grid."""
    metres = min(band.metres or 0.0 for band in product.bands)
    if not metres > 0:
        raise DataError(f"{product.bands[0].file} is placed by control points, and no pixel size is known of it")
    grid = plan_map_grid(finest.points, finest.crs, metres)
    text = ElementTree.tostring(root, encoding="unicode")
    warped: ElementTree.Element = warp_raster(text, product.bands, finest.points, finest.crs, grid)
    return warped


@lru_cache(maxsize=256)
def quality_as_raster(product: Product, quality: QualityBand) -> str:
    """Return the band of qualities on the grid of the product, each pixel that of the nearest.

    Args:
        product: whose quality it is.
        quality: of it.

    Raises:
        RasterioError: a file cannot be read.
    """
    finest = min((_read_grid(band.file) for band in product.bands), key=lambda grid: grid.area)
    root = _dataset(finest)
    band = ProductBand("quality", quality.file, nodata=None)
    root.append(_band(1, band, _read_grid(quality.file), finest, resampling="nearest"))
    return ElementTree.tostring(root, encoding="unicode")


def _read_grid(file: str) -> _Grid:
    """Return the grid of a file."""
    import rasterio

    with rasterio.open(file) as dataset:
        points, system = dataset.gcps
        crs = dataset.crs or system
        return _Grid(
            (dataset.height, dataset.width),
            tuple(dataset.transform[:6]),
            crs.to_wkt() if crs else "",
            dataset.dtypes[0],
            tuple((point.col, point.row, point.x, point.y, point.z or 0.0) for point in points),
        )


def _check_same_system(band: ProductBand, grid: _Grid, finest: _Grid) -> None:
    if grid.crs != finest.crs or bool(grid.points) != bool(finest.points):
        raise DataError(f"{band.file} is in another reference system than the other bands of the product")


def _dataset(grid: _Grid) -> ElementTree.Element:
    """Return a virtual raster without bands."""
    root = ElementTree.Element("VRTDataset", rasterXSize=str(grid.shape[1]), rasterYSize=str(grid.shape[0]))
    if grid.points:
        add_control_points(root, grid.points, Projection=grid.crs)
        return root
    ElementTree.SubElement(root, "SRS").text = grid.crs
    a, b, c, d, e, f = grid.affine
    ElementTree.SubElement(root, "GeoTransform").text = ",".join(map(repr, (c, a, b, f, d, e)))
    return root


def _band(number: int, band: ProductBand, grid: _Grid, finest: _Grid, resampling: str = RESAMPLING) -> Any:
    """Return a band of a virtual raster."""
    if band.gain is not None:
        return _calibrated_band(number, band, band.gain, finest)
    element = ElementTree.Element("VRTRasterBand", dataType=GDAL_TYPES[grid.dtype], band=str(number))
    ElementTree.SubElement(element, "Description").text = band.name
    if band.unit:
        ElementTree.SubElement(element, "UnitType").text = band.unit
    if band.nodata is not None:
        ElementTree.SubElement(element, "NoDataValue").text = repr(band.nodata)
    if (band.scale, band.offset) != (1.0, 0.0):
        ElementTree.SubElement(element, "Scale").text = repr(band.scale)
        ElementTree.SubElement(element, "Offset").text = repr(band.offset)
    where = _extent(grid, finest)
    is_same = where == (0, 0, *reversed(finest.shape)) and grid.shape == finest.shape
    source = ElementTree.SubElement(element, "SimpleSource", {} if is_same else {"resampling": resampling})
    name = ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0")
    name.text = band.file if is_same or band.nodata is None else _with_nodata(band, grid)
    ElementTree.SubElement(source, "SourceBand").text = "1"
    _rectangle(source, "SrcRect", (0, 0, grid.shape[1], grid.shape[0]))
    _rectangle(source, "DstRect", where)
    return element


def _calibrated_band(number: int, band: ProductBand, gain: GainGrid, grid: _Grid) -> ElementTree.Element:
    """Return a band of squared values times factors that are interpolated from a small raster."""
    element = ElementTree.Element(
        "VRTRasterBand", dataType="Float32", band=str(number), subClass="VRTDerivedRasterBand"
    )
    ElementTree.SubElement(element, "Description").text = band.name
    ElementTree.SubElement(element, "NoDataValue").text = repr(band.nodata)
    ElementTree.SubElement(element, "PixelFunctionType").text = "mul"
    ElementTree.SubElement(element, "SourceTransferType").text = "Float32"
    whole = (0.0, 0.0, float(grid.shape[1]), float(grid.shape[0]))
    points = (0.0, 0.0, float(gain.shape[1]), float(gain.shape[0]))
    factors = gain.write(), points, gain.extent(grid.shape), {"resampling": "bilinear"}
    for name, inside, where, attributes in ((band.file, whole, whole, {}), (band.file, whole, whole, {}), factors):
        source = ElementTree.SubElement(element, "SimpleSource", attributes)
        ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0").text = name
        ElementTree.SubElement(source, "SourceBand").text = "1"
        _rectangle(source, "SrcRect", inside)
        _rectangle(source, "DstRect", where)
    return element


def _with_nodata(band: ProductBand, grid: _Grid) -> str:
    """Return a raster of one file that knows what no data is: GDAL then gives those pixels no weight."""
    root = _dataset(grid)
    root.append(_band(1, ProductBand(band.name, band.file, nodata=band.nodata), grid, grid))
    return ElementTree.tostring(root, encoding="unicode")


def _extent(grid: _Grid, finest: _Grid) -> tuple[float, float, float, float]:
    """Return (column, row, columns, rows) of a file in the pixels of the finest grid, to a millionth."""
    if grid.points:
        return 0, 0, finest.shape[1], finest.shape[0]
    a, b, c, d, e, f = finest.affine
    p, q, r, s, t, u = grid.affine
    area = a * e - b * d
    rows, columns = grid.shape
    corners = [(r, u), (p * columns + q * rows + r, s * columns + t * rows + u)]
    (left, top), (right, bottom) = (
        ((e * (x - c) - b * (y - f)) / area, (a * (y - f) - d * (x - c)) / area) for x, y in corners
    )
    return round(left, 6), round(top, 6), round(right - left, 6), round(bottom - top, 6)


def _rectangle(source: ElementTree.Element, name: str, extent: tuple[float, float, float, float]) -> None:
    keys = ("xOff", "yOff", "xSize", "ySize")
    ElementTree.SubElement(source, name, {key: repr(value) for key, value in zip(keys, extent, strict=True)})

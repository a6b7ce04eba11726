"""Whether a raster lies on the grid of an image, and the flip, crop or repetition of pixels that puts it there."""

import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.header import RasterHeader

MAX_MISPLACEMENT = 0.1
"""Pixels of the image by which a raster may lie beside its grid and still be taken to lie on it."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
Matrix = np.ndarray
"""(2, 3) float64: pixels of a raster to pixels of an image, column first."""


@dataclass(frozen=True)
class AxisAlignment:
    """How pixels of a raster become pixels of an image along one axis, where no value has to be made up.

    Attributes:
        flip: it runs the other way.
        repeat: how often each of its pixels is repeated.
        start: of these, the first that lies in the image.
        count: of these, how many do.
        block: how many of these are one pixel of the image.
    """

    flip: bool
    repeat: int
    start: int
    count: int
    block: int

    @property
    def is_resized(self) -> bool:
        """Whether the pixels are of another size than the image's."""
        return self.repeat * self.block > 1


@dataclass(frozen=True)
class Alignment:
    """How a raster becomes one on an image's grid.

    Attributes:
        columns: along its columns.
        rows: along its rows.
        mixed: what to say where pixels that become one differ.
    """

    columns: AxisAlignment
    rows: AxisAlignment
    mixed: str

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the values on the image's grid.

        Args:
            values: (..., rows, columns) of the raster.

        Returns:
            (..., rows, columns) of the image.

        Raises:
            DataError: several pixels are one of the image, and they differ.
        """
        for number, axis in ((-1, self.columns), (-2, self.rows)):
            values = np.swapaxes(self._along_last(np.swapaxes(values, number, -1), axis), number, -1)
        return np.ascontiguousarray(values)

    def _along_last(self, values: np.ndarray, axis: AxisAlignment) -> np.ndarray:
        values = values[..., ::-1] if axis.flip else values
        values = np.repeat(values, axis.repeat, -1) if axis.repeat > 1 else values
        values = values[..., axis.start : axis.start + axis.count]
        if axis.block == 1:
            return values
        blocks = values.reshape(*values.shape[:-1], -1, axis.block)
        if not ((blocks == blocks[..., :1]) | (blocks != blocks)).all():  # NaN equals nothing
            raise DataError(self.mixed)
        return blocks[..., 0]


def align(
    raster: RasterHeader, image: RasterHeader, resampling: str, fill: str, same_pixels: bool = False
) -> Alignment | None:
    """Return how a raster is brought onto an image's grid; None where it is on it already.

    Exact are the same grid in another order of rows or columns or another name of the reference system, a larger grid
    of the same pixels, and pixels whose sides are whole multiples of the image's, or whole parts of them that do not
    differ. Where one of both has no georeference, they must have the same shape.

    Args:
        raster: what goes with the image.
        image: its grid counts.
        resampling: what rasterio is to resample by, in the remedy.
        fill: value where the raster has none, in the remedy.
        same_pixels: pixels of another size are not exact: they are measurements, no classes.

    Raises:
        DataError: they cannot be brought to one grid exactly; names both, their extents and the remedy.
    """
    if not (_is_placed(raster) and _is_placed(image)):
        _check_shapes(raster, image)
        return None
    if (raster.crs, raster.affine, raster.shape) == (image.crs, image.affine, image.shape):
        return None
    places, target = _comparable_pixels(raster, image)
    remedy = _remedy(raster, image, target, resampling, fill)
    columns, rows = _align_axes(_fit_matrix(places, target), raster, image)
    if columns is None or rows is None or (same_pixels and (columns.is_resized or rows.is_resized)):
        raise DataError(
            f"{raster.path} does not lie on the grid of {image.path}: it covers {describe_grid(raster)}, the image "
            f"{describe_grid(image)}; {remedy}"
        )
    mixed = f"{raster.path} has smaller pixels than {image.path}, and those that are one pixel of it differ; {remedy}"
    return Alignment(columns, rows, mixed)


def _comparable_pixels(raster: RasterHeader, image: RasterHeader) -> tuple[np.ndarray, np.ndarray]:
    """Return places of a raster in its pixels and in the image's. Raises ``DataError`` between unrelated systems."""
    try:
        return _image_pixels(raster, image)
    except DataError as error:
        raise DataError(
            f"{raster.path} cannot be compared with the grid of {image.path}: {error}; where it is the same system: "
            f"`rio edit-info --crs {shlex.quote(image.crs or '')} {shlex.quote(str(raster.path))}`"
        ) from error


def _align_axes(
    matrix: Matrix | None, raster: RasterHeader, image: RasterHeader
) -> tuple[AxisAlignment | None, AxisAlignment | None]:
    """Return how columns and rows become those of the image; None where that is not exact."""
    if matrix is None:
        return None, None
    columns = _align_axis(matrix[0, 0], matrix[0, 2], raster.shape[1], image.shape[1])
    return columns, _align_axis(matrix[1, 1], matrix[1, 2], raster.shape[0], image.shape[0])


def describe_grid(header: RasterHeader) -> str:
    """Return extent, reference system and pixel size in words.

    Args:
        header: of a raster with a georeference.
    """
    left, bottom, right, top = header.bounds
    a, b, _, d, e, _ = header.affine
    size = f"{header.shape[0]} x {header.shape[1]} pixels of {np.hypot(b, e):.6g} x {np.hypot(a, d):.6g}"
    return f"x {left:.10g} to {right:.10g} and y {top:.10g} to {bottom:.10g} in {_crs_name(header.crs)} by {size}"


def _is_placed(header: RasterHeader) -> bool:
    return header.crs is not None or header.affine != IDENTITY


def _check_shapes(raster: RasterHeader, image: RasterHeader) -> None:
    """Refuse another shape where nothing else says how both lie."""
    if raster.shape != image.shape:
        rows, columns = raster.shape
        raise DataError(
            f"{raster.path} has {rows} x {columns} pixels, its image {image.shape[0]} x {image.shape[1]}; bring both "
            "to one grid"
        )


def _align_axis(scale: float, offset: float, size: int, image_size: int) -> AxisAlignment | None:
    """Return how pixels become those of the image, at scale x theirs + offset; None where that is not exact."""
    flip = scale < 0
    if flip:
        scale, offset = -scale, offset + scale * size
    if not scale > 0:
        return None
    repeat, block = max(1, round(scale)), max(1, round(1 / scale))
    start = round(-offset * block)
    ends = np.array([-offset, image_size - offset]) / scale
    misplaced = np.abs(ends * repeat / block - start / block - np.array([0, image_size])).max()
    count = image_size * block
    if misplaced > MAX_MISPLACEMENT or start < 0 or start + count > size * repeat:
        return None
    return AxisAlignment(flip, repeat, start, count, block)


def _image_pixels(raster: RasterHeader, image: RasterHeader) -> tuple[np.ndarray, np.ndarray]:
    """Return nine places of a raster, in its pixels and in the image's: (3, 9) of column, row and 1, and (2, 9)."""
    rows, columns = raster.shape
    column, row = (side.ravel() for side in np.meshgrid(np.linspace(0, columns, 3), np.linspace(0, rows, 3)))
    a, b, c, d, e, f = raster.affine
    x, y = _transform(a * column + b * row + c, d * column + e * row + f, raster.crs, image.crs)
    a, b, c, d, e, f = image.affine
    places = np.stack([column, row, np.ones(len(column))])
    return places, np.linalg.pinv(np.array([[a, b], [d, e]])) @ np.stack([x - c, y - f])


def _fit_matrix(places: np.ndarray, target: np.ndarray) -> Matrix | None:
    """Return the map from the raster's pixels to the image's; None where it turns or bends."""
    if not np.isfinite(target).all():
        return None
    matrix = np.linalg.lstsq(places.T, target.T, rcond=None)[0].T
    bent = np.abs(matrix @ places - target).max()
    turned = max(abs(matrix[0, 1]) * places[1].max(), abs(matrix[1, 0]) * places[0].max())
    return matrix if max(bent, turned) <= MAX_MISPLACEMENT else None


def _transform(x: np.ndarray, y: np.ndarray, crs: str | None, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates in another reference system; the same where one is not known, infinity where none are."""
    transformer = None if crs is None or target is None or crs == target else _transformer(crs, target)
    if transformer is None:
        return x, y
    moved = transformer.transform(x, y)
    return np.asarray(moved[0]), np.asarray(moved[1])


@lru_cache(maxsize=64)
def _transformer(crs: str, target: str) -> Any:
    """Return a transformer; None between two names of one reference system."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    first, second = CRS.from_user_input(crs), CRS.from_user_input(target)
    if first.equals(second, ignore_axis_order=True):
        return None
    try:
        return Transformer.from_crs(first, second, always_xy=True)
    except ProjError as error:
        raise DataError(f"{first.name!r} and {second.name!r} have no known relation ({error})") from error


def _crs_name(crs: str | None) -> str:
    if crs is None or crs.startswith("EPSG:"):
        return crs or "an unknown reference system"
    from pyproj import CRS

    return CRS.from_user_input(crs).name


def _share_ground(target: np.ndarray, image: RasterHeader) -> bool:
    """Return whether any of a raster, at (2, places) columns and rows of an image, can lie in it."""
    low, high = target.min(1), target.max(1)
    rows, columns = image.shape
    return bool(np.isfinite(target).all() and (high > 0).all() and (low < (columns, rows)).all())


def _remedy(raster: RasterHeader, image: RasterHeader, target: np.ndarray, resampling: str, fill: str) -> str:
    """Return what to do: another file where they share no ground, else the command that resamples it."""
    if not _share_ground(target, image):
        return "they share no ground: name the file that goes with the image"
    aligned = Path(raster.path).with_name(f"{Path(raster.path).stem}_aligned.tif")
    nodata = raster.nodata[0]
    options = "" if nodata is not None else f" --src-nodata {fill} --dst-nodata {fill}"
    value = fill if nodata is None else f"{nodata:g}"
    command = (
        f"rio warp {shlex.quote(str(raster.path))} {shlex.quote(str(aligned))} --like {shlex.quote(str(image.path))} "
        f"--resampling {resampling}{options}"
    )
    return f"resample it with `{command}`; {value} is where it has no value"

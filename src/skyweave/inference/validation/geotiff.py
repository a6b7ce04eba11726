"""Whether a GeoTIFF of embeddings is cloud-optimised, says where it lies, and has overviews that mean something."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.quiet import ignore_warnings
from skyweave.inference.validation.finding import Finding

SAMPLE = 256
"""Side of the window in which overviews are compared with the pixels, in pixels of the overview."""
MIN_EMBEDDING_BANDS = 8
"""Fewer bands are no embedding, whose overviews may have been made in any way."""
REBUILD = "build them with average resampling: gdaladdo -r average, before the file is made a COG"


def validate_geotiff(path: Path) -> Iterator[Finding]:
    """Yield what departs from a cloud-optimised GeoTIFF, or from good practice for embeddings.

    Args:
        path: of the file.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rio_cogeo.cogeo import cog_validate

    with ignore_warnings(NotGeoreferencedWarning):
        try:
            _, errors, notes = cog_validate(str(path), quiet=True)
            for problem in errors:
                yield Finding("error", "COG", problem, "convert it: rio cogeo create IN.tif OUT.tif")
            for problem in notes:
                yield Finding("warning", "COG", problem, "convert it: rio cogeo create IN.tif OUT.tif")
            with rasterio.open(path) as file:
                yield from _check_header(file)
                yield from _check_values(file)
                has_overviews = file.count >= MIN_EMBEDDING_BANDS and bool(file.overviews(1))
            if has_overviews:
                yield from _check_overviews(path)
        except RasterioError as error:
            yield Finding("error", "file", f"cannot be read: {error}", "write it anew")


def _check_header(file: Any) -> Iterator[Finding]:
    from rasterio.enums import MaskFlags

    if file.crs is None:
        yield Finding("error", "CRS", "is missing", "write it: rio edit-info --crs EPSG:32633 FILE, with your code")
    if file.transform.is_identity:
        yield Finding("error", "transform", "is missing", "write it: rio edit-info --transform ... FILE")
    if MaskFlags.all_valid in file.mask_flag_enums[0]:
        yield Finding("warning", "nodata", "is not declared", "declare it: NaN for floats, -128 for int8")
    is_quantised = np.issubdtype(np.dtype(file.dtypes[0]), np.integer) and file.count >= MIN_EMBEDDING_BANDS
    if is_quantised and set(file.scales) == {1.0} and set(file.offsets) == {0.0}:
        remedy = "write GDAL's scale and offset of every band, so that readers restore the values"
        yield Finding("warning", "scale", f"and offset are missing of {file.dtypes[0]} values", remedy)
    if file.compression is None:
        yield Finding("warning", "compression", "is none", "compress with ZSTD and predictor 2")


def _check_values(file: Any) -> Iterator[Finding]:
    """Look at one block: values that a reader of the declared nodata takes for numbers."""
    from rasterio.windows import Window

    side = min(SAMPLE, file.height, file.width)
    window = Window((file.width - side) // 2, (file.height - side) // 2, side, side)
    values = file.read(1, window=window)
    if np.issubdtype(values.dtype, np.floating):
        if np.isinf(values).any():
            yield Finding("error", "values", "hold infinities", "write NaN and declare it as nodata")
        if np.isnan(values).any() and not (file.nodata is not None and np.isnan(file.nodata)):
            yield Finding("error", "nodata", f"is {file.nodata}, and there are NaN", "declare NaN as nodata")


def _check_overviews(path: Path) -> Iterator[Finding]:
    """Yield a finding where the first overview picks pixels instead of averaging them."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as fine, rasterio.open(path, overview_level=0) as coarse:
        if fine.overviews(1)[0] != 2:
            return
        side = min(SAMPLE, coarse.height - 1, coarse.width - 1)
        averaged = coarse.read(1, window=Window(0, 0, side, side))
        pixels = fine.read(1, window=Window(0, 0, 2 * side, 2 * side))
    picked = [pixels[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    differs = np.stack([values != picked[0] for values in picked[1:]]).any(0) & np.isfinite(averaged)
    if differs.sum() and any((averaged == values)[differs].mean() > 0.99 for values in picked):
        yield Finding("warning", "overviews", "pick every second pixel (nearest neighbour)", REBUILD)

"""A raster as a GeoTIFF: one band a channel, nodata where there is none."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from skyweave.core.errors import ConfigError
from skyweave.inference.quantisation import INT8_NODATA, Int8Quantisation
from skyweave.inference.raster import FinishedRaster, RasterDescription
from skyweave.inference.writer import RasterWriter

BLOCK_VALUES = 1 << 20
"""Values of a block of the file, or somewhat fewer."""
MIN_BLOCK, MAX_BLOCK = 64, 512
"""Sides of a block of the file, in pixels; multiples of 16, as TIFF wants."""
MAX_FLOAT16 = float(np.finfo(np.float16).max)


class GeoTiffWriter(RasterWriter):
    """Write a tiled, compressed GeoTIFF.

    ``float16`` is a TIFF of 16-bit floats, which GDAL reads as float32. ``int8`` has each channel scaled to its range,
    with GDAL's scale and offset set to undo that.
    """

    suffixes = (".tif", ".tiff")
    storages = ("float16", "float32", "int8", "uint8", "uint16")

    def write(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Write whole blocks of the file, so that each is compressed once.

        Args:
            raster: that is finished.
            path: to write to.
            storage: one of ``storages``.

        Raises:
            ConfigError: features that float16 cannot hold.
        """
        description = raster.description
        quantisation = Int8Quantisation.of_range(raster.statistics) if storage == "int8" else None
        if storage == "float16" and _largest(raster) > MAX_FLOAT16:
            raise ConfigError("the features are larger than float16 can hold; add --dtype float32")
        profile = _profile(description, storage)
        with _quiet(), rasterio.open(path, "w", **profile) as target:
            target.descriptions = description.bands
            target.colorinterp = [ColorInterp.grey] + [ColorInterp.undefined] * (len(description.bands) - 1)
            target.update_tags(**description.provenance.tags)
            if description.classes:
                target.update_tags(1, **{f"CLASS_{number}": name for number, name in enumerate(description.classes)})
            if quantisation is not None:
                target.scales, target.offsets = tuple(quantisation.scales), tuple(quantisation.offsets)
            side = profile["blockxsize"]
            for row, column, values in raster.blocks(side, side):
                stored = values if quantisation is None else quantisation.quantise(values)
                target.write(stored, window=Window(column, row, values.shape[2], values.shape[1]))

    def verify(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Read everything back: GDAL writes late, and reports a disk that filled up meanwhile only in its log.

        A block that is not in the file is read as nodata; all channels of a pixel are in one block.

        Args:
            raster: that was written.
            path: of the file.
            storage: one of ``storages``.

        Raises:
            OSError: pixels are missing.
        """
        try:
            valid = _count_valid(path, _nodata(raster.description, storage))
        except RasterioError as error:
            reason = str(error.__cause__ or error)
            raise OSError(f"{path} cannot be read back ({reason}); the disk may be full: free some space") from error
        count = raster.statistics.count
        if valid != count:
            raise OSError(
                f"{path}: {count - valid} of {count} pixels were not written; "
                "the disk may be full: free some space or choose another -o"
            )


def _count_valid(path: Path, nodata: float) -> int:
    """Return how many pixels of a file hold data."""
    valid = 0
    with _quiet(), rasterio.open(path) as written:
        for _, window in written.block_windows(1):
            values = written.read(1, window=window)
            valid += int((~np.isnan(values) if math.isnan(nodata) else values != nodata).sum())
    return valid


def _largest(raster: FinishedRaster) -> float:
    """Return the largest magnitude of the values."""
    return float(max(-raster.statistics.smallest.min(), raster.statistics.largest.max()))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning about a missing coordinate reference system, of which a note tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _nodata(description: RasterDescription, storage: str) -> float:
    return INT8_NODATA if storage == "int8" else description.nodata


def _block_side(channels: int) -> int:
    """Return the side of a block: smaller for many channels."""
    side = math.isqrt(BLOCK_VALUES // channels) // 16 * 16
    return min(max(side, MIN_BLOCK), MAX_BLOCK)


def _profile(description: RasterDescription, storage: str) -> dict[str, Any]:
    channels, rows, columns = description.shape
    profile = {
        "driver": "GTiff",
        "height": rows,
        "width": columns,
        "count": channels,
        "dtype": "float32" if storage == "float16" else storage,
        "nodata": _nodata(description, storage),
        "crs": None if description.crs is None else CRS.from_wkt(description.crs),
        "transform": Affine(*description.transform),
        "tiled": True,
        "blockxsize": _block_side(channels),
        "blockysize": _block_side(channels),
        "interleave": "pixel",
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
    }
    return profile | ({"nbits": 16} if storage == "float16" else {})

"""A raster as a cloud-optimised GeoTIFF: one band a channel, tiles, overviews, the directories first."""

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.shutil import copy
from rasterio.windows import Window

from skyweave.core.quiet import ignore_warnings
from skyweave.inference.formats.half_floats import declare_half_floats, from_bits, to_bits
from skyweave.inference.formats.overviews import Level, average, coarsen, majority, overview_levels
from skyweave.inference.formats.tiff_storage import (
    STORAGES,
    SUFFIXES,
    class_tags,
    nodata_of,
    scaling_of,
    store_values,
)
from skyweave.inference.formats.virtual_raster import BandTexts, write_virtual_raster
from skyweave.inference.quantisation import Int8Quantisation
from skyweave.inference.quantisation_record import Quantisation, QuantisationError
from skyweave.inference.raster import FinishedRaster, RasterDescription
from skyweave.inference.stac.standard import COG_MEDIA_TYPE
from skyweave.inference.writer import RasterWriter

BLOCK_VALUES = 1 << 20
"""Values of a block of the file, or somewhat fewer."""
MIN_BLOCK, MAX_BLOCK = 64, 512
"""Sides of a block of the file, in pixels."""
BLOCK_MULTIPLE = 16
"""Of which TIFF wants sides to be multiples."""
NUMBER_KINDS = {"classes", "labels"}
"""Whose values have no mean."""


class GeoTiffWriter(RasterWriter):
    """Write a tiled, compressed GeoTIFF whose overviews are means of features, or the commonest class.

    ``float16`` is a TIFF of 16-bit floats, which GDAL reads as float32. ``int8`` has each channel scaled to its range,
    with GDAL's scale and offset set to undo that. Each copy lies on disk for a while: GDAL arranges the file from them.
    """

    suffixes = SUFFIXES
    storages = STORAGES
    media_type = COG_MEDIA_TYPE

    def write(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Write the raster and its coarser copies aside, then the file.

        Args:
            raster: that is finished.
            path: to write to.
            storage: one of ``storages``.

        Raises:
            ConfigError: features that float16 cannot hold.
            OSError: the disk is full.
        """
        scaling = scaling_of(raster, storage)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder, _quiet():
            levels, error = _write_levels(raster, Path(folder), storage, scaling)
            self.quantisation = _describe_storage(storage, scaling, error)
            try:
                _arrange(raster.description, levels, path, storage, self.quantisation)
            except CPLE_BaseError as error:  # the copy raises GDAL's errors as they are
                raise OSError(
                    f"{path} could not be written ({error}); the disk may be full: free some space"
                ) from error

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
            valid = _count_valid(path, nodata_of(raster.description, storage))
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


def _write_levels(
    raster: FinishedRaster, folder: Path, storage: str, scaling: Int8Quantisation | None
) -> tuple[list[tuple[Path, Level]], QuantisationError]:
    """Write the raster as it is stored and its coarser copies, each a file; return them, and what storing loses."""
    description, side, error = raster.description, _block_side(raster.description), QuantisationError()
    level = Level(description.rows, description.columns)
    levels = [(folder / "level0.tif", level)]
    with rasterio.open(levels[0][0], "w", **_profile(description, storage, level)) as target:
        for row, column, values in raster.blocks(side, side):
            stored = _store(values, storage, scaling)
            target.write(stored, window=Window(column, row, values.shape[2], values.shape[1]))
            if description.kind == "features":
                error.add(values, _restore(stored, storage, scaling))
    reduce = majority if description.kind in NUMBER_KINDS else average
    for coarser in overview_levels(description.rows, description.columns):
        finer_path, finer = levels[-1]
        path = folder / f"level{len(levels)}.tif"
        with (
            rasterio.open(finer_path) as source,
            rasterio.open(path, "w", **_profile(description, storage, coarser)) as target,
        ):
            read = _reader(source, storage)
            for row, column, values in coarsen(read, finer, nodata_of(description, storage), reduce, side):
                rounded = _store(values, storage, None)
                target.write(rounded, window=Window(column, row, values.shape[2], values.shape[1]))
        levels.append((path, coarser))
    return levels, error


def _reader(source: Any, storage: str) -> Any:
    def read(row: int, column: int, rows: int, columns: int) -> np.ndarray:
        stored: np.ndarray = source.read(window=Window(column, row, columns, rows))
        return from_bits(stored) if storage == "float16" else stored

    return read


def _store(values: np.ndarray, storage: str, scaling: Int8Quantisation | None) -> np.ndarray:
    """Return values as GDAL takes them."""
    stored = store_values(values, storage, scaling)
    return to_bits(stored) if storage == "float16" else stored


def _restore(stored: np.ndarray, storage: str, scaling: Int8Quantisation | None) -> np.ndarray:
    """Return what a reader sees of stored values."""
    if scaling is not None:
        return scaling.restore(stored)
    return from_bits(stored) if storage == "float16" else stored


def _describe_storage(storage: str, scaling: Int8Quantisation | None, error: QuantisationError) -> Quantisation:
    if scaling is not None:
        return Quantisation("linear", storage, tuple(scaling.scales), tuple(scaling.offsets), error)
    return Quantisation("half_precision" if storage == "float16" else "none", storage, error=error)


def _arrange(
    description: RasterDescription,
    levels: list[tuple[Path, Level]],
    path: Path,
    storage: str,
    quantisation: Quantisation,
) -> None:
    """Let GDAL copy the levels into one file, coarsest pixels first."""
    virtual, dtype = levels[0][0].with_name("levels.vrt"), _dtype(storage)
    scales = quantisation.scales or [None] * len(description.bands)
    offsets = quantisation.offsets or [None] * len(description.bands)
    bands = [BandTexts(*texts) for texts in zip(description.bands, scales, offsets, strict=True)]
    bands[0].tags.update(class_tags(description))
    tags = dict(description.provenance.tags)
    if quantisation.method != "none":
        tags["QUANTISATION_ERROR"] = ", ".join(
            f"{name} {value:g}" for name, value in quantisation.error.to_dict().items()
        )
    nodata = nodata_of(description, storage)
    write_virtual_raster(virtual, levels, bands, dtype, nodata, description.crs, description.transform, tags)
    side = _block_side(description)
    copy(
        virtual,
        path,
        driver="GTiff",
        copy_src_overviews=True,
        tiled=True,
        blockxsize=side,
        blockysize=side,
        interleave="pixel",
        compress="zstd",
        zstd_level=1,
        predictor=2,
        bigtiff="if_safer",
    )
    if storage == "float16":
        declare_half_floats(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning about a missing coordinate reference system, of which a note tells."""
    with ignore_warnings(NotGeoreferencedWarning):
        yield


def _dtype(storage: str) -> str:
    return "uint16" if storage == "float16" else storage  # see `declare_half_floats`


def _block_side(description: RasterDescription) -> int:
    """Return the side of a block: smaller for many channels, and such that the last ones are nearly full."""
    side = min(max(math.isqrt(BLOCK_VALUES // len(description.bands)), MIN_BLOCK), MAX_BLOCK)
    longer = max(description.rows, description.columns)
    return math.ceil(longer / math.ceil(longer / side) / BLOCK_MULTIPLE) * BLOCK_MULTIPLE


def _profile(description: RasterDescription, storage: str, level: Level) -> dict[str, Any]:
    """Return what a file of one level is: plain, since it lives for a moment."""
    side = _block_side(description)
    return {
        "driver": "GTiff",
        "height": level.rows,
        "width": level.columns,
        "count": len(description.bands),
        "dtype": _dtype(storage),
        "nodata": None if storage == "float16" else nodata_of(description, storage),
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        "interleave": "pixel",
        "bigtiff": "if_safer",
    }

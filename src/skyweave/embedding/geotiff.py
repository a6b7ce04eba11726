"""Features as a GeoTIFF: one band a channel, nodata where a patch has no valid pixel."""

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
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from skyweave.core.errors import ConfigError
from skyweave.embedding.writer import ChannelRanges, FeatureMap, FeatureWriter

BLOCK = 64
"""Side of a block of the file, in patches; a multiple of 16, as TIFF wants."""
INT8_NODATA = -128
MAX_INT8_LEVEL = 127
MAX_FLOAT16 = float(np.finfo(np.float16).max)


class GeoTiffWriter(FeatureWriter):
    """Write a tiled, compressed GeoTIFF.

    ``float16`` is a TIFF of 16-bit floats, which GDAL reads as float32. ``int8`` has each channel scaled to its range,
    with GDAL's scale and offset set to undo that; its values are kept as float32 in a second file until ranges are
    known.

    Args:
        path: file to write.
        feature_map: what is coming.
        storage: ``float32``, ``float16`` or ``int8``.
    """

    suffixes = (".tif", ".tiff")
    storages = ("int8", "float16", "float32")
    block_rows = BLOCK

    def __init__(self, path: Path, feature_map: FeatureMap, storage: str) -> None:
        super().__init__(path, feature_map, storage)
        self._float_path = path.with_name(f"{path.stem}.float{path.suffix}") if storage == "int8" else path
        self._profile = _profile(feature_map, storage)
        self._valid_patches = 0
        self._dataset: Any = None
        with _quiet():
            self._dataset = rasterio.open(self._float_path, "w", **self._profile)
        self._dataset.descriptions = tuple(f"feature {channel:03d}" for channel in range(feature_map.channels))
        self._dataset.colorinterp = [ColorInterp.grey] + [ColorInterp.undefined] * (feature_map.channels - 1)
        self._dataset.update_tags(**feature_map.tags)

    def write(self, row: int, features: np.ndarray) -> None:
        """Write some rows, whole blocks of the file at a time, so that each is compressed once.

        Args:
            row: number of the first.
            features: (channels, rows, columns) float32, NaN where a patch has no valid pixel.
        """
        if self.storage == "float16" and np.nanmax(np.abs(features), initial=0) > MAX_FLOAT16:
            raise ConfigError("the features are larger than float16 can hold; add --dtype float32")
        self._valid_patches += int((~np.isnan(features[0])).sum())
        window = Window(0, row, self.feature_map.columns, features.shape[1])
        self._dataset.write(features, window=window)

    def finish(self, ranges: ChannelRanges) -> None:
        """Close the file of floats, and quantise it for ``int8``.

        Args:
            ranges: of the channels, over which ``int8`` is scaled.
        """
        self._close_dataset()
        if self.storage == "int8":
            self._quantise(ranges)

    def read_blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield the blocks of the file of floats."""
        with _quiet(), rasterio.open(self._float_path) as source:
            for _, window in source.block_windows(1):
                yield window.row_off, window.col_off, source.read(window=window)

    def verify(self) -> None:
        """Read everything back: GDAL writes late, and reports a disk that filled up meanwhile only in its log.

        A block that is not in the file is read as nodata; all channels of a patch are in one block.
        """
        valid = 0
        with _quiet(), rasterio.open(self.path) as written:
            for _, window in written.block_windows(1):
                values = written.read(1, window=window)
                valid += int((values != INT8_NODATA).sum() if self.storage == "int8" else (~np.isnan(values)).sum())
        if valid != self._valid_patches:
            raise OSError(
                f"{self.path}: {self._valid_patches - valid} of {self._valid_patches} patches were not written; "
                "the disk may be full: free some space or choose another -o"
            )

    def close(self) -> None:
        """Close the file, and remove the file of floats where it is a second one."""
        self._close_dataset()
        if self._float_path != self.path:
            self._float_path.unlink(missing_ok=True)

    def _close_dataset(self) -> None:
        if self._dataset is not None:
            with _quiet():
                self._dataset.close()
            self._dataset = None

    def _quantise(self, ranges: ChannelRanges) -> None:
        """Write features as -127..127, each channel over its range."""
        spans = ranges.largest - ranges.smallest
        scales = np.where(spans > 0, spans / (2 * MAX_INT8_LEVEL), 1.0)
        offsets = (ranges.largest + ranges.smallest) / 2
        profile = {**self._profile, "dtype": "int8", "nodata": INT8_NODATA}
        with _quiet(), rasterio.open(self._float_path) as source, rasterio.open(self.path, "w", **profile) as target:
            target.descriptions, target.colorinterp = source.descriptions, source.colorinterp
            target.update_tags(**source.tags())
            target.scales, target.offsets = tuple(scales.tolist()), tuple(offsets.tolist())
            for _, window in source.block_windows(1):
                values = source.read(window=window)
                levels = np.round((values - offsets[:, None, None]) / scales[:, None, None])
                levels = levels.clip(-MAX_INT8_LEVEL, MAX_INT8_LEVEL)
                target.write(np.where(np.isnan(values), INT8_NODATA, levels).astype(np.int8), window=window)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning about a missing coordinate reference system, of which a note tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _profile(feature_map: FeatureMap, storage: str) -> dict[str, Any]:
    profile = {
        "driver": "GTiff",
        "height": feature_map.rows,
        "width": feature_map.columns,
        "count": feature_map.channels,
        "dtype": "float32",
        "nodata": math.nan,
        "crs": None if feature_map.crs is None else CRS.from_wkt(feature_map.crs),
        "transform": Affine(*feature_map.transform),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "pixel",
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
    }
    return profile | ({"nbits": 16} if storage == "float16" else {})

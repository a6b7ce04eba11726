"""Embeddings in a GeoTIFF, as `skyweave embed` and others write them: one band a channel, one pixel a patch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.raster_files import open_raster
from skyweave.search.places import GridPlaces
from skyweave.search.reader import FeatureSpace, PatchBlock, PatchReader

MIN_CHANNELS = 2
BLOCK_BYTES = 64 << 20  # of features that are read at a time


class GeoTiffPatches(PatchReader):
    """Reads any raster whose bands are the channels of embeddings.

    Stored integers are decoded by the scale and offset of their band. A patch is valid where its first band is finite
    and not nodata.

    Args:
        path: of the file.

    Raises:
        DataError: GDAL cannot read it, or it has a single band.
    """

    suffixes = (".tif", ".tiff", ".vrt")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with open_raster(path) as dataset:
            if dataset.count < MIN_CHANNELS:
                raise DataError(
                    f"{path} has one band, and embeddings have one a channel; is it another kind of raster?"
                )
            self.tags = dict(dataset.tags())
            self.shape: tuple[int, int] = dataset.shape
            self._affine = tuple(dataset.transform)[:6]
            self._crs = dataset.crs.to_wkt() if dataset.crs else None
            gsd = self.tags.get("GSD")
            self.space = FeatureSpace(
                dataset.count, self.tags.get("FINGERPRINT"), self.tags.get("SENSOR"), float(gsd) if gsd else None
            )

    def blocks(self) -> Iterator[PatchBlock]:
        """Yield all patches that have features, in the same order each time."""
        with open_raster(self.path) as dataset:
            for window in _windows(dataset):
                features, valid = _read(dataset, window)
                rows, columns = np.nonzero(valid)
                cells = (rows + window.row_off) * self.shape[1] + columns + window.col_off
                yield PatchBlock(np.ascontiguousarray(features[:, valid].T), cells)

    def places(self, positions: np.ndarray) -> GridPlaces:
        """Return the places of patches.

        Args:
            positions: of the blocks, in their order.
        """
        a, b, c, d, e, f = self._affine
        return GridPlaces(positions, self.shape, (a, b, c, d, e, f), self._crs)


def _windows(dataset: Any) -> Iterator[Any]:
    """Yield windows that cover the raster, of whole blocks where the file is tiled."""
    from rasterio.windows import Window

    block_rows, block_columns = dataset.block_shapes[0]
    rows_that_fit = BLOCK_BYTES // (4 * dataset.count * block_columns)
    rows = max(block_rows, rows_that_fit // block_rows * block_rows)
    for row in range(0, dataset.height, rows):
        for column in range(0, dataset.width, block_columns):
            height, width = min(rows, dataset.height - row), min(block_columns, dataset.width - column)
            yield Window(column, row, width, height)


def _read(dataset: Any, window: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return features (channels, rows, columns) float32 and where they are valid."""
    stored = dataset.read(window=window)
    valid = dataset.read_masks(1, window=window) > 0
    if np.issubdtype(stored.dtype, np.integer):
        scales, offsets = (np.array(values, np.float32)[:, None, None] for values in (dataset.scales, dataset.offsets))
        return stored * scales + offsets, valid
    features = stored.astype(np.float32, copy=False)
    return features, valid & np.isfinite(features).all(0)

"""Embeddings in a GeoTIFF, as `skyweave embed` and others write them: one band a channel, one pixel a patch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.raster_files import open_raster
from skyweave.search.places import GridPlaces
from skyweave.search.reader import FeatureSpace, PatchBlock, PatchReader, find_fills

MIN_CHANNELS = 2
BLOCK_BYTES = 64 << 20  # of features that are read at a time


class GeoTiffPatches(PatchReader):
    """Reads any raster whose bands are the channels of embeddings.

    Stored values are decoded by the scale and offset of their band. A patch is valid where its first band is not
    nodata, all are finite, and they do not all hold one number.

    Args:
        path: of the file.

    Raises:
        DataError: GDAL cannot read it, it has a single band, complex values, or colours.
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
            _check_is_embeddings(dataset, path, self.tags)
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
                features, valid, fills = _read(dataset, window)
                rows, columns = np.nonzero(valid)
                cells = (rows + window.row_off) * self.shape[1] + columns + window.col_off
                yield PatchBlock(np.ascontiguousarray(features[:, valid].T), cells, fills)

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


def _check_is_embeddings(dataset: Any, path: Path, tags: dict[str, str]) -> None:
    """Refuse what cannot be the channels of embeddings: complex values, and the colours of a picture."""
    if any(name.startswith("complex") for name in dataset.dtypes):
        raise DataError(f"{path} holds complex values, and embeddings are real; is it another kind of raster?")
    colours = [interpretation.name for interpretation in dataset.colorinterp[:3]]
    if colours == ["red", "green", "blue"] and "FINGERPRINT" not in tags:
        raise DataError(
            f"{path} is a picture (its bands are red, green and blue), and no embeddings; embed it first: "
            f"skyweave embed {path} -o FEATURES.tif --sensor rgb --unit uint8"
        )


def _read(dataset: Any, window: Any) -> tuple[np.ndarray, np.ndarray, dict[float, int]]:
    """Return features (channels, rows, columns) float32, where they are valid, and the fills that were left out."""
    stored = dataset.read(window=window)
    valid, fills = find_fills(stored, dataset.read_masks(1, window=window) > 0)
    features = stored.astype(np.float32, copy=False)
    if any(scale != 1 for scale in dataset.scales) or any(dataset.offsets):
        scales, offsets = (np.array(values, np.float32)[:, None, None] for values in (dataset.scales, dataset.offsets))
        features = features * scales + offsets
    return features, valid & np.isfinite(features).all(0), fills

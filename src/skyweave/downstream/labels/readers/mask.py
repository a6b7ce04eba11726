"""Labels in rasters, one an image, on its grid."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.tiles import Window


@dataclass(frozen=True)
class StoredMask:
    """The first band of a raster.

    Attributes:
        values: (rows, columns) as stored.
        valid: (rows, columns) bool, neither NaN nor what the file declares as nodata.
    """

    values: np.ndarray
    valid: np.ndarray


class MaskReader(LabelReader):
    """One raster an image; ``files`` holds ``{name}`` for the image's name."""

    needs_files = True

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredMask:
        # the mask of an image or of a window of it
        mask = _read_first_band(self.mask_path(path))
        if mask.values.shape != shape:
            rows, columns = mask.values.shape
            raise DataError(
                f"{self.mask_path(path)} has {rows} x {columns} pixels, its image {shape[0]} x {shape[1]}; bring both "
                "to one grid"
            )
        if window is None:
            return mask
        top, left, rows, columns = window
        part = (slice(top, top + rows), slice(left, left + columns))
        return StoredMask(mask.values[part], mask.valid[part])

    @override
    def source(self, path: Path) -> str:
        # the mask's path
        return str(self.mask_path(path))

    def mask_path(self, path: Path) -> Path:
        """Return the path of an image's mask.

        Args:
            path: of the image.
        """
        return self.root / (self.config.files or "").format(name=self.name_of(path))

    def _is_stored(self, path: Path) -> bool:
        return self.mask_path(path).is_file()


@lru_cache(maxsize=8)
def _read_first_band(path: Path) -> StoredMask:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                values, nodata = dataset.read(1), dataset.nodata
    except RasterioIOError as error:
        raise DataError(f"{path} cannot be read as a raster: {error}") from error
    valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    return StoredMask(values, valid if nodata is None else valid & (values != nodata))

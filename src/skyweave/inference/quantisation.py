"""Numbers as int8: each channel over its range, with the scale and offset that undo it."""

from dataclasses import dataclass

import numpy as np

from skyweave.inference.raster import RasterStatistics

INT8_NODATA = -128
MAX_INT8_LEVEL = 127


@dataclass(frozen=True)
class Int8Quantisation:
    """How floats become -127 to 127: ``value = level * scale + offset``, as GDAL and the Zarr conventions say it.

    Attributes:
        scales: (channels,) float64.
        offsets: (channels,) float64.
    """

    scales: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of_range(cls, statistics: RasterStatistics) -> "Int8Quantisation":
        """Return the quantisation of each channel over its range.

        Args:
            statistics: of the raster.
        """
        spans = statistics.largest - statistics.smallest
        scales = np.where(spans > 0, spans / (2 * MAX_INT8_LEVEL), 1.0)
        return cls(scales, (statistics.largest + statistics.smallest) / 2)

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Return int8 levels, `INT8_NODATA` for NaN.

        Args:
            values: (channels, rows, columns) float.
        """
        levels = np.round((values - self.offsets[:, None, None]) / self.scales[:, None, None])
        levels = levels.clip(-MAX_INT8_LEVEL, MAX_INT8_LEVEL)
        quantised: np.ndarray = np.where(np.isnan(values), INT8_NODATA, levels).astype(np.int8)
        return quantised

    def restore(self, levels: np.ndarray) -> np.ndarray:
        """Return the values of levels; `INT8_NODATA` is restored like any level.

        Args:
            levels: (channels, rows, columns) int8.

        Returns:
            float32 of the same shape.
        """
        restored: np.ndarray = levels * self.scales[:, None, None] + self.offsets[:, None, None]
        return np.asarray(restored, np.float32)

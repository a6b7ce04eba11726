"""How values, nodata and classes of a raster are kept in a GeoTIFF, whichever library writes it."""

import numpy as np

from skyweave.inference.quantisation import INT8_NODATA, Int8Quantisation
from skyweave.inference.quantisation_record import round_to_half
from skyweave.inference.raster import FinishedRaster, RasterDescription

SUFFIXES = (".tif", ".tiff")
STORAGES = ("float16", "float32", "int8", "uint8", "uint16")


def scaling_of(raster: FinishedRaster, storage: str) -> Int8Quantisation | None:
    """Return what int8 values are scaled by; None of other storages.

    Args:
        raster: that is finished.
        storage: one of `STORAGES`.
    """
    return Int8Quantisation.of_range(raster.statistics) if storage == "int8" else None


def store_values(values: np.ndarray, storage: str, scaling: Int8Quantisation | None) -> np.ndarray:
    """Return values as they are stored, 16-bit floats among them.

    Args:
        values: (bands, rows, columns).
        storage: one of `STORAGES`.
        scaling: of `scaling_of`.

    Raises:
        ConfigError: features that float16 cannot hold.
    """
    if scaling is not None:
        return scaling.quantise(values)
    return round_to_half(values) if storage == "float16" else values


def nodata_of(description: RasterDescription, storage: str) -> float:
    """Return the stored number that means no data.

    Args:
        description: of the raster.
        storage: one of `STORAGES`.
    """
    return INT8_NODATA if storage == "int8" else description.nodata


def class_tags(description: RasterDescription) -> dict[str, str]:
    """Return the names of classes as tags.

    Args:
        description: of the raster.
    """
    return {f"CLASS_{number}": name for number, name in enumerate(description.classes)}

"""Where a product says that the ground is seen clearly: no cloud, no shadow of one, no damaged pixel."""

from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.products.product import Product, QualityBand, find_product
from skyweave.data.products.shared import keep_open
from skyweave.data.products.virtual_raster import quality_as_raster


def read_clear_ground(path: str, window: Any, shape: tuple[int, int] | None) -> np.ndarray:
    """Return where the ground is clear, (1, rows, columns) bool.

    Args:
        path: of a product.
        window: as in `skyweave.data.stored_values.read_stored`.
        shape: as there.

    Raises:
        DataError: the path is no product, or its product has no classification; or that cannot be read.
    """
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError

    product, quality = _find_quality(path)
    try:
        with keep_open(quality_as_raster(product, quality)) as dataset:
            values = dataset.read([1], window=window, out_shape=shape and (1, *shape), resampling=Resampling.nearest)
    except RasterioError as error:
        raise DataError(f"{path}: {quality.file} cannot be read ({error.__cause__ or error})") from error
    return ~_find_unclear(values, quality)


def _find_quality(path: str) -> tuple[Product, QualityBand]:
    """Return the product that a path is, and its band of qualities."""
    product = find_product(path)
    if product is None or product.quality is None:
        kind = "no product of a known layout" if product is None else "a product without a classification of pixels"
        raise DataError(f"{path} is {kind}, so it does not say where clouds are; leave `clouds` out of its nodata")
    return product, product.quality


def _find_unclear(values: np.ndarray, quality: QualityBand) -> np.ndarray:
    """Return where values mean no clear ground."""
    unclear = np.isin(values, quality.values)
    for bit in quality.bits:
        unclear |= (values >> bit & 1).astype(bool)
    return unclear

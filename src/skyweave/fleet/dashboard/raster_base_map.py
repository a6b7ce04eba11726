"""A georeferenced raster beneath the objects of the live page: an orthophoto, a mosaic, a map."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from skyweave.core.errors import FleetError
from skyweave.fleet.dashboard.base_map import TILE_PIXELS, BackgroundMap, TileArea, levels_between

SAMPLE_PIXELS = 512  # a side, of which the stretch is estimated
STRETCH_PERCENTILES = (2, 98)  # of what is shown of values that are no 8-bit colours


class RasterBaseMap(BackgroundMap):
    """Tiles of a raster that GDAL reads; it is warped to the fleet's reference system while it is read.

    Args:
        path: of the raster.
        credit: whom the image is owed to.

    Raises:
        FleetError: it cannot be read, or has no place on Earth.
    """

    def __init__(self, path: str | Path, credit: str = "") -> None:
        super().__init__(credit)
        try:
            self._raster = rasterio.open(path)
        except RasterioError as error:
            raise FleetError(f"the base map {path} cannot be read: {error}") from None
        if self._raster.crs is None:
            raise FleetError(f"the base map {path} has no reference system; give it one with gdal_edit -a_srs")
        self._bands = _shown_bands(self._raster)
        self._palette = _palette(self._raster, 1) if len(self._bands) == 1 else None
        self._stretch = None if self._palette is not None else _estimate_stretch(self._raster, self._bands)

    def extent(self, crs: str | None) -> tuple[tuple[float, float, float, float], tuple[int, int]] | None:
        """Return bounds and levels; None where the fleet has no place on Earth, or the raster is nowhere near.

        Args:
            crs: of the fleet.
        """
        if crs is None:
            return None
        try:
            bounds = transform_bounds(self._raster.crs, crs, *self._raster.bounds)
        except (RasterioError, CRSError):
            return None
        if not np.isfinite(bounds).all():
            return None
        sides = bounds[2] - bounds[0], bounds[3] - bounds[1]
        finest = min(sides[0] / self._raster.width, sides[1] / self._raster.height)
        return bounds, levels_between(finest, max(sides))

    def render(self, area: TileArea, crs: str | None) -> np.ndarray | None:
        """Return a tile (256, 256, 4) uint8; None: nothing is there.

        Args:
            area: of the tile.
            crs: of the fleet.
        """
        if crs is None:
            return None
        west, _, _, north = area.bounds
        transform = rasterio.Affine(area.resolution, 0, west, 0, -area.resolution, north)
        has_mask = self._raster.nodata is not None or ColorInterp.alpha in self._raster.colorinterp
        try:
            with WarpedVRT(
                self._raster,
                crs=crs,
                transform=transform,
                width=TILE_PIXELS,
                height=TILE_PIXELS,
                resampling=Resampling.nearest if self._palette is not None else Resampling.bilinear,
                add_alpha=not has_mask,
            ) as warped:
                values, opacity = warped.read(self._bands), warped.dataset_mask()
        except (RasterioError, CRSError):  # of this tile; others may be whole
            return None
        return np.concatenate([self._colours(values), opacity[..., None]], -1) if opacity.any() else None

    def _colours(self, values: np.ndarray) -> np.ndarray:
        """Return (rows, columns, 3) uint8 of what was read."""
        if self._palette is not None:
            return np.asarray(self._palette[np.clip(values[0], 0, len(self._palette) - 1)])
        if self._stretch is not None:
            low, high = self._stretch
            scaled = (values.astype(np.float32) - low) / np.maximum(high - low, 1e-6)
            values = (255 * np.clip(np.nan_to_num(scaled), 0, 1)).astype(np.uint8)
        return np.moveaxis(np.repeat(values, 3, 0) if len(values) == 1 else values, 0, -1)


def _shown_bands(raster: Any) -> list[int]:
    """Return the numbers of the bands for red, green and blue, or of the only one that is shown."""
    kinds = list(raster.colorinterp)
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(colour in kinds for colour in colours):
        return [kinds.index(colour) + 1 for colour in colours]
    return [1, 2, 3] if sum(kind != ColorInterp.alpha for kind in kinds) >= 3 else [1]


def _palette(raster: Any, band: int) -> np.ndarray | None:
    """Return the colours (n, 3) uint8 of a band's values; None: it has no table of them."""
    try:
        table = raster.colormap(band)
    except ValueError:
        return None
    palette = np.zeros((max(table) + 1, 3), np.uint8)
    for value, colour in table.items():
        palette[value] = colour[:3]
    return palette


def _estimate_stretch(raster: Any, bands: list[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (low, high) of each band, (n, 1, 1), between which values are shown; None: they are 8-bit colours."""
    if all(raster.dtypes[band - 1] == "uint8" for band in bands):
        return None
    shape = (len(bands), min(raster.height, SAMPLE_PIXELS), min(raster.width, SAMPLE_PIXELS))
    sample = np.ma.filled(raster.read(bands, out_shape=shape, masked=True).astype(np.float64), np.nan)
    if np.isnan(sample).all((1, 2)).any():
        return np.zeros((len(bands), 1, 1)), np.ones((len(bands), 1, 1))
    low, high = np.nanpercentile(sample, STRETCH_PERCENTILES, axis=(1, 2))
    return low[:, None, None], high[:, None, None]

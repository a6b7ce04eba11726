"""Elevation models from any raster, on a map grid."""

from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel
from skyweave.data.header import open_raster

MIN_RESOLUTION_M = 0.05
MAX_CELLS_PER_SIDE = 2000  # finer heights do not help a mosaic


def read_elevation(path: str | Path, crs: str, bounds: tuple[float, float, float, float]) -> ElevationModel:
    """Read heights within bounds, reprojected bilinearly; what the raster does not know is NaN.

    Args:
        path: any single-band raster of heights in metres with a reference system.
        crs: of the map.
        bounds: (west, south, east, north) in metres of it.

    Raises:
        FileNotFoundError: no such file.
        DataError: GDAL cannot read the raster, it has no reference system, or covers nothing of the bounds.
        MissingExtraError: rasterio is not installed.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no such elevation model: {path}")
    with open_raster(Path(path)) as source:
        if source.crs is None:
            raise DataError(f"{path} has no reference system; an elevation model must say where it lies")
        grid = _map_grid(source, crs, bounds)
        heights = _reproject(source, grid, crs)
    if not np.isfinite(heights).any():
        raise DataError(f"{path} does not cover the images, which lie in {bounds} of {crs}; choose one that does")
    return ElevationModel(heights, grid)


def _map_grid(source: Any, crs: str, bounds: tuple[float, float, float, float]) -> MapGrid:
    """Return the grid over the bounds with cells as fine as the raster's pixels."""
    from rasterio.crs import CRS
    from rasterio.warp import transform_bounds

    west, _, east, _ = transform_bounds(source.crs, CRS.from_user_input(crs), *source.bounds)
    side = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    resolution = max(round((east - west) / source.width, 3), MIN_RESOLUTION_M, side / MAX_CELLS_PER_SIDE)
    return MapGrid.covering(bounds, resolution, crs)


def _reproject(source: Any, grid: MapGrid, crs: str) -> np.ndarray:
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    heights = np.full(grid.shape, np.nan)
    reproject(
        rasterio.band(source, 1),
        heights,
        dst_transform=rasterio.Affine(*grid.affine),
        dst_crs=rasterio.crs.CRS.from_user_input(crs),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    return heights

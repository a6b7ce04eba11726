"""Ground heights from any raster, on the map's own grid."""

from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel

MAX_CELLS_PER_SIDE = 2000  # a side, at most: heights finer than that do not help a mosaic


def read_elevation(path: str | Path, crs: str, bounds: tuple[float, float, float, float]) -> ElevationModel:
    """Heights around some places, reprojected bilinearly; what the raster does not know is NaN.

    Args:
        path: any single-band raster of heights in metres with a reference system.
        crs: of the map.
        bounds: (west, south, east, north) in it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the raster has no reference system, or covers nothing of the bounds.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import reproject, transform_bounds

    if not Path(path).exists():
        raise FileNotFoundError(f"no such elevation model: {path}")
    with rasterio.open(path) as source:
        if source.crs is None:
            raise DataError(f"{path} has no reference system; an elevation model must say where it lies")
        target = rasterio.crs.CRS.from_user_input(crs)
        west, _, east, _ = transform_bounds(source.crs, target, *source.bounds)
        side = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
        grid = MapGrid.covering(
            bounds, max(round((east - west) / source.width, 3), 0.05, side / MAX_CELLS_PER_SIDE), crs
        )
        heights = np.full(grid.shape, np.nan)
        reproject(
            rasterio.band(source, 1),
            heights,
            dst_transform=rasterio.Affine(*grid.affine),
            dst_crs=target,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )
    if not np.isfinite(heights).any():
        raise DataError(f"{path} does not cover the pictures, which lie in {bounds} of {crs}; choose one that does")
    return ElevationModel(heights, grid)

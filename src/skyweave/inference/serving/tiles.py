"""Tiles of the web mercator grid (EPSG 3857, 256 or 512 pixels a side) as PNG."""

import warnings

import numpy as np

from skyweave.core.images.png import encode_png
from skyweave.inference.serving.layers import MapLayer

MAX_ZOOM = 24
SIDES = (256, 512)


def render_tile(layer: MapLayer, zoom: int, column: int, row: int, side: int = SIDES[0]) -> bytes | None:
    """Return a tile as PNG, transparent where there is no data; None: the layer does not reach there.

    Args:
        layer: of the map.
        zoom: of the grid: 2 to the power of it are its rows and columns.
        column: from the west.
        row: from the north.
        side: pixels a side.

    Raises:
        OSError: the file cannot be read.
    """
    from rasterio.errors import NotGeoreferencedWarning
    from rio_tiler.errors import TileOutsideBounds
    from rio_tiler.io import Reader

    how = "bilinear" if layer.style.is_smooth else "nearest"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with Reader(str(layer.path)) as reader:
                tile = reader.tile(
                    column,
                    row,
                    zoom,
                    tilesize=side,
                    indexes=layer.style.indexes,
                    resampling_method=how,
                    reproject_method=how,
                    unscale=True,
                )
        except TileOutsideBounds:
            return None
    values = np.asarray(tile.array.data, np.float64)
    valid = ~np.ma.getmaskarray(tile.array).any(0) & np.isfinite(values).all(0)
    image = np.zeros((side, side, 4), np.uint8)
    image[valid, :3] = layer.style.colour(values[:, valid])
    image[valid, 3] = 255
    return encode_png(image)

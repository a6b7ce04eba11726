"""Tiles of the web mercator grid (EPSG 3857, 256 or 512 pixels a side) as PNG."""

from typing import Any

import numpy as np

from skyweave.core.images.png import encode_png
from skyweave.core.quiet import ignore_warnings
from skyweave.inference.serving.layers import MapLayer

MAX_ZOOM = 24
SIDES = (256, 512)
MERCATOR = "EPSG:3857"


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
    options = {"indexes": layer.style.indexes, "resampling_method": how, "reproject_method": how, "unscale": True}
    image = np.zeros((side, side, 4), np.uint8)
    with ignore_warnings(NotGeoreferencedWarning):
        try:
            with Reader(str(layer.path)) as reader:
                if zoom < layer.zooms[0]:
                    part, place = _read_far_out(reader, layer, (column, row, zoom), side, options)
                else:
                    part, place = reader.tile(column, row, zoom, tilesize=side, **options), (slice(None), slice(None))
        except TileOutsideBounds:
            return None
    values = np.asarray(part.array.data, np.float64)
    valid = ~np.ma.getmaskarray(part.array).any(0) & np.isfinite(values).all(0)
    image[place][valid, :3] = layer.style.colour(values[:, valid])
    image[place][valid, 3] = 255
    return encode_png(image)


def _read_far_out(
    reader: Any, layer: MapLayer, tile: tuple[int, int, int], side: int, options: dict[str, Any]
) -> tuple[Any, tuple[slice, slice]]:
    """Return the part of a tile that a layer covers, and its rows and columns in the tile.

    Where a layer is a corner of its tile, GDAL would compute all of the tile at the pixel size of the file: four times
    the work a zoom, minutes for the whole Earth.
    """
    from rasterio.warp import transform_bounds
    from rio_tiler.errors import TileOutsideBounds

    left, bottom, right, top = reader.tms.xy_bounds(*tile)
    west, south, east, north = transform_bounds("OGC:CRS84", MERCATOR, *layer.bounds)
    inside = max(west, left), max(south, bottom), min(east, right), min(north, top)
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise TileOutsideBounds(f"{layer.name} does not reach there")
    scale = side / (right - left)
    columns = _to_pixels((inside[0] - left) * scale, (inside[2] - left) * scale, side)
    rows = _to_pixels((top - inside[3]) * scale, (top - inside[1]) * scale, side)
    size = {"width": columns.stop - columns.start, "height": rows.stop - rows.start}
    return reader.part(inside, dst_crs=MERCATOR, bounds_crs=MERCATOR, **size, **options), (rows, columns)


def _to_pixels(first: float, last: float, side: int) -> slice:
    """Return the nearest whole pixels, at least one."""
    start = min(round(first), side - 1)
    return slice(start, max(start + 1, min(round(last), side)))

"""The polygons of a file in the reference system of a scene."""

from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.data.raster_image import RasterImage

GEOJSON_CRS = "OGC:CRS84"
FULL_TURN = 360  # degrees of longitude


def read_area(path: Path, image: RasterImage, exchanged: bool = False) -> tuple[dict[str, Any], ...]:
    """Return the polygons of a GeoJSON file in the reference system of an image, as GeoJSON geometries.

    Longitudes are taken on the image's side of the antimeridian: a polygon that crosses it is whole.

    Args:
        path: of the file; what it names as its system is heeded.
        image: with a place.
        exchanged: take the first coordinate as the latitude.

    Raises:
        ConfigError: the image has no place.
        DataError: the file is no GeoJSON, holds no polygon, or is in another system.
    """
    from skyweave.core.geometry.geojson import read_shapes

    if image.geotransform is None:
        raise ConfigError(f"--area {path}: {image.finest.path} has no place on the Earth; give --window")
    polygons = [shape.rings for shape in read_shapes(path) if shape.kind == "Polygon"]
    if not polygons:
        raise DataError(f"{path} holds no polygon; give a GeoJSON file of polygons in longitude and latitude")
    order = slice(None, None, -1 if exchanged else 1)
    return tuple(_on_image([ring[:, order] for ring in rings], image, path) for rings in polygons)


def _on_image(rings: list[np.ndarray], image: RasterImage, path: Path) -> dict[str, Any]:
    """Return a polygon in the reference system of an image."""
    from rasterio._err import CPLE_BaseError
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    assert image.geotransform is not None
    try:
        crs = CRS.from_user_input(image.geotransform.crs)
        placed = [np.transpose(transform(GEOJSON_CRS, crs, *ring.T)) for ring in rings]
    except (CPLE_BaseError, RasterioError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: its polygons cannot be brought from {GEOJSON_CRS} to the scene's reference system ({error}); "
            "give longitude and latitude, or --window"
        ) from error
    if crs.is_geographic:
        placed = [_beside(ring, image) for ring in placed]
    return {"type": "Polygon", "coordinates": [ring.tolist() for ring in placed]}


def _beside(ring: np.ndarray, image: RasterImage) -> np.ndarray:
    """Return places in degrees with longitudes within half a turn of an image's middle."""
    assert image.geotransform is not None
    a, b, c = image.geotransform.affine[:3]
    middle = c + a * image.shape[1] / 2 + b * image.shape[0] / 2
    shift = np.round((ring[:, 0] - middle) / FULL_TURN)  # others keep their numbers to the last digit
    return ring - np.stack([shift * FULL_TURN, np.zeros(len(ring))], 1)

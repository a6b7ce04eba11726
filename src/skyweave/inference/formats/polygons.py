"""Outlines of pixels as well-known binary, many at a time."""

import struct

import numpy as np

from skyweave.inference.raster import RasterDescription
from skyweave.inference.stac.footprint import split_at_antimeridian, to_degrees

BOX_FIELDS = ("xmin", "ymin", "xmax", "ymax")
CORNERS = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])
"""Column and row of a pixel's corners, counter-clockwise where north is up."""
LITTLE_ENDIAN, POLYGON, MULTI_POLYGON = 1, 3, 6
HALF_TURN_DEG = 180.0

RECORD = np.dtype(
    [("order", "u1"), ("kind", "<u4"), ("rings", "<u4"), ("points", "<u4"), ("corners", "<f8", (5, 2))], align=False
)
"""A polygon of one ring of four corners."""


def pixel_outlines(description: RasterDescription, at: np.ndarray) -> np.ndarray:
    """Return the corners of pixels, (pixels, 4, 2): longitude and latitude, or x and y without a reference system.

    Args:
        description: of the raster.
        at: (pixels, 2) row and column of each.
    """
    column = at[:, 1, None] + CORNERS[:, 0]
    row = at[:, 0, None] + CORNERS[:, 1]
    a, b, c, d, e, f = map(float, description.transform)
    corners = np.stack([a * column + b * row + c, d * column + e * row + f], -1)
    return corners if description.crs is None else to_degrees(corners, description.crs)


def bounding_boxes(outlines: np.ndarray) -> np.ndarray:
    """Return (pixels, 4): west, south, east, north; all longitudes for what crosses the antimeridian: none may miss it.

    Args:
        outlines: (pixels, 4, 2).
    """
    boxes: np.ndarray = np.concatenate([outlines.min(1), outlines.max(1)], 1)
    for number in np.flatnonzero(_crosses(outlines)):
        parts = split_at_antimeridian(outlines[number])
        boxes[number, 0], boxes[number, 2] = parts[0][:, 0].min(), parts[-1][:, 0].max()
        if len(parts) > 1:
            boxes[number, 0], boxes[number, 2] = -HALF_TURN_DEG, HALF_TURN_DEG
    return boxes


def encode_polygons(outlines: np.ndarray) -> tuple[list[bytes], bool]:
    """Return the polygons as well-known binary, and whether one is cut in two at the antimeridian.

    Args:
        outlines: (pixels, 4, 2).
    """
    records = np.zeros(len(outlines), RECORD)
    records["order"], records["kind"], records["rings"], records["points"] = LITTLE_ENDIAN, POLYGON, 1, 5
    records["corners"][:, :4], records["corners"][:, 4] = outlines, outlines[:, 0]
    size, data = RECORD.itemsize, records.tobytes()
    geometries = [data[start : start + size] for start in range(0, len(data), size)]
    is_cut = False
    for number in np.flatnonzero(_crosses(outlines)):
        parts = split_at_antimeridian(outlines[number])
        geometries[number] = _encode_parts(parts)
        is_cut = is_cut or len(parts) > 1
    return geometries, is_cut


def _crosses(outlines: np.ndarray) -> np.ndarray:
    """Return which outlines jump from one end of the longitudes to the other; coordinates in metres never do."""
    if np.abs(outlines[..., 0]).max(initial=0) > HALF_TURN_DEG:
        return np.zeros(len(outlines), bool)
    crosses: np.ndarray = np.ptp(outlines[..., 0], axis=1) > HALF_TURN_DEG
    return crosses


def _encode_parts(parts: list[np.ndarray]) -> bytes:
    encoded = [struct.pack("<BII", LITTLE_ENDIAN, MULTI_POLYGON, len(parts))] if len(parts) > 1 else []
    for part in parts:
        ring = np.concatenate([part, part[:1]]).astype("<f8")
        encoded += [struct.pack("<BIII", LITTLE_ENDIAN, POLYGON, 1, len(ring)), ring.tobytes()]
    return b"".join(encoded)

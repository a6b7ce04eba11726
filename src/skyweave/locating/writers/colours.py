"""A colour for each class, the same in every output."""

import zlib

PALETTE = ("#e4572e", "#2e86ab", "#3a9b52", "#a23bb0", "#d29a00", "#00a0a0", "#6a5acd", "#c2185b", "#607d8b", "#8d6e63")
KNOWN = {"car": 1, "person": 0, "pedestrian": 0, "truck": 2, "bus": 3, "bicycle": 4, "motorcycle": 5}


def colour_of(category: str) -> str:
    """Return a colour as ``#rrggbb``.

    Args:
        category: name of the class.
    """
    return PALETTE[KNOWN.get(category, zlib.crc32(category.encode()) % len(PALETTE))]

"""What lies beneath the objects of the live page: square tiles in the fleet's own metres.

A tile of level n has 256 x 256 pixels of 2^n metres; column and row count tiles east and north of the origin of the
reference system. Whatever a ground is made of, a browser draws it without knowing reference systems.
"""

import io
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

TILE_PIXELS = 256
MIN_LEVEL, MAX_LEVEL = -6, 12  # 1.6 cm to 4 km a pixel
MAX_TILES = 512  # that are kept
QUALITY = 80


@dataclass(frozen=True)
class TileArea:
    """Where a tile lies.

    Attributes:
        level: two to the power of it are the metres of a pixel.
        column: of tiles east of the origin.
        row: of tiles north of the origin.
    """

    level: int
    column: int
    row: int

    @property
    def resolution(self) -> float:
        """Side of a pixel in metres."""
        return float(2.0**self.level)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return (west, south, east, north) in metres."""
        side = TILE_PIXELS * self.resolution
        return self.column * side, self.row * side, (self.column + 1) * side, (self.row + 1) * side

    def pixel_centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x (256,) from the west and y (256,) from the north of the pixels' centres, metres."""
        west, _, _, north = self.bounds
        steps = (np.arange(TILE_PIXELS) + 0.5) * self.resolution
        return west + steps, north - steps


class BackgroundMap(ABC):
    """Base of everything that tiles are made of. May be asked by several threads.

    Attributes:
        version: grows when tiles change.
        credit: whom the image is owed to.
    """

    def __init__(self, credit: str = "") -> None:
        self.version, self.credit = 0, credit
        self._tiles: OrderedDict[tuple[TileArea, str | None, int], bytes] = OrderedDict()
        self._lock = threading.RLock()

    @abstractmethod
    def extent(self, crs: str | None) -> tuple[tuple[float, float, float, float], tuple[int, int]] | None:
        """Return bounds (west, south, east, north) in metres, and the first and last level; None: nothing is there.

        Args:
            crs: of the fleet.
        """

    @abstractmethod
    def render(self, area: TileArea, crs: str | None) -> np.ndarray | None:
        """Return a tile (256, 256, 4) uint8, red, green, blue and opacity; None: nothing is there.

        Args:
            area: of the tile.
            crs: of the fleet.
        """

    def json_content(self, crs: str | None) -> dict[str, Any] | None:
        """Return what a page must know to ask for tiles; None: there is nothing to ask for.

        Args:
            crs: of the fleet.
        """
        extent = self.extent(crs)
        if extent is None:
            return None
        bounds, levels = extent
        return {"version": self.version, "bounds": bounds, "levels": levels, "credit": self.credit}

    def tile(self, area: TileArea, crs: str | None) -> bytes:
        """Return a tile as WebP; an empty one where nothing is.

        Args:
            area: of the tile.
            crs: of the fleet.
        """
        key = area, crs, self.version
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
            pixels = self.render(area, crs) if self._contains(area, crs) else None
            encoded = EMPTY_TILE if pixels is None else _encode(pixels)
            self._tiles[key] = encoded
            while len(self._tiles) > MAX_TILES:
                self._tiles.popitem(last=False)
            return encoded

    def _contains(self, area: TileArea, crs: str | None) -> bool:
        extent = self.extent(crs)
        if extent is None or not extent[1][0] <= area.level <= extent[1][1]:
            return False
        west, south, east, north = area.bounds
        bounds = extent[0]
        return west < bounds[2] and east > bounds[0] and south < bounds[3] and north > bounds[1]


def levels_between(finest_m: float, widest_m: float) -> tuple[int, int]:
    """Return the first and the last level of a ground.

    Args:
        finest_m: side of its smallest pixels, metres.
        widest_m: side of the whole, metres.
    """
    first = int(np.clip(np.floor(np.log2(finest_m)), MIN_LEVEL, MAX_LEVEL))
    last = int(np.clip(np.ceil(np.log2(max(widest_m / TILE_PIXELS, finest_m))), first, MAX_LEVEL))
    return first, last


def _encode(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(stream, "WEBP", quality=QUALITY, method=0)
    return stream.getvalue()


EMPTY_TILE = _encode(np.zeros((1, 1, 4), np.uint8))

"""XYZ tiles beneath the objects of the live page: a folder, or a server that whoever runs the page declares.

Tiles are read by this program, not by browsers: the page asks nobody else for anything. They lie in Web Mercator
(EPSG:3857), ``{z}/{x}/{y}`` from the north-west, ``{-y}`` from the south-west, and are warped to the fleet's metres.
"""

import io
import math
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pyproj.exceptions import ProjError

from skyweave.core.errors import DataError, FleetError
from skyweave.core.images.decoding import open_image
from skyweave.fleet.dashboard.base_map import TILE_PIXELS, BackgroundMap, TileArea, levels_between

HALF_WORLD_M = 20_037_508.342789244  # of Web Mercator
MAX_ZOOM = 22
MAX_SOURCE_TILES = 24  # that one tile is made of
MAX_KEPT_TILES = 128  # decoded
MAX_TILE_BYTES = 1 << 21
MAX_TILE_PIXELS = 1 << 20
TIMEOUT_S = 5.0
WORLD_M = 2e7  # beyond which a reference system in metres has nothing
FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
USER_AGENT = "skyweave"

ReadTile = Callable[[str], bytes | None]
"""Returns the bytes at an address; None: there are none."""


class XyzBaseMap(BackgroundMap):
    """Tiles of a pyramid in Web Mercator.

    Args:
        template: folder, or path or http(s) address with ``{z}``, ``{x}`` and ``{y}`` or ``{-y}``.
        credit: whom the image is owed to.

    Raises:
        FleetError: a folder without tiles, or an address that is none.
    """

    def __init__(self, template: str, credit: str = "") -> None:
        super().__init__(credit)
        is_remote = template.startswith(("http://", "https://"))
        if "{z}" not in template:
            template = _folder_template(Path(template))
        if not ({"{x}", "{z}"} <= set(_fields(template)) and {"{y}", "{-y}"} & set(_fields(template))):
            raise FleetError(f"the base map {template!r} needs {{z}}, {{x}} and {{y}} in it")
        self._template, self._read = template, _read_remote if is_remote else _read_file
        self.max_zoom = MAX_ZOOM if is_remote else _deepest_zoom(template)
        self._decoded: OrderedDict[tuple[int, int, int], np.ndarray | None] = OrderedDict()

    def extent(self, crs: str | None) -> tuple[tuple[float, float, float, float], tuple[int, int]] | None:
        """Return bounds and levels: everywhere; None where the fleet has no place on Earth.

        Args:
            crs: of the fleet.
        """
        finest = 2 * HALF_WORLD_M / TILE_PIXELS / 2**self.max_zoom / 2  # metres of a pixel at 60 degrees
        return None if crs is None else ((-WORLD_M, -WORLD_M, WORLD_M, WORLD_M), levels_between(finest, WORLD_M))

    def render(self, area: TileArea, crs: str | None) -> np.ndarray | None:
        """Return a tile (256, 256, 4) uint8; None: nothing is there.

        Args:
            area: of the tile.
            crs: of the fleet.
        """
        x, y = np.meshgrid(*area.pixel_centres())
        try:
            east, north = _to_mercator(str(crs)).transform(x, y)
        except ProjError:
            return None
        if not (np.isfinite(east).all() and np.isfinite(north).all()):
            return None
        step = float(np.abs(np.diff(east[TILE_PIXELS // 2])).mean())  # metres of Mercator a pixel
        zoom = int(np.clip(round(math.log2(2 * HALF_WORLD_M / TILE_PIXELS / max(step, 1e-9))), 0, self.max_zoom))
        side = 2 * HALF_WORLD_M / 2**zoom
        columns, rows = (east + HALF_WORLD_M) / side, (HALF_WORLD_M - north) / side
        tiles = np.stack([np.floor(columns), np.floor(rows)], -1).astype(int)
        needed = np.unique(tiles.reshape(-1, 2), axis=0)
        if len(needed) > MAX_SOURCE_TILES:
            return None
        result = np.zeros((TILE_PIXELS, TILE_PIXELS, 4), np.uint8)
        for column, row in needed.tolist():
            source = self._tile(zoom, column, row)
            if source is not None:
                here = (tiles == (column, row)).all(-1)
                v = ((rows[here] - row) * source.shape[0]).astype(int)
                u = ((columns[here] - column) * source.shape[1]).astype(int)
                result[here] = source[v.clip(0, source.shape[0] - 1), u.clip(0, source.shape[1] - 1)]
        return result if result[..., 3].any() else None

    def _tile(self, zoom: int, column: int, row: int) -> np.ndarray | None:
        """Return the pixels (rows, columns, 4) of a tile of the pyramid; None: it has none there."""
        key = zoom, column, row
        if key not in self._decoded:
            address = self._template
            for name, value in (("z", zoom), ("x", column), ("y", row), ("-y", 2**zoom - 1 - row)):
                address = address.replace(f"{{{name}}}", str(value))
            self._decoded[key] = _decode(self._read(address))
            while len(self._decoded) > MAX_KEPT_TILES:
                self._decoded.popitem(last=False)
        return self._decoded[key]


def _fields(template: str) -> list[str]:
    return [field for field in ("{z}", "{x}", "{y}", "{-y}") if field in template]


def _folder_template(folder: Path) -> str:
    """Return the template of a folder of tiles."""
    for file in sorted(folder.glob("[0-9]*/[0-9]*/[0-9]*")):
        if file.suffix in SUFFIXES:
            return f"{folder}/{{z}}/{{x}}/{{y}}{file.suffix}"
    raise FleetError(
        f"{folder} holds no tiles {{z}}/{{x}}/{{y}}.png; gdal2tiles writes such a folder with its option for XYZ"
    )


def _deepest_zoom(template: str) -> int:
    """Return the largest zoom that a folder has."""
    root = Path(template.split("{z}")[0])
    zooms = [int(path.name) for path in root.glob("*") if path.name.isdigit()] if root.is_dir() else []
    if not zooms:
        raise FleetError(f"no tiles {template}")
    return min(max(zooms), MAX_ZOOM)


def _read_file(address: str) -> bytes | None:
    try:
        with open(address, "rb") as stream:
            return stream.read(MAX_TILE_BYTES)
    except OSError:
        return None


def _read_remote(address: str) -> bytes | None:
    try:
        request = urllib.request.Request(address, headers={"User-Agent": USER_AGENT})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            content: bytes = response.read(MAX_TILE_BYTES)
            return content
    except (OSError, urllib.error.URLError, ValueError):
        return None


def _decode(content: bytes | None) -> np.ndarray | None:
    if content is None:
        return None
    try:
        with open_image(io.BytesIO(content), "a tile", FORMATS, MAX_TILE_PIXELS) as image:
            return np.asarray(image.convert("RGBA"))
    except (DataError, OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=8)
def _to_mercator(crs: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "EPSG:3857", always_xy=True)

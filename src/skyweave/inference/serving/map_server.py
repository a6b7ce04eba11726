"""Layers over HTTP: tiles and their TileJSON for web maps and GIS programs, and a page that shows two side by side.

Who may ask is checked by `skyweave.core.http_server`; nothing is written, and only the files that were given are read.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from skyweave.core.http_server import HEADERS
from skyweave.inference.config import count_cores
from skyweave.inference.serving.layers import MapLayer, is_image
from skyweave.inference.serving.tiles import MAX_ZOOM, SIDES, render_tile

PAGE_FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MAX_CACHED_TILES = 1024
TILE_HEADERS = {**HEADERS, "Cross-Origin-Resource-Policy": "same-site", "Cache-Control": "private, max-age=300"}
"""Pages of other servers on this machine may show tiles."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MapServer:
    """Answers for tiles and for the page.

    Args:
        layers: of the map.
    """

    def __init__(self, layers: Sequence[MapLayer]) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._tiles: OrderedDict[tuple[Any, ...], bytes | None] = OrderedDict()
        self._places = asyncio.Semaphore(count_cores())

    def create_app(self) -> web.Application:
        """Return the application: ``/layers``, ``/tiles/LAYER/ZOOM/COLUMN/ROW.png``, ``@2x.png``, and TileJSON."""
        app = web.Application(client_max_size=1)
        for path, (file, content_type) in FILES.items():
            app.router.add_get(path, _file_handler(file, content_type))
        app.router.add_get("/layers", self._get_layers)
        app.router.add_get("/tiles/{layer}.json", self._get_description)
        app.router.add_get(r"/tiles/{layer}/{zoom:\d+}/{column:\d+}/{row:\d+}{scale:(@2x)?}.png", self._get_tile)
        return app

    async def _get_layers(self, request: web.Request) -> web.Response:
        layers = [{**layer.describe(), "is_image": is_image(layer)} for layer in self._layers.values()]
        return web.json_response(layers, headers=HEADERS)

    async def _get_description(self, request: web.Request) -> web.Response:
        layer = self._find(request)
        address = f"{request.scheme}://{request.host}/tiles/{layer.name}/{{z}}/{{x}}/{{y}}.png"
        content = {
            "tilejson": "3.0.0",
            "name": layer.title,
            "tiles": [address],
            "bounds": layer.bounds,
            "minzoom": 0,
            "maxzoom": layer.zooms[1],
        }
        return web.json_response(content, headers=TILE_HEADERS)

    async def _get_tile(self, request: web.Request) -> web.Response:
        layer = self._find(request)
        zoom, column, row = (int(request.match_info[key]) for key in ("zoom", "column", "row"))
        if zoom > MAX_ZOOM or max(column, row) >= 2**zoom:
            raise web.HTTPNotFound(text="there is no such tile\n")
        key = (layer.name, zoom, column, row, SIDES[bool(request.match_info["scale"])])
        if key not in self._tiles:
            async with self._places:
                try:
                    self._tiles[key] = await asyncio.to_thread(render_tile, layer, *key[1:])
                except OSError:
                    raise web.HTTPInternalServerError(text=f"{layer.title} cannot be read there\n") from None
            if len(self._tiles) > MAX_CACHED_TILES:
                self._tiles.popitem(last=False)
        tile = self._tiles.get(key)
        if tile is None:
            return web.Response(status=204, headers=TILE_HEADERS)
        return web.Response(body=tile, content_type="image/png", headers=TILE_HEADERS)

    def _find(self, request: web.Request) -> MapLayer:
        layer = self._layers.get(request.match_info["layer"])
        if layer is None:
            raise web.HTTPNotFound(text="there is no such layer; see /layers\n")
        return layer


def _file_handler(name: str, content_type: str) -> Handler:
    async def get_file(request: web.Request) -> web.Response:
        return web.Response(text=(PAGE_FOLDER / name).read_text("utf-8"), content_type=content_type, headers=HEADERS)

    return get_file

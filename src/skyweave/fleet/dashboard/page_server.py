"""The dashboard of a fleet: a small server of one page. Browsers fetch nothing from elsewhere.

Each browser is sent the newest state at most ten times a second; one that is slow skips states, it does not hold up
others, and one that does not read is let go.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from skyweave.core.errors import FleetError
from skyweave.core.http_server import (
    HEADERS,
    LOCAL_HOST,
    SHARED,
    STREAMS,
    AddressCallback,
    SharedPaths,
    check_open,
    serve_app,
    serve_in_thread,
)
from skyweave.core.signals import end_signals
from skyweave.fleet.dashboard.base_map import BackgroundMap, TileArea
from skyweave.fleet.dashboard.features_api import ROOT, add_features_api
from skyweave.fleet.dashboard.live_stream import ControlCallback, stream_texts
from skyweave.fleet.dashboard.mosaic_base_map import MosaicBaseMap
from skyweave.fleet.dashboard.state import DashboardState

PAGE_FOLDER = Path(__file__).with_name("page")
CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PERIOD_S = 0.1  # between two states
CHECK_PERIOD_S = 0.2  # between two looks for events, and for images
MAX_RENDERED_TILES = 2  # at a time
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class PageOptions:
    """Where the page is served, and to whom.

    Attributes:
        host: address to serve on.
        port: to serve on; 0: any free one.
        allow_open: serve to other machines.
        names: host names under which it is asked for, besides addresses and ``localhost``.
    """

    host: str = LOCAL_HOST
    port: int = 8470
    allow_open: bool = False
    names: Sequence[str] = ()

    def check(self) -> None:
        """Raise an error for an address that others could reach, unless they may.

        Raises:
            FleetError: an address that others could reach, without ``allow_open``.
        """
        check_open(self.host, self.allow_open, "watch", "say --allow-open")


def serve_page(app: web.Application, options: PageOptions, on_ready: AddressCallback = lambda address: None) -> None:
    """Serve the page until interrupted.

    Args:
        app: of `create_app`.
        options: where it is served.
        on_ready: called with the page's address.

    Raises:
        FleetError: an address that others could reach, without ``allow_open``; or one that is taken.
    """
    options.check()

    async def run() -> None:
        stop = asyncio.Event()
        for number in end_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await serve_app(app, options.host, options.port, on_ready, stop, options.names)
        except OSError as error:
            raise _unservable(options.host, options.port, error) from None

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


@contextlib.contextmanager
def serve_in_background(state: DashboardState, port: int = 0, base_map: BackgroundMap | None = None) -> Iterator[str]:
    """Serve the dashboard to this machine, in a thread, for as long as the context lasts; give its address.

    Args:
        state: of the fleet, as `watch_fleet` keeps it.
        port: to serve on; 0: any free one.
        base_map: beneath the objects; None: the fleet's own mosaic.

    Raises:
        FleetError: a port that is taken.
    """
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(serve_in_thread(create_app(state, base_map), LOCAL_HOST, port))
        except OSError as error:
            raise _unservable(LOCAL_HOST, port, error) from None
        yield address


def create_app(
    state: DashboardState,
    base_map: BackgroundMap | None = None,
    control: ControlCallback = lambda message: None,
    origins: Sequence[str] = (),
) -> web.Application:
    """Return the page, its state at ``/state`` and as a stream at ``/live``, images at ``/camera/PLATFORM/CHANNEL``.

    Tiles of the ground are at ``/ground/LEVEL/COLUMN/ROW``, features for a GIS at ``/ogc/``.

    Args:
        state: of the fleet.
        base_map: beneath the objects; None: the fleet's own mosaic.
        control: takes what browsers send, of a replay.
        origins: of other sites whose pages may read the features.
    """
    app = web.Application(client_max_size=1024)
    app[STREAMS] = ("/live", *add_features_api(app, state))
    app[SHARED] = SharedPaths(f"{ROOT}/", frozenset(origins))
    shown_map = MosaicBaseMap() if base_map is None else base_map
    rendering = asyncio.Semaphore(MAX_RENDERED_TILES)

    state.extra_content["ground"] = lambda: shown_map.json_content(state.crs)

    async def get_state(request: web.Request) -> web.Response:
        return web.Response(text=state.to_json(), content_type="application/json", headers=HEADERS)

    async def get_camera(request: web.Request) -> web.Response:
        jpeg = state.jpeg(request.match_info["platform"], request.match_info["channel"])
        if jpeg is None:
            raise web.HTTPNotFound
        return web.Response(body=jpeg, content_type="image/jpeg", headers=HEADERS)

    async def get_tile(request: web.Request) -> web.Response:
        area = TileArea(*(int(request.match_info[name]) for name in ("level", "column", "row")))
        async with rendering:
            tile = await asyncio.to_thread(shown_map.tile, area, state.crs)
        return web.Response(body=tile, content_type="image/webp", headers=HEADERS)

    async def get_live(request: web.Request) -> web.WebSocketResponse:
        return await stream_texts(request, lambda: state.version, state.to_json, PERIOD_S, control)

    async def work_regularly(app: web.Application) -> AsyncIterator[None]:
        working = [asyncio.create_task(_check(state)), asyncio.create_task(_lay_images(state, shown_map))]
        yield
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    app.cleanup_ctx.append(work_regularly)
    for file in sorted(PAGE_FOLDER.iterdir()):
        app.router.add_get("/" if file.name == "index.html" else f"/{file.name}", _file_handler(file))
    app.router.add_get("/state", get_state)
    app.router.add_get("/live", get_live)
    app.router.add_get("/camera/{platform}/{channel}", get_camera)
    app.router.add_get(r"/ground/{level:-?\d{1,2}}/{column:-?\d{1,9}}/{row:-?\d{1,9}}", get_tile)
    return app


def _file_handler(file: Path) -> Handler:
    async def get_file(request: web.Request) -> web.Response:
        return web.Response(text=file.read_text("utf-8"), content_type=CONTENT_TYPES[file.suffix], headers=HEADERS)

    return get_file


async def _check(state: DashboardState) -> None:
    """Look for events, whether or not anybody watches."""
    while True:
        state.check()
        await asyncio.sleep(CHECK_PERIOD_S)


async def _lay_images(state: DashboardState, base_map: BackgroundMap) -> None:
    """Lay the newest images on the ground: in a thread, so that no alarm waits for them."""
    while True:
        for image, scene in state.take_images():
            if isinstance(base_map, MosaicBaseMap):
                await asyncio.to_thread(base_map.add, image, scene)
        await asyncio.sleep(CHECK_PERIOD_S)


def _unservable(host: str, port: int, error: OSError) -> FleetError:
    return FleetError(f"the page cannot be served on {host}:{port}: {error.strerror or error}; try --port")

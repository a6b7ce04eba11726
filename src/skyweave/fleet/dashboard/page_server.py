"""The dashboard of a fleet: a small server of one live page. Nothing is fetched from elsewhere.

Each browser is sent the newest state at most ten times a second; one that is slow skips states, it does not hold up
others, and one that does not read is let go.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from aiohttp import WSMsgType, web

from skyweave.core.errors import FleetError
from skyweave.core.http_server import (
    HEADERS,
    LOCAL_HOST,
    STREAMS,
    AddressCallback,
    check_open,
    serve_app,
    serve_in_thread,
)
from skyweave.core.signals import end_signals
from skyweave.fleet.dashboard.state import DashboardState, watch_fleet
from skyweave.fleet.link.transport import Transport

PAGE_FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PERIOD_S = 0.1  # between two states
MAX_PERIOD_S = 1.0  # after which a state is sent although nothing changed
MAX_SENDING_S = 5.0  # that a browser may take to read a state
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve_dashboard(
    fleet: str,
    transport: Transport,
    keys: str | None = None,
    name: str = "viewer",
    host: str = LOCAL_HOST,
    port: int = 8470,
    allow_open: bool = False,
    on_ready: AddressCallback = lambda address: None,
    names: Sequence[str] = (),
) -> None:
    """Serve the dashboard until interrupted.

    Args:
        fleet: name of the fleet.
        transport: to the fleet; closed at the end.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        name: of this member among the keys.
        host: address to serve on.
        port: to serve on; 0: any free one.
        allow_open: serve to other machines.
        on_ready: called with the page's address.
        names: host names under which it is asked for, besides addresses and ``localhost``.

    Raises:
        FleetError: an address that others could reach, without ``allow_open``; or one that is taken.
    """
    try:
        check_open(host, allow_open, "watch", "say --allow-open")
    except FleetError:
        transport.close()
        raise

    async def run() -> None:
        stop = asyncio.Event()
        for number in end_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        state, close = watch_fleet(fleet, transport, keys, name)
        try:
            await serve_app(create_app(state), host, port, on_ready, stop, names)
        except OSError as error:
            raise _unservable(host, port, error) from None
        finally:
            close()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


@contextlib.contextmanager
def serve_in_background(state: DashboardState, port: int = 0) -> Iterator[str]:
    """Serve the dashboard to this machine, in a thread, for as long as the context lasts; give its address.

    Args:
        state: of the fleet, as `watch_fleet` keeps it.
        port: to serve on; 0: any free one.

    Raises:
        FleetError: a port that is taken.
    """
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(serve_in_thread(create_app(state), LOCAL_HOST, port))
        except OSError as error:
            raise _unservable(LOCAL_HOST, port, error) from None
        yield address


def create_app(state: DashboardState) -> web.Application:
    """Return the page, its state at ``/state`` and as a stream at ``/live``, images at ``/camera/PLATFORM/CHANNEL``.

    Args:
        state: of the fleet.
    """
    app = web.Application(client_max_size=1024)
    app[STREAMS] = ("/live",)

    async def get_state(request: web.Request) -> web.Response:
        return web.Response(text=state.to_json(), content_type="application/json", headers=HEADERS)

    async def get_camera(request: web.Request) -> web.Response:
        jpeg = state.jpeg(request.match_info["platform"], request.match_info["channel"])
        if jpeg is None:
            raise web.HTTPNotFound
        return web.Response(body=jpeg, content_type="image/jpeg", headers=HEADERS)

    async def get_live(request: web.Request) -> web.WebSocketResponse:
        return await _stream(request, state)

    for path, (name, content_type) in FILES.items():
        app.router.add_get(path, _file_handler(name, content_type))
    app.router.add_get("/state", get_state)
    app.router.add_get("/live", get_live)
    app.router.add_get("/camera/{platform}/{channel}", get_camera)
    return app


def _file_handler(name: str, content_type: str) -> Handler:
    async def get_file(request: web.Request) -> web.Response:
        return web.Response(text=(PAGE_FOLDER / name).read_text("utf-8"), content_type=content_type, headers=HEADERS)

    return get_file


async def _stream(request: web.Request, state: DashboardState) -> web.WebSocketResponse:
    """Send states over a WebSocket until the browser leaves."""
    websocket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=1024)
    await websocket.prepare(request)
    sending = asyncio.create_task(_send_states(request, websocket, state))
    try:
        async for message in websocket:
            if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                break
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
    return websocket


async def _send_states(request: web.Request, websocket: web.WebSocketResponse, state: DashboardState) -> None:
    sent_version, sent_at = -1, 0.0
    while not websocket.closed:
        now = time.monotonic()
        if state.version != sent_version or now - sent_at > MAX_PERIOD_S:
            sent_version, sent_at = state.version, now
            try:
                async with asyncio.timeout(MAX_SENDING_S):
                    await websocket.send_str(state.to_json())
            except (ConnectionError, RuntimeError, TimeoutError):
                if request.transport is not None:
                    request.transport.abort()
                return
        await asyncio.sleep(PERIOD_S)


def _unservable(host: str, port: int, error: OSError) -> FleetError:
    return FleetError(f"the page cannot be served on {host}:{port}: {error.strerror or error}; try --port")

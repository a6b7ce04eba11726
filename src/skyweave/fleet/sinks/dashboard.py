"""The dashboard of a fleet: a small server of one live page. Nothing is fetched from elsewhere.

Each browser is sent the newest state at most ten times a second; one that is slow skips states, it does not hold up
others.
"""

import asyncio
import contextlib
import ipaddress
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from skyweave.core.errors import FleetError
from skyweave.core.signals import end_signals
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.dashboard_state import DashboardState, watch_fleet

PAGE_FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PERIOD_S = 0.1  # between two states
MAX_PERIOD_S = 1.0  # after which a state is sent although nothing changed
LOCAL_HOST = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self' ws: wss:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AddressCallback = Callable[[str], None]


def serve_dashboard(
    fleet: str,
    transport: Transport,
    keys: str | None = None,
    name: str = "viewer",
    host: str = LOCAL_HOST,
    port: int = 8470,
    allow_open: bool = False,
    on_ready: AddressCallback = lambda address: None,
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

    Raises:
        FleetError: an address that others could reach, without ``allow_open``; or one that is taken.
    """
    if not allow_open and not _is_local(host):
        transport.close()
        raise FleetError(f"{host} lets anybody watch; use {LOCAL_HOST} (and ssh -L), or say --allow-open")

    async def run() -> None:
        stop = asyncio.Event()
        for number in end_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        state, close = watch_fleet(fleet, transport, keys, name)
        try:
            await _serve_state(state, host, port, on_ready, stop)
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
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    address: Future[str] = Future()

    def work() -> None:
        try:
            loop.run_until_complete(_serve_state(state, LOCAL_HOST, port, address.set_result, stop))
        except BaseException as error:
            if address.done():
                raise
            address.set_exception(error)
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="dashboard", daemon=True)
    thread.start()
    try:
        yield address.result()
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(stop.set)
        thread.join()


def create_app(state: DashboardState) -> web.Application:
    """Return the page, its state at ``/state`` and as a stream at ``/live``, images at ``/camera/PLATFORM/CHANNEL``.

    Args:
        state: of the fleet.
    """
    app = web.Application()

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
    origin = request.headers.get("Origin")
    if origin is not None and origin.split("://")[-1] != request.host:
        raise web.HTTPForbidden  # another site's page must not read a fleet through its visitor's browser
    websocket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=1024)
    await websocket.prepare(request)
    sending = asyncio.create_task(_send_states(websocket, state))
    try:
        async for message in websocket:
            if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                break
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
    return websocket


async def _send_states(websocket: web.WebSocketResponse, state: DashboardState) -> None:
    sent_version, sent_at = -1, 0.0
    while not websocket.closed:
        now = time.monotonic()
        if state.version != sent_version or now - sent_at > MAX_PERIOD_S:
            sent_version, sent_at = state.version, now
            try:
                await websocket.send_str(state.to_json())
            except (ConnectionError, RuntimeError):
                return
        await asyncio.sleep(PERIOD_S)


async def _serve_state(
    state: DashboardState, host: str, port: int, on_ready: AddressCallback, stop: asyncio.Event
) -> None:
    runner = web.AppRunner(create_app(state), access_log=None)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise FleetError(f"the page cannot be served on {host}:{port}: {error.strerror}; try --port") from None
        server: Any = site._server
        on_ready(f"http://{host}:{server.sockets[0].getsockname()[1]}/")
        await stop.wait()
    finally:
        await runner.cleanup()


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

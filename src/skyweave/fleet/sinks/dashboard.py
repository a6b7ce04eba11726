"""The live page of a fleet: a small server that hears the fleet and tells browsers. Nothing is fetched from elsewhere.

Each browser is told the newest state at most ten times a second; one that is slow skips states, it does not hold up
others.
"""

import asyncio
import contextlib
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from skyweave.core.errors import FleetError
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.subscriber import FleetSubscriber

PAGE = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PERIOD = 0.1  # seconds between two states
GONE = 10.0  # seconds after which a platform is no longer shown
MOST_PLATFORMS, MOST_CAMERAS = 64, 64
MAX_PICTURE = 1 << 18  # bytes of a camera's JPEG
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self' ws: wss:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class DashboardState:
    """The newest of everything, as the page needs it. Filled by the network's threads."""

    def __init__(self, fleet: str) -> None:
        self.fleet = fleet
        self.version = 0
        self._pictures: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, float] = {}
        self._before: dict[str, tuple[float, dict[str, int]]] = {}
        self._rates: dict[str, dict[str, float]] = {}
        self._cameras: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    def picture(self, platform: str, message: bytes) -> None:
        """A platform's picture."""
        try:
            content = json.loads(message)
            links = {str(name): int(link["bytes"]) for name, link in content["links"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        now = time.monotonic()
        with self._lock:
            if platform not in self._pictures and len(self._pictures) >= MOST_PLATFORMS:
                return
            before = self._before.get(platform)
            if before is None or now - before[0] >= 2.0:  # throughput over two seconds
                if before is not None:
                    passed = now - before[0]
                    self._rates[platform] = {
                        name: max(size - before[1].get(name, size), 0) / passed for name, size in links.items()
                    }
                self._before[platform] = (now, links)
            content["platform"] = platform
            content["rates"] = self._rates.get(platform, {})
            self._pictures[platform], self._heard[platform] = content, now
            self.version += 1

    def camera(self, platform: str, channel: str, jpeg: bytes) -> None:
        """A camera's picture."""
        if len(jpeg) > MAX_PICTURE or jpeg[:2] != b"\xff\xd8":
            return
        with self._lock:
            number, _ = self._cameras.get((platform, channel), (0, b""))
            if number or len(self._cameras) < MOST_CAMERAS:
                self._cameras[platform, channel] = (number + 1, jpeg)
                self.version += 1

    def jpeg(self, platform: str, channel: str) -> bytes | None:
        """A camera's newest picture."""
        with self._lock:
            found = self._cameras.get((platform, channel))
        return None if found is None else found[1]

    def to_json(self) -> str:
        """What a browser is told."""
        now = time.monotonic()
        with self._lock:
            for name in [name for name, heard in self._heard.items() if now - heard > GONE]:
                del self._heard[name], self._pictures[name]
                self._before.pop(name, None)
                self._rates.pop(name, None)
            return json.dumps(
                {
                    "fleet": self.fleet,
                    "platforms": self._pictures,
                    "silent": {name: round(now - heard, 2) for name, heard in self._heard.items()},
                    "cameras": [
                        {"platform": platform, "channel": channel, "number": number}
                        for (platform, channel), (number, _) in sorted(self._cameras.items())
                        if platform in self._heard  # the pictures stay: a browser may still be asking for one
                    ],
                }
            )


def serve_dashboard(
    fleet: str,
    transport: Transport,
    keys: str | None,
    name: str,
    host: str,
    port: int,
    allow_open: bool,
    told: Callable[[str], None],
) -> None:
    """Serve until interrupted.

    Raises:
        ValueError: an address that others could reach, without ``allow_open``; or one that is taken.
    """
    if not allow_open and not _is_local(host):
        transport.close()
        raise FleetError(f"{host} lets anybody watch; use 127.0.0.1 (and ssh -L), or say --allow-open")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(fleet, transport, keys, name, host, port, told))


async def _serve(
    fleet: str, transport: Transport, keys: str | None, name: str, host: str, port: int, told: Callable[[str], None]
) -> None:
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    state, close = watch_fleet(fleet, transport, keys, name)
    try:
        await _serve_state(state, host, port, told, stop)
    finally:
        close()


async def _serve_state(
    state: DashboardState, host: str, port: int, told: Callable[[str], None], stop: asyncio.Event
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
        told(f"http://{host}:{server.sockets[0].getsockname()[1]}/")
        await stop.wait()
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def serve_in_background(state: DashboardState, port: int = 0) -> Iterator[str]:
    """Serve the page to this machine, in a thread, for as long as the context lasts; gives its address.

    Args:
        state: of the fleet, as `watch_fleet` keeps it.
        port: to serve on; 0: any free one.

    Raises:
        ValueError: a port that is taken.
    """
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready: Future[str] = Future()

    def work() -> None:
        try:
            loop.run_until_complete(_serve_state(state, "127.0.0.1", port, ready.set_result, stop))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="page", daemon=True)
    thread.start()
    try:
        yield ready.result()
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(stop.set)
        thread.join()


def watch_fleet(
    fleet: str, transport: Transport, keys: str | None = None, name: str = "viewer"
) -> tuple[DashboardState, Callable[[], None]]:
    """The state of a fleet, kept up to date, and what ends that."""
    state = DashboardState(fleet)
    listener = FleetSubscriber(fleet, transport, keys, name)
    listener.results("*", "picture", state.picture)
    listener.cameras("*", state.camera)
    return state, listener.close


def create_app(state: DashboardState) -> web.Application:
    """The page, its state at ``/state`` and as a stream at ``/live``, pictures at ``/camera/PLATFORM/CHANNEL``."""
    app = web.Application()

    def file(name: str, kind: str) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(text=(PAGE / name).read_text("utf-8"), content_type=kind, headers=HEADERS)

        return answer

    async def now(request: web.Request) -> web.Response:
        return web.Response(text=state.to_json(), content_type="application/json", headers=HEADERS)

    async def camera(request: web.Request) -> web.Response:
        jpeg = state.jpeg(request.match_info["platform"], request.match_info["channel"])
        if jpeg is None:
            raise web.HTTPNotFound
        return web.Response(body=jpeg, content_type="image/jpeg", headers=HEADERS)

    async def live(request: web.Request) -> web.WebSocketResponse:
        origin = request.headers.get("Origin")
        if origin is not None and origin.split("://")[-1] != request.host:
            raise web.HTTPForbidden  # another site's page must not read a fleet through its visitor's browser
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=1024)
        await socket.prepare(request)
        telling = asyncio.create_task(_tell(socket, state))
        try:
            async for message in socket:
                if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                    break
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await telling
        return socket

    for path, (name, kind) in FILES.items():
        app.router.add_get(path, file(name, kind))
    app.router.add_get("/state", now)
    app.router.add_get("/live", live)
    app.router.add_get("/camera/{platform}/{channel}", camera)
    return app


async def _tell(socket: web.WebSocketResponse, state: DashboardState) -> None:
    told, when = -1, 0.0
    while not socket.closed:
        now = time.monotonic()
        if state.version != told or now - when > 1.0:
            told, when = state.version, now
            try:
                await socket.send_str(state.to_json())
            except (ConnectionError, RuntimeError):
                return
        await asyncio.sleep(PERIOD)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""HTTP for pages and metrics on this machine, with bounds on what anybody who connects may cost."""

import asyncio
import contextlib
import ipaddress
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from skyweave.core.errors import ConfigError, FleetError

LOCAL_HOST = "127.0.0.1"
MAX_CONNECTIONS = 128
MAX_CLIENT_CONNECTIONS = 32  # from one address
MAX_PORT = 65_535
MAX_IDLE_S = 10.0  # without a whole request, after which a connection is closed
MAX_RESPONSE_S = 30.0  # for a client to take a response
MAX_CLOSING_S = 2.0  # for answers under way when the server ends: a page left open must not keep it
MAX_HEADER_BYTES = 8190
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
MAX_LOGGED_FAULTS = 20  # of one server: who causes them must not fill a disk
STREAMS: web.AppKey[tuple[str, ...]] = web.AppKey("streams", tuple)
"""Paths whose handlers bound by themselves how long they take."""


@dataclass(frozen=True)
class SharedPaths:
    """Paths that pages of named other sites may read.

    Attributes:
        prefix: with which the paths begin.
        origins: of the sites, such as ``https://map.example.org``.
    """

    prefix: str
    origins: frozenset[str]

    def is_shared(self, request: web.Request) -> bool:
        """Return whether a request is of such a site, for such a path.

        Args:
            request: that came.
        """
        return request.path.startswith(self.prefix) and request.headers.get("Origin") in self.origins


SHARED: web.AppKey[SharedPaths] = web.AppKey("shared", SharedPaths)
"""What pages of other sites may read; nothing where an application does not say it."""
AddressCallback = Callable[[str], None]
RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_local(host: str) -> bool:
    """Return whether an address is on this machine only.

    Args:
        host: address or name.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Faults(logging.Filter):
    """Lets faults of this program into the log, a bounded number of them, and none of those who send nonsense."""

    def __init__(self) -> None:
        super().__init__()
        self._logged = 0

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        is_of_peer = isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)
        self._logged += not is_of_peer
        return not is_of_peer and self._logged <= MAX_LOGGED_FAULTS


def _fault_logger() -> logging.Logger:
    logger = logging.Logger("skyweave.http")
    logger.parent = logging.getLogger()
    logger.addFilter(_Faults())
    return logger


@dataclass
class _Connections:
    """The connections that are open.

    Attributes:
        total: number of them.
        clients: number by address.
        guards: by the protocol that answers.
    """

    total: int = 0
    clients: Counter[str] = field(default_factory=Counter)
    guards: "dict[object, _Guard]" = field(default_factory=dict)


class _Guard(asyncio.Protocol):
    """Stands before the protocol of one connection: counts it, and closes it where no whole request comes in time."""

    def __init__(self, inner: asyncio.Protocol, connections: _Connections) -> None:
        self._inner, self._connections = inner, connections
        self._client: str | None = None
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        client, connections = str(peer[0]) if peer else "", self._connections
        if connections.total >= MAX_CONNECTIONS or connections.clients[client] >= MAX_CLIENT_CONNECTIONS:
            transport.close()
            return
        connections.total += 1
        connections.clients[client] += 1
        connections.guards[self._inner] = self
        self._client, self._transport = client, transport
        self._inner.connection_made(transport)
        self.wait()

    def connection_lost(self, error: Exception | None) -> None:
        if self._client is None:
            return
        self.work()
        connections = self._connections
        connections.total -= 1
        connections.clients[self._client] -= 1
        if not connections.clients[self._client]:
            del connections.clients[self._client]
        connections.guards.pop(self._inner, None)
        self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._client is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def wait(self) -> None:
        """Begin to wait for a request."""
        self.work()
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(MAX_IDLE_S, self._transport.close)

    def work(self) -> None:
        """Wait no longer: a request has come, or the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def serve_app(
    app: web.Application,
    host: str,
    port: int,
    on_ready: AddressCallback,
    stop: asyncio.Event,
    names: Sequence[str] = (),
) -> None:
    """Serve an application until stopped.

    Args:
        app: what answers.
        host: address to serve on.
        port: to serve on; 0: any free one.
        on_ready: called with its address.
        stop: ends it.
        names: host names besides ``localhost`` and ``host`` under which it may be asked for.

    Raises:
        ConfigError: a port that is none.
        OSError: an address that cannot be served on.
    """
    if not 0 <= port <= MAX_PORT:
        raise ConfigError(f"port {port} must be 0 (any free one) to {MAX_PORT}")
    connections = _Connections()
    app.middlewares.append(_checks(connections, {"localhost", host.lower(), *(name.lower() for name in names)}))
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_fault_logger(),
        shutdown_timeout=MAX_CLOSING_S,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )
    await runner.setup()
    try:
        make_protocol = runner.server
        assert make_protocol is not None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Guard(make_protocol(), connections), host, port)
        try:
            on_ready(f"http://{_bracketed(host)}:{server.sockets[0].getsockname()[1]}/")
            await stop.wait()
        finally:
            server.close()
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def serve_in_thread(app: web.Application, host: str, port: int) -> Iterator[str]:
    """Serve an application in a thread for as long as the context lasts; give its address.

    Args:
        app: what answers.
        host: address to serve on.
        port: to serve on; 0: any free one.

    Raises:
        OSError: an address that cannot be served on.
    """
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    address: Future[str] = Future()

    def work() -> None:
        try:
            loop.run_until_complete(serve_app(app, host, port, address.set_result, stop))
        except BaseException as error:
            if address.done():
                raise
            address.set_exception(error)
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="http", daemon=True)
    thread.start()
    try:
        yield address.result()
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(stop.set)
        thread.join()


def check_open(host: str, allow_open: bool, what: str, remedy: str) -> None:
    """Raise an error for an address that others could reach, unless they may.

    Args:
        host: address to serve on.
        allow_open: others may reach it.
        what: is served, for the message.
        remedy: that allows it, for the message.

    Raises:
        FleetError: others could reach it.
    """
    if not allow_open and not is_local(host):
        raise FleetError(f"{host} lets anybody {what}; use {LOCAL_HOST} (and ssh -L), or {remedy}")


def _checks(connections: _Connections, names: set[str]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return what every request passes through before it is answered."""

    @web.middleware
    async def check(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        guard = connections.guards.get(request.protocol)
        if guard is not None:
            guard.work()
        try:
            is_shared = SHARED in request.app and request.app[SHARED].is_shared(request)
            _check_request(request, names, is_shared)
            if request.path in request.app.get(STREAMS, ()):
                return await handler(request)
            response = await handler(request)
            if is_shared:
                response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            with contextlib.suppress(ConnectionError, TimeoutError):  # who asked has left, or does not read
                async with asyncio.timeout(MAX_RESPONSE_S):
                    await response.prepare(request)
                    await response.write_eof()
                    return response
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            if guard is not None:
                guard.wait()

    return check


def _check_request(request: web.Request, names: set[str], is_shared: bool) -> None:
    """Refuse what another site's page sends through its visitor's browser, to read a fleet or to write to it."""
    if not _is_known_host(request.headers.get("Host", ""), names):
        raise web.HTTPForbidden(text="this host name is not served; see --allow-host\n")
    if is_shared:
        return
    origin = request.headers.get("Origin")
    if origin is not None and origin.split("://")[-1] != request.host:
        raise web.HTTPForbidden
    is_navigation = request.headers.get("Sec-Fetch-Mode") == "navigate"
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and not is_navigation:
        raise web.HTTPForbidden


def _is_known_host(value: str, names: set[str]) -> bool:
    """Whether a Host header is an address or a known name: a name of others may be theirs (DNS rebinding)."""
    host = value.rsplit(":", 1)[0] if value.rpartition(":")[2].isdigit() else value
    host = host.strip("[]").lower()
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return host in names


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

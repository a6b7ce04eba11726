"""What anybody who connects to the page or the metrics may cost, and who may read them."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientError, ClientSession, ServerDisconnectedError, WSServerHandshakeError, web

pytest.importorskip("zenoh", reason="needs skyweave[link]")

import fabricated_fleet as fleet
from skyweave.core import http_server
from skyweave.core.http_server import MAX_CLIENT_CONNECTIONS, serve_in_thread
from skyweave.fleet.dashboard.page_server import serve_in_background
from skyweave.fleet.dashboard.state import DashboardState
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.sinks.prometheus import metrics_app, serve_metrics
from waiting import until


@pytest.fixture(params=["page", "metrics"])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the page or the metrics are served; a request must be whole in half a second."""
    monkeypatch.setattr(http_server, "MAX_IDLE_S", 0.5)
    if request.param == "page":
        with serve_in_background(DashboardState("test")) as served:
            yield served
    else:
        node = fleet.node("UAV_1", LoopbackNetwork().join(), wall_clock)
        with serve_in_thread(metrics_app(node), "127.0.0.1", 0) as served:
            yield served


def status(address: str, path: str = "", **headers: str) -> int:
    async def ask() -> int:
        async with ClientSession() as session, session.get(address + path, headers=headers) as answer:
            return answer.status

    return asyncio.run(ask())


def test_only_addresses_and_known_names_are_answered(address: str) -> None:
    port = urlsplit(address).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "192.168.1.7"):
        assert status(address, Host=host) == 200, host
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "x:y", ""):
        assert status(address, Host=host) in (400, 403), host
    assert status(address, **{"Origin": "http://evil.example"}) == 403
    assert status(address, **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}) == 403


def test_no_frame_and_no_other_address(address: str) -> None:
    async def ask() -> str:
        async with ClientSession() as session, session.get(address) as answer:
            assert answer.headers["X-Frame-Options"] == "DENY"
            return answer.headers["Content-Security-Policy"]

    rules = asyncio.run(ask())
    assert "frame-ancestors 'none'" in rules and "base-uri 'none'" in rules and "ws:" not in rules


def test_half_requests_are_bounded_and_end(address: str) -> None:
    """Connections that never send a whole request: some are held for a while, the others are closed at once."""
    parts = urlsplit(address)
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    with ExitStack() as held:
        connections = [
            held.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0)))
            for _ in range(3 * MAX_CLIENT_CONNECTIONS)
        ]
        for one in connections:
            with suppress(ConnectionError):
                one.sendall(b"GET /state HTTP/1.1\r\nHost: localhost\r\n")

        def opened() -> int:
            return len(os.listdir("/proc/self/fd")) - descriptors - len(connections)

        until(lambda: opened() <= MAX_CLIENT_CONNECTIONS + 2, "no more than its share of connections is held")
        assert threading.active_count() <= threads + 2

        def answers() -> bool:
            try:
                return status(address) == 200
            except (ServerDisconnectedError, OSError):
                return False

        until(answers, "it answers again")
        for one in connections:
            one.settimeout(5)
            with suppress(ConnectionError):
                assert b"200" not in one.recv(100)


def test_a_stream_of_another_site_is_refused() -> None:
    async def ask(address: str, **headers: str) -> None:
        async with ClientSession() as session, session.ws_connect(address + "live", headers=headers) as stream:
            await stream.receive_str()

    with serve_in_background(DashboardState("test")) as address:
        asyncio.run(ask(address))
        for headers in ({"Host": "evil.example", "Origin": "http://evil.example"}, {"Origin": "null"}):
            with pytest.raises(WSServerHandshakeError, match="403"):
                asyncio.run(ask(address, **headers))


def test_a_browser_that_reads_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    from skyweave.fleet.dashboard import live_stream

    monkeypatch.setattr(live_stream, "MAX_SENDING_S", 0.3)
    monkeypatch.setattr(live_stream, "MAX_PERIOD_S", 0.0)
    monkeypatch.setattr(DashboardState, "to_json", lambda self: "x" * 4_000_000)
    with serve_in_background(DashboardState("test")) as address:
        parts = urlsplit(address)
        with closing(socket.create_connection((parts.hostname or "", parts.port or 0))) as one:
            one.sendall(
                b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            time.sleep(1.5)
            one.settimeout(5)
            with pytest.raises((ConnectionError, StopIteration)):
                while True:
                    if not one.recv(1 << 20):
                        raise StopIteration


NONSENSE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 1_000_000,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 200_000 + b"\r\n",
    b"GET /" + b"a" * 1_000_000,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_000_000,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b00",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA\0: \0\r\n\r\n",
    b"\x16\x03\x01\x02\x00" * 10_000,
)


def test_nonsense_costs_little_and_fills_no_log(address: str, caplog: pytest.LogCaptureFixture) -> None:
    parts = urlsplit(address)
    for request in NONSENSE:
        one = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        with closing(one), suppress(ConnectionError):
            one.sendall(request)
            one.recv(100)
        assert status(address) == 200
    assert not [record for record in caplog.records if record.name != "asyncio"]


def test_who_floods_a_stream_with_pings_and_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with serve_in_background(DashboardState("test")) as address:
        parts = urlsplit(address)
        for _ in range(3):
            with closing(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)) as one:
                one.sendall(
                    b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                )
                one.recv(100)
                with suppress(ConnectionError):
                    one.sendall(b"\x89\x80abcd" * 50_000)
        assert status(address) == 200
    assert not [record for record in caplog.records if record.name != "asyncio"]


def test_faults_of_the_program_are_logged_but_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise KeyError("ours")

    app = web.Application()
    app.router.add_get("/", fail)
    with serve_in_thread(app, "127.0.0.1", 0) as address:
        for _ in range(http_server.MAX_LOGGED_FAULTS + 5):
            assert status(address) == 500
    of_server = [record for record in caplog.records if record.name == "skyweave.http"]  # not of what others left
    assert len(of_server) == http_server.MAX_LOGGED_FAULTS


def test_who_leaves_while_an_answer_is_sent_is_no_error(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: web.Response, data: bytes = b"") -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.Response, "write_eof", broken)
    with pytest.raises(ClientError):
        status(address)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_metrics_for_everybody_must_be_asked_for() -> None:
    node = fleet.node("UAV_1", LoopbackNetwork().join(), wall_clock)
    with pytest.raises(ValueError, match="allow_open: true"):
        serve_metrics(node, "0.0.0.0:0")
    with pytest.raises(ValueError, match="cannot be served"):
        serve_metrics(node, "127.0.0.1:nothing")
    serve_metrics(node, "127.0.0.1:0")()
    serve_metrics(node, "0.0.0.0:0", allow_open=True)()


def test_an_answer_under_way_does_not_keep_a_server_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page left open must not hold up the end of the program: aiohttp alone waits for a minute."""
    monkeypatch.setattr(http_server, "MAX_CLOSING_S", 0.2)
    asked = threading.Event()

    async def never(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(3600)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", never)
    with serve_in_thread(app, "127.0.0.1", 0) as address:
        parts = urlsplit(address)
        client = socket.create_connection((parts.hostname or "", parts.port or 0))
        client.sendall(f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        assert asked.wait(30)
        start = time.monotonic()
    assert time.monotonic() - start < 30
    client.close()

"""Bytes to programs of others: over UDP, TCP or TLS, whoever listens there and whenever."""

import ipaddress
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from skyweave.core.errors import FleetError
from skyweave.core.registry import Registry

CONNECT_TIMEOUT_S = 3.0
MAX_DATAGRAM_BYTES = 65_507
MULTICAST_HOPS = 1


@dataclass(frozen=True)
class EventStreamConfig:
    """Where to.

    Attributes:
        url: ``udp://HOST:PORT``, of a multicast group too, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
        certificate: of this program, PEM, for TLS; None: none is shown.
        key: of the certificate, PEM; None: it is in the same file.
        authorities: that the other side's certificate must be of, PEM; None: those of the system.
        allow_clear: send in the clear beyond this machine.
    """

    url: str
    certificate: str | None = None
    key: str | None = None
    authorities: str | None = None
    allow_clear: bool = False

    def address(self) -> tuple[str, int]:
        """Return host and port.

        Raises:
            FleetError: no such address, or one beyond this machine in the clear.
        """
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if host is None or port is None or self.url.split(":")[0] not in STREAMS:
            raise FleetError(f"url {self.url!r}: write it as udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT")
        if not self.allow_clear and not self.url.startswith("tls:") and not _is_local(host):
            raise FleetError(
                f"url {self.url!r} would send in the clear to other machines; take tls://, or say allow_clear: true"
            )
        return host, port

    def open(self) -> "EventStream":
        """Return the stream; it connects when there is something to send.

        Raises:
            FleetError: as of `address`, or a certificate that is none.
        """
        self.address()
        stream: EventStream = STREAMS[self.url.split(":")[0]](self)
        return stream


def _is_local(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class EventStream:
    """Sends datagrams to an address, or a group of listeners.

    Args:
        config: where to.
    """

    def __init__(self, config: EventStreamConfig) -> None:
        self.config = config
        self._address = config.address()
        self._socket: Any = None

    def send(self, message: bytes) -> None:
        """Send a message.

        Args:
            message: its bytes.

        Raises:
            OSError: nobody is there; the next message tries again.
        """
        try:
            self._socket = self._socket or self._connect()
            self._write(message)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket; another message opens it again."""
        if self._socket is not None:
            self._end()
            self._socket.close()
        self._socket = None

    def _end(self) -> None:
        """Say that no message follows; a datagram needs no end."""

    def _connect(self) -> Any:
        family, kind, _, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        opened = socket.socket(family, kind)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, MULTICAST_HOPS)
        opened.connect(address)
        return opened

    def _write(self, message: bytes) -> None:
        if len(message) > MAX_DATAGRAM_BYTES:
            raise FleetError(f"a message of {len(message)} bytes fits no datagram; take tcp:// or fewer objects")
        try:
            self._socket.send(message)
        except ConnectionRefusedError:  # nobody listens on this machine yet; datagrams get lost
            return


class TcpEventStream(EventStream):
    """Sends messages over a connection, one after the other; it is made anew when it breaks.

    Args:
        config: where to.
    """

    def _connect(self) -> Any:
        return socket.create_connection(self._address, CONNECT_TIMEOUT_S)

    def _write(self, message: bytes) -> None:
        self._socket.sendall(message)


class TlsEventStream(TcpEventStream):
    """The same, encrypted, with the other side's certificate checked.

    Args:
        config: where to.

    Raises:
        FleetError: a certificate that is none.
    """

    def __init__(self, config: EventStreamConfig) -> None:
        super().__init__(config)
        try:
            self._context = ssl.create_default_context(cafile=config.authorities)
            if config.certificate is not None:
                self._context.load_cert_chain(config.certificate, config.key)
        except (OSError, ssl.SSLError) as error:
            raise FleetError(f"the certificates of {config.url} cannot be read: {error}") from None

    def _end(self) -> None:
        # What the server has sent (tickets of TLS 1.3) is read before: a socket that is closed over unread bytes resets
        # the connection, and the last messages are lost on the way.
        with suppress(OSError, ValueError):
            self._socket = self._socket.unwrap()

    def _connect(self) -> Any:
        return self._context.wrap_socket(super()._connect(), server_hostname=self._address[0])


STREAMS: Registry[type[EventStream]] = Registry(
    "event_streams",
    "kind of stream",
    {
        "udp": "skyweave.fleet.sinks.event_stream:EventStream",
        "tcp": "skyweave.fleet.sinks.event_stream:TcpEventStream",
        "tls": "skyweave.fleet.sinks.event_stream:TlsEventStream",
    },
)

"""Refuses connections that would leave this machine in the clear."""

import ipaddress
from collections.abc import Sequence

from skyweave.core.errors import FleetError

ENCRYPTED_PROTOCOLS = ("tls", "quic")


def check_encryption(
    endpoints: Sequence[str], has_certificates: bool, allow_clear: bool = False, multicast: bool = False
) -> None:
    """Raise an error for what would send in the clear beyond this machine.

    Args:
        endpoints: to listen on and to connect to, such as ``tls/0.0.0.0:7447``.
        has_certificates: whether there are any for TLS.
        allow_clear: the network itself is trusted.
        multicast: peers are discovered on the network.

    Raises:
        FleetError: an endpoint in the clear, or an encrypted one without certificates.
    """
    for endpoint in endpoints:
        _check_endpoint(endpoint, has_certificates, allow_clear)
    if multicast and not allow_clear and not has_certificates:
        raise FleetError("discover finds anybody on the network; use it with keys, or say allow_clear: true")


def _check_endpoint(endpoint: str, has_certificates: bool, allow_clear: bool) -> None:
    """Check that an endpoint encrypts, or may do without."""
    protocol, _, address = endpoint.partition("/")
    if protocol in ENCRYPTED_PROTOCOLS:
        if not has_certificates:
            raise FleetError(f"{endpoint} needs certificates; make test ones with `skyweave fleet keys`")
    elif not allow_clear and not is_loopback(address):
        raise FleetError(
            f"{endpoint} would send and take messages in the clear; use tls/... with keys (`skyweave fleet keys`), "
            "or say allow_clear: true if the network itself is trusted"
        )


def is_loopback(address: str) -> bool:
    """Return whether an address is on this machine only.

    Args:
        address: ``host:port``, with Zenoh's ``?`` and ``#`` options behind.
    """
    host = address.split("?")[0].split("#")[0].rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Ports of this machine that are free."""

import socket


def is_free(port: int) -> bool:
    """Return whether nobody serves on a port of this machine.

    Args:
        port: TCP.
    """
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

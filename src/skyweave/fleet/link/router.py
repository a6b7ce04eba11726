"""A router between the sites of a fleet: it passes on what somebody behind it subscribes to, and says nothing."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from skyweave.core.errors import FleetError
from skyweave.fleet.link.credentials import RELAY, load_credentials
from skyweave.fleet.link.transport import Membership
from skyweave.fleet.link.zenoh import ZenohConfig


def run_router(
    fleet: str,
    name: str,
    listen: Sequence[str],
    connect: Sequence[str],
    stop: threading.Event,
    keys: str | Path | None = None,
    allow_clear: bool = False,
    on_open: Callable[[], None] = lambda: None,
) -> None:
    """Pass messages on until stopped.

    Args:
        fleet: name of the fleet.
        name: of this router among the keys.
        listen: endpoints that platforms and other routers connect to.
        connect: endpoints of other routers; tried again for as long as they do not answer.
        stop: ends it.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        allow_clear: connect beyond this machine without encryption.
        on_open: called when it listens.

    Raises:
        FleetError: an endpoint that cannot be opened, or would be reached in the clear; a name that is no relay.
    """
    credentials = None if keys is None else load_credentials(keys, name)
    if credentials is not None and credentials.members[name].role != RELAY:
        raise FleetError(
            f"{name} is no relay among the keys of {keys}; `skyweave fleet keys {keys} --relay NAME` adds one"
        )
    config = ZenohConfig(list(listen), list(connect), "router")
    transport = config.build(Membership(fleet, credentials, allow_clear))
    try:
        on_open()
        stop.wait()
    finally:
        transport.close()

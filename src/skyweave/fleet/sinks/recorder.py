"""Records all messages of a fleet to a file, in one of several formats."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skyweave.core.errors import FleetError
from skyweave.core.registry import Registry
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.subscriber import FleetSubscriber, ReceivedMessage

MAX_WAITING_MESSAGES = 20_000
POLL_S = 0.02  # between two looks for messages: to be woken by each costs more than to write it
SAVE_INTERVAL_S = 0.5

MessageWriter = Callable[[ReceivedMessage, int], None]
"""Called with a message, and when it arrived, UTC nanoseconds."""


@dataclass(frozen=True)
class RecordingSession:
    """What is recorded, and for how long.

    Attributes:
        fleet: name of the fleet.
        transport: to the fleet; closed at the end.
        stop: ends it.
        seconds: after which it ends; None: when stopped.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        name: of this member among the keys.
    """

    fleet: str
    transport: Transport
    stop: threading.Event
    seconds: float | None = None
    keys: str | None = None
    name: str = "viewer"


Recorder = Callable[[str | Path, RecordingSession], int]
"""Writes a session to a file; returns the number of messages."""

RECORDERS: "Registry[Recorder]" = Registry(
    "recorders",
    "format of recordings",
    {"mcap": "skyweave.fleet.sinks.mcap:record_mcap", "rrd": "skyweave.fleet.sinks.rerun:record_rerun"},
)


def get_recorder(path: str | Path) -> Recorder:
    """Return what records to a file.

    Args:
        path: its suffix says the format.

    Raises:
        FleetError: no such format.
    """
    suffix = Path(path).suffix.removeprefix(".")
    if suffix not in RECORDERS:
        endings = " or ".join(f".{name}" for name in RECORDERS)
        raise FleetError(f"{path} does not say what it is to be; name it {endings}")
    return RECORDERS[suffix]


def record_messages(session: RecordingSession, write: MessageWriter, save: Callable[[], None]) -> int:
    """Hand all messages of a fleet to a writer, in this thread; return their number.

    Args:
        session: what is recorded, and for how long.
        write: called with each message.
        save: called twice a second, and at the end, to bring to the disk what was written.
    """
    waiting = deque[tuple[ReceivedMessage, int]]()

    def on_message(received: ReceivedMessage) -> None:
        if len(waiting) < MAX_WAITING_MESSAGES:
            waiting.append((received, time.time_ns()))
        else:
            subscriber.rejected["recorder"] += 1

    subscriber = FleetSubscriber(session.fleet, session.transport, session.keys, session.name)
    subscriber.subscribe_all(on_message)
    started = saved_at = time.monotonic()
    count, end = 0, None if session.seconds is None else started + session.seconds
    try:
        while not session.stop.wait(POLL_S) and (end is None or time.monotonic() < end):
            while waiting and time.monotonic() - saved_at < SAVE_INTERVAL_S:
                write(*waiting.popleft())
                count += 1
            if time.monotonic() - saved_at >= SAVE_INTERVAL_S:
                saved_at = time.monotonic()  # a slow disk is brought the rest at once
                save()
    finally:
        subscriber.close()
    while waiting:
        write(*waiting.popleft())
        count += 1
    save()
    return count

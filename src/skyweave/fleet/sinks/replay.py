"""A recorded fleet, played on the network as it was."""

import threading
import time
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader

from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.envelope import Sealer
from skyweave.fleet.link.topics import platform_from_topic
from skyweave.fleet.link.transport import Priority, Transport
from skyweave.fleet.sinks.mcap import RAW_ENCODING


def replay(
    path: str | Path, transport: Transport, stop: threading.Event, speed: float = 1.0, loop: bool = False
) -> int:
    """Publish the messages of a recording under their keys, at the times between them. Returns how many.

    Raises:
        ValueError: no recording of a fleet, or a speed that is none.
        FileNotFoundError: no such file.
    """
    if not speed > 0:
        raise FleetError(f"speed {speed} must be above 0")
    sealer, count = Sealer(None, wall_clock), 0
    while True:
        played = _play(Path(path), transport, stop, speed, sealer)
        if not played and not stop.is_set():
            raise FleetError(f"{path} holds no messages of a fleet; `skyweave fleet record` makes such a recording")
        count += played
        if not loop or stop.is_set():
            return count


def _play(path: Path, transport: Transport, stop: threading.Event, speed: float, sealer: Sealer) -> int:
    count, first, began = 0, None, time.monotonic()
    try:
        with path.open("rb") as stream:
            for _, channel, message in make_reader(stream).iter_messages():
                if channel.message_encoding != RAW_ENCODING or platform_from_topic(channel.topic) is None:
                    continue
                first = message.log_time if first is None else first
                due = began + (message.log_time - first) / 1e9 / speed
                if stop.wait(max(due - time.monotonic(), 0)):
                    return count
                transport.publish(channel.topic, sealer.seal(channel.topic, message.data), Priority.RESULTS)
                count += 1
    except McapError as error:
        raise FleetError(f"{path} is no MCAP file, or is cut off: {error}") from None
    return count

"""A recorded fleet, played on the network as it was."""

import struct
import threading
import time
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader

from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import NS_PER_S, wall_clock
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.topics import platform_from_topic
from skyweave.fleet.link.transport import Priority, Transport
from skyweave.fleet.sinks.mcap import FLEET_ENCODINGS

MAX_SPEED = 1e6


def replay(
    path: str | Path, transport: Transport, stop: threading.Event, speed: float = 1.0, loop: bool = False
) -> int:
    """Publish the messages of a recording under their topics, at the times between them; return their number.

    Args:
        path: of the recording, MCAP.
        transport: to publish on.
        stop: ends it.
        speed: times as fast.
        loop: over and over.

    Raises:
        FleetError: no recording of a fleet, or a speed that is none.
        FileNotFoundError: no such file.
    """
    if not 0 < speed <= MAX_SPEED:
        raise FleetError(f"a speed of {speed:g}; give one above 0, and at most {MAX_SPEED:g}")
    sealer, count = EnvelopeSealer(None, wall_clock), 0
    while True:
        played = _play(Path(path), transport, stop, speed, sealer)
        if not played and not stop.is_set():
            raise FleetError(f"{path} holds no messages of a fleet; `skyweave fleet record` makes such a recording")
        count += played
        if not loop or stop.is_set():
            return count


def _play(path: Path, transport: Transport, stop: threading.Event, speed: float, sealer: EnvelopeSealer) -> int:
    """Play a recording once; return the number of messages."""
    count, first_time, started = 0, None, time.monotonic()
    try:
        with path.open("rb") as stream:
            for _, channel, message in make_reader(stream).iter_messages():
                topic = channel.topic
                if channel.message_encoding not in FLEET_ENCODINGS or platform_from_topic(topic) is None:
                    continue
                first_time = message.log_time if first_time is None else first_time
                deadline = started + (message.log_time - first_time) / NS_PER_S / speed
                if stop.wait(max(deadline - time.monotonic(), 0)):
                    return count
                transport.publish(topic, sealer.seal(topic, message.data), Priority.RESULTS)
                count += 1
    except (McapError, struct.error, ValueError, OSError) as error:  # the reader raises all of these on odd bytes
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise FleetError(f"{path} is no MCAP file, or is cut off ({error}); copy or record it again") from None
    return count

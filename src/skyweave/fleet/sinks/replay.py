"""A recorded fleet, played on the network as it was."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import NS_PER_S, wall_clock
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.messages import read_content
from skyweave.fleet.link.topics import parse_topic
from skyweave.fleet.link.transport import Priority, Transport
from skyweave.fleet.sinks.mcap import FLEET_ENCODINGS
from skyweave.fleet.sinks.mcap_reading import RecordedMessage, read_recorded_messages

MAX_SPEED = 1e6
MAX_GAP_S = 600.0  # between two messages; longer ones are shortened


@dataclass
class ReplayCount:
    """What became of the messages of a recording.

    Attributes:
        played: published.
        refused: not published, because they are not what their topics say.
    """

    played: int = 0
    refused: int = 0


def replay(
    path: str | Path, transport: Transport, stop: threading.Event, speed: float = 1.0, loop: bool = False
) -> ReplayCount:
    """Publish the messages of a recording under their topics, at the times between them; return their numbers.

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
    sealer, count = EnvelopeSealer(None, wall_clock), ReplayCount()
    while True:
        before = count.played
        _play(Path(path), transport, stop, speed, sealer, count)
        if count.played == before and not stop.is_set():
            raise FleetError(f"{path} holds no messages of a fleet; `skyweave fleet record` makes such a recording")
        if not loop or stop.is_set():
            return count


def _play(
    path: Path, transport: Transport, stop: threading.Event, speed: float, sealer: EnvelopeSealer, count: ReplayCount
) -> None:
    """Play a recording once."""
    deadline, last_time = time.monotonic(), None
    for message in read_recorded_messages(path):
        if message.encoding not in FLEET_ENCODINGS:
            continue
        if not _is_valid(message):
            count.refused += 1
            continue
        gap = 0.0 if last_time is None else (message.time - last_time) / NS_PER_S
        deadline, last_time = deadline + min(max(gap, 0.0), MAX_GAP_S) / speed, message.time
        if stop.wait(max(deadline - time.monotonic(), 0)):
            return
        transport.publish(message.topic, sealer.seal(message.topic, message.data), Priority.RESULTS)
        count.played += 1


def _is_valid(message: RecordedMessage) -> bool:
    """Return whether a message is what its topic says; in a topic of no fleet there is none."""
    address = parse_topic(message.topic)
    return address is not None and not isinstance(read_content(address, message.data), str)

"""A fleet's results in any Python program.

with Client("demo", connect=["tcp/127.0.0.1:7450"]) as fleet:
    for picture in fleet.pictures():
        print(picture["platform"], len(picture["boxes"]))
"""

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from skyweave.core.errors import FleetError

if TYPE_CHECKING:
    from skyweave.fleet.link.transport import Transport

FORMS = ("picture", "geojson", "ros")


class FleetClient:
    """Listens to a fleet. Queues are bounded, newest first: who reads slowly misses the oldest.

    Args:
        fleet: its name.
        connect: Zenoh endpoints of any of its nodes or of a router.
        keys: folder of ``skyweave fleet keys``, with a folder for ``name``; None: the fleet runs in the clear.
        name: ours among the keys.
        transport: instead of Zenoh; closed with the client.
        waiting: results that wait to be read.
        allow_clear: connect beyond this machine without TLS.
    """

    def __init__(
        self,
        fleet: str,
        connect: list[str] | None = None,
        keys: str | Path | None = None,
        name: str = "viewer",
        transport: "Transport | None" = None,
        waiting: int = 64,
        allow_clear: bool = False,
    ) -> None:
        from skyweave.fleet.sinks.subscriber import FleetSubscriber, open_subscriber_session

        if transport is None:
            transport = open_subscriber_session(fleet, connect or [], keys, name, allow_clear)
        self._listener = FleetSubscriber(fleet, transport, keys, name)
        self.fleet = fleet
        self._waiting = waiting
        self._latest: dict[tuple[str, str], Any] = {}
        self._queues: dict[str, queue.Queue[Any]] = {}
        self._listener.results("*", "picture", self._picture)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def platforms(self) -> list[str]:
        """Those whose pictures have come."""
        return sorted({platform for platform, form in list(self._latest) if form == "picture"})

    def latest(self, platform: str) -> dict[str, Any] | None:
        """A platform's last picture, if one has come."""
        found: dict[str, Any] | None = self._latest.get((platform, "picture"))
        return found

    def pictures(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Every platform's pictures as they come (docs/fleet.md); ends after ``timeout`` seconds without one."""
        yield from self._iterate("picture", timeout)

    def results(self, form: str, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Results in one form: ``picture``, ``geojson`` or ``ros``. Only what is asked for travels.

        Raises:
            ValueError: no such form.
        """
        if form not in FORMS:
            raise FleetError(f"there is no form {form!r} of results; there are {', '.join(FORMS)}")
        yield from self._iterate(form, timeout)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _picture(self, platform: str, message: bytes) -> None:
        self._arrived("picture", platform, message)

    def _iterate(self, form: str, timeout: float | None) -> Iterator[dict[str, Any]]:
        if form not in self._queues:
            self._queues[form] = queue.Queue(self._waiting)
            if form != "picture":
                self._listener.results("*", form, lambda name, message: self._arrived(form, name, message))
        while True:
            try:
                yield self._queues[form].get(timeout=timeout)
            except queue.Empty:
                return

    def _arrived(self, form: str, platform: str, message: bytes) -> None:
        try:
            content = json.loads(message)
        except ValueError:
            return
        self._latest[platform, form] = content
        waiting = self._queues.get(form)
        while waiting is not None:
            try:
                waiting.put_nowait(content)
                return
            except queue.Full:
                try:
                    waiting.get_nowait()
                except queue.Empty:
                    continue

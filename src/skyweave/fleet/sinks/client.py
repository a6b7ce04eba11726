"""A fleet's results in any Python program.

with FleetClient("demo", connect=["tcp/127.0.0.1:7450"]) as fleet:
    for scene in fleet.scenes():
        print(scene["platform"], len(scene["boxes"]))
"""

import json
import queue
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from skyweave.core.errors import FleetError, did_you_mean

if TYPE_CHECKING:
    from skyweave.fleet.link.transport import Transport

FORMS = ("scene", "geojson", "ros")


class FleetClient:
    """Subscribes to a fleet's results. Queues are bounded: who reads slowly misses the oldest.

    Args:
        fleet: name of the fleet.
        connect: Zenoh endpoints of any of its nodes or of a router.
        keys: folder of ``skyweave fleet keys``, with a folder for ``name``; None: the fleet runs in the clear.
        name: of this client among the keys.
        transport: instead of Zenoh; closed with the client.
        queue_size: results that wait to be read.
        allow_clear: connect beyond this machine without TLS.

    Raises:
        FleetError: endpoints that cannot be opened, or keys that do not fit.
    """

    def __init__(
        self,
        fleet: str,
        connect: Sequence[str] | None = None,
        keys: str | Path | None = None,
        name: str = "viewer",
        transport: "Transport | None" = None,
        queue_size: int = 64,
        allow_clear: bool = False,
    ) -> None:
        from skyweave.fleet.sinks.subscriber import FleetSubscriber, open_subscriber_session

        if transport is None:
            transport = open_subscriber_session(fleet, connect or [], keys, name, allow_clear)
        self._subscriber = FleetSubscriber(fleet, transport, keys, name)
        self.fleet = fleet
        self._queue_size = queue_size
        self._latest: dict[str, dict[str, Any]] = {}  # scenes by platform
        self._queues: dict[str, queue.Queue[dict[str, Any]]] = {}  # by form
        self._subscriber.subscribe_results("*", "scene", self._on_scene)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def platforms(self) -> list[str]:
        """Return the names of the platforms whose scenes have arrived."""
        return sorted(self._latest)

    def latest(self, platform: str) -> dict[str, Any] | None:
        """Return a platform's last fused scene; None: none has arrived.

        Args:
            platform: name of the platform.
        """
        return self._latest.get(platform)

    def scenes(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield every platform's fused scenes as they arrive (docs/fleet.md).

        Args:
            timeout: seconds without a scene after which it ends; None: never.
        """
        yield from self.results("scene", timeout)

    def results(self, form: str, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield results in one form as they arrive. Only what is asked for travels.

        Args:
            form: ``scene``, ``geojson``, ``ros`` or that of an installed sink.
            timeout: seconds without a result after which it ends; None: never.

        Raises:
            FleetError: no such form.
        """
        _check_form(form)
        if form not in self._queues:
            self._queues[form] = queue.Queue(self._queue_size)
            if form != "scene":
                self._subscribe(form)
        while True:
            try:
                yield self._queues[form].get(timeout=timeout)
            except queue.Empty:
                return

    def close(self) -> None:
        """Leave the fleet, and close the transport."""
        self._subscriber.close()

    def _subscribe(self, form: str) -> None:
        def on_result(platform: str, message: bytes) -> None:
            self._enqueue(form, message)

        self._subscriber.subscribe_results("*", form, on_result)

    def _on_scene(self, platform: str, message: bytes) -> None:
        content = self._enqueue("scene", message)
        if content is not None:
            self._latest[platform] = content

    def _enqueue(self, form: str, message: bytes) -> dict[str, Any] | None:
        """Queue a result, if anybody reads that form; return its content, None for what is none."""
        try:
            content = json.loads(message)
        except ValueError:
            return None
        if not isinstance(content, dict):
            return None
        results = self._queues.get(form)
        _put_newest(results, content)
        return content


def _check_form(form: str) -> None:
    """Check that there is such a form of results."""
    forms = [*FORMS, *(point.name for point in entry_points(group="skyweave.sinks"))]
    if form not in forms:
        raise FleetError(
            f"there is no form {form!r} of results{did_you_mean(form, forms)}; there are {', '.join(forms)}"
        )


def _put_newest(results: queue.Queue[dict[str, Any]] | None, content: dict[str, Any]) -> None:
    """Put a result into a queue, and drop the oldest where it is full."""
    while results is not None:
        try:
            results.put_nowait(content)
            break
        except queue.Full:
            try:
                results.get_nowait()
            except queue.Empty:
                continue

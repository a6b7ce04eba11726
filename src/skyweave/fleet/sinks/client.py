"""A fleet's results in any Python program.

with FleetClient("demo", connect=["tcp/127.0.0.1:7450", "tcp/127.0.0.1:7451"]) as fleet:
    for scene in fleet.scenes():
        print(scene["platform"], len(scene["boxes"]))
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from skyweave.core.errors import FleetError, did_you_mean
from skyweave.fleet.sinks.result_queue import MAX_PLATFORMS, ResultQueue

if TYPE_CHECKING:
    from skyweave.fleet.link.scene_message import SceneMessage
    from skyweave.fleet.link.transport import Transport

FORMS = ("scene", "geojson", "ros")


class FleetClient:
    """Subscribes to a fleet's results. Queues are bounded: who reads slowly misses the oldest of each platform.

    Args:
        fleet: name of the fleet.
        connect: Zenoh endpoints of its nodes, or of a router; with keys any node tells where the others are.
        keys: folder of ``skyweave fleet keys``, with a folder for ``name``; None: the fleet runs in the clear.
        name: of this client among the keys.
        transport: instead of Zenoh; closed with the client.
        queue_size: results of each platform that wait to be read.
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
        self._queues: dict[str, ResultQueue] = {}  # by form
        self._subscriber.subscribe_scenes("*", self._on_scene)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def platforms(self) -> list[str]:
        """Return the names of the platforms whose scenes have arrived: those whose keys signed them."""
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
            self._queues[form] = ResultQueue(self._queue_size)
            if form != "scene":
                self._subscribe(form)
        while True:
            content = self._queues[form].take(timeout)
            if content is None:
                return
            yield content

    def close(self) -> None:
        """Leave the fleet, and close the transport."""
        self._subscriber.close()

    def _subscribe(self, form: str) -> None:
        self._subscriber.subscribe_results("*", form, self._queues[form].put)

    def _on_scene(self, scene: "SceneMessage", age: float) -> None:
        content = {**msgspec.json.decode(msgspec.json.encode(scene)), "age": age}
        if "scene" in self._queues:
            self._queues["scene"].put(scene.platform, content)
        self._latest.pop(scene.platform, None)
        self._latest[scene.platform] = content
        while len(self._latest) > MAX_PLATFORMS:
            self._latest.pop(next(iter(self._latest)), None)


def _check_form(form: str) -> None:
    """Check that there is such a form of results."""
    forms = [*FORMS, *(point.name for point in entry_points(group="skyweave.sinks"))]
    if form not in forms:
        raise FleetError(
            f"there is no form {form!r} of results{did_you_mean(form, forms)}; there are {', '.join(forms)}"
        )

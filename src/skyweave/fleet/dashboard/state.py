"""The newest of everything that a fleet publishes, as the dashboard shows it."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from skyweave.fleet.link.clocks import NS_PER_S, Clock, wall_clock
from skyweave.fleet.link.messages import CameraImage
from skyweave.fleet.link.scene_message import SceneMessage
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.subscriber import FleetSubscriber

HIDE_AFTER_S = 10.0  # without a scene
RATE_WINDOW_S = 2.0  # over which throughput is measured
MAX_PLATFORMS = 64
MAX_CAMERAS = 8  # of one platform


@dataclass
class _ShownPlatform:
    """What is known of one platform; times are monotonic seconds.

    Attributes:
        scene: its newest.
        age: seconds since that was captured, when it arrived.
        received: when it arrived.
        measured: when its throughput was last measured.
        bytes_by_peer: when it was.
        rates: bytes a second by peer.
        cameras: number and image by channel, the one that changed last at the end.
    """

    scene: SceneMessage
    age: float
    received: float
    measured: float
    bytes_by_peer: dict[str, int]
    rates: dict[str, float] = field(default_factory=dict)
    cameras: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class DashboardState:
    """The newest scene of each platform and image of each camera. Filled by the network's threads.

    Args:
        fleet: name of the fleet.
        clock: the local one.

    Attributes:
        version: grows with every change.
        rejected: messages that were not taken, by reason.
    """

    def __init__(self, fleet: str, clock: Clock = wall_clock) -> None:
        self.fleet, self.clock = fleet, clock
        self.version = 0
        self.rejected: Counter[str] = Counter()
        self._platforms: dict[str, _ShownPlatform] = {}
        self._image_number = 0
        self._lock = threading.Lock()

    def on_scene(self, scene: SceneMessage, age: float) -> None:
        """Take a platform's fused scene.

        Args:
            scene: as it came.
            age: seconds since it was sent.
        """
        now = time.monotonic()
        bytes_by_peer = {name: link.bytes for name, link in scene.links.items()}
        with self._lock:
            shown = self._platforms.get(scene.platform)
            if shown is None:
                self._hide_silent(now)
                if len(self._platforms) >= MAX_PLATFORMS:
                    return
                shown = self._platforms[scene.platform] = _ShownPlatform(scene, age, now, now, bytes_by_peer)
            _measure_rates(shown, now, bytes_by_peer)
            shown.scene, shown.age, shown.received = scene, age + max(scene.latency, 0.0), now
            self.version += 1

    def on_camera(self, image: CameraImage) -> None:
        """Take an image of a camera of a platform that is shown.

        Args:
            image: as it came.
        """
        with self._lock:
            shown = self._platforms.get(image.platform)
            if shown is None:
                return
            self._image_number += 1
            shown.cameras.pop(image.channel, None)
            shown.cameras[image.channel] = (self._image_number, image.jpeg)
            while len(shown.cameras) > MAX_CAMERAS:
                del shown.cameras[next(iter(shown.cameras))]
            self.version += 1

    def jpeg(self, platform: str, channel: str) -> bytes | None:
        """Return a camera's newest image; None: there is none.

        Args:
            platform: name of the platform.
            channel: name of the camera.
        """
        with self._lock:
            shown = self._platforms.get(platform)
            numbered = None if shown is None else shown.cameras.get(channel)
        return None if numbered is None else numbered[1]

    def to_json(self) -> str:
        """Return what a browser shows. ``age``: seconds since the capture of what is shown of each platform."""
        now = time.monotonic()
        with self._lock:
            self._hide_silent(now)
            content = {
                "fleet": self.fleet,
                "time": self.clock() / NS_PER_S,
                "platforms": {name: _platform_content(shown) for name, shown in self._platforms.items()},
                "age": {name: round(shown.age + now - shown.received, 2) for name, shown in self._platforms.items()},
                "cameras": [
                    {"platform": name, "channel": channel, "number": number}
                    for name, shown in sorted(self._platforms.items())
                    for channel, (number, _) in sorted(shown.cameras.items())
                ],
                "rejected": dict(self.rejected),
            }
            return msgspec.json.encode(content).decode()

    def _hide_silent(self, now: float) -> None:
        for name in [name for name, shown in self._platforms.items() if now - shown.received > HIDE_AFTER_S]:
            del self._platforms[name]


def _measure_rates(shown: _ShownPlatform, now: float, bytes_by_peer: dict[str, int]) -> None:
    elapsed = now - shown.measured
    if elapsed >= RATE_WINDOW_S:
        shown.rates = {
            name: max(size - shown.bytes_by_peer.get(name, size), 0) / elapsed for name, size in bytes_by_peer.items()
        }
        shown.measured, shown.bytes_by_peer = now, bytes_by_peer


def _platform_content(shown: _ShownPlatform) -> dict[str, Any]:
    return {**msgspec.structs.asdict(shown.scene), "rates": shown.rates}


def watch_fleet(
    fleet: str, transport: Transport, keys: str | None = None, name: str = "viewer"
) -> tuple[DashboardState, Callable[[], None]]:
    """Return the state of a fleet, kept up to date, and what ends that.

    Args:
        fleet: name of the fleet.
        transport: to the fleet; closed at the end.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.
        name: of this member among the keys.

    Raises:
        FleetError: keys that do not fit.
    """
    state = DashboardState(fleet)
    subscriber = FleetSubscriber(fleet, transport, keys, name)
    state.rejected = subscriber.rejected
    subscriber.subscribe_scenes("*", state.on_scene)
    subscriber.subscribe_cameras("*", state.on_camera)
    return state, subscriber.close

"""The newest of everything that a fleet publishes, as the dashboard shows it."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.subscriber import FleetSubscriber

HIDE_AFTER_S = 10.0  # without a scene
RATE_WINDOW_S = 2.0  # over which throughput is measured
MAX_PLATFORMS, MAX_CAMERAS = 64, 64
MAX_JPEG_BYTES = 1 << 18
JPEG_MAGIC = b"\xff\xd8"


class DashboardState:
    """The newest scene of each platform and image of each camera. Filled by the network's threads.

    Args:
        fleet: name of the fleet.

    Attributes:
        version: grows with every change.
    """

    def __init__(self, fleet: str) -> None:
        self.fleet = fleet
        self.version = 0
        self._scenes: dict[str, dict[str, Any]] = {}
        self._received: dict[str, float] = {}  # monotonic seconds
        self._last_bytes: dict[str, tuple[float, dict[str, int]]] = {}  # monotonic seconds, bytes by peer
        self._rates: dict[str, dict[str, float]] = {}  # bytes a second
        self._cameras: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    def on_scene(self, platform: str, message: bytes) -> None:
        """Take a platform's fused scene.

        Args:
            platform: name of the platform.
            message: JSON.
        """
        try:
            content = json.loads(message)
            bytes_by_peer = {str(name): int(link["bytes"]) for name, link in content["links"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        now = time.monotonic()
        with self._lock:
            if platform not in self._scenes and len(self._scenes) >= MAX_PLATFORMS:
                return
            self._measure_rates(platform, now, bytes_by_peer)
            content["platform"] = platform
            content["rates"] = self._rates.get(platform, {})
            self._scenes[platform], self._received[platform] = content, now
            self.version += 1

    def on_camera(self, platform: str, channel: str, jpeg: bytes) -> None:
        """Take an image of a camera.

        Args:
            platform: name of the platform.
            channel: name of the camera.
            jpeg: the image.
        """
        if len(jpeg) > MAX_JPEG_BYTES or jpeg[:2] != JPEG_MAGIC:
            return
        with self._lock:
            number, _ = self._cameras.get((platform, channel), (0, b""))
            if number or len(self._cameras) < MAX_CAMERAS:
                self._cameras[platform, channel] = (number + 1, jpeg)
                self.version += 1

    def jpeg(self, platform: str, channel: str) -> bytes | None:
        """Return a camera's newest image; None: there is none.

        Args:
            platform: name of the platform.
            channel: name of the camera.
        """
        with self._lock:
            numbered = self._cameras.get((platform, channel))
        return None if numbered is None else numbered[1]

    def to_json(self) -> str:
        """Return what a browser shows."""
        now = time.monotonic()
        with self._lock:
            self._hide_silent(now)
            return json.dumps(
                {
                    "fleet": self.fleet,
                    "platforms": self._scenes,
                    "silent": {name: round(now - received, 2) for name, received in self._received.items()},
                    "cameras": [
                        {"platform": platform, "channel": channel, "number": number}
                        for (platform, channel), (number, _) in sorted(self._cameras.items())
                        if platform in self._received  # the images stay: a browser may still be asking for one
                    ],
                }
            )

    def _measure_rates(self, platform: str, now: float, bytes_by_peer: dict[str, int]) -> None:
        last_time, last_bytes = self._last_bytes.get(platform, (None, {}))
        if last_time is not None and now - last_time < RATE_WINDOW_S:
            return
        if last_time is not None:
            self._rates[platform] = {
                name: max(size - last_bytes.get(name, size), 0) / (now - last_time)
                for name, size in bytes_by_peer.items()
            }
        self._last_bytes[platform] = (now, bytes_by_peer)

    def _hide_silent(self, now: float) -> None:
        for name in [name for name, received in self._received.items() if now - received > HIDE_AFTER_S]:
            del self._received[name], self._scenes[name]
            self._last_bytes.pop(name, None)
            self._rates.pop(name, None)


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
    subscriber.subscribe_results("*", "scene", state.on_scene)
    subscriber.subscribe_cameras("*", state.on_camera)
    return state, subscriber.close

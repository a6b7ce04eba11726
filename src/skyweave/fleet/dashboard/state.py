"""The newest of everything that a fleet publishes, as the dashboard shows it."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from skyweave.fleet.dashboard.camera_overlay import boxes_on_image
from skyweave.fleet.dashboard.common_scene import CommonScene
from skyweave.fleet.dashboard.event_log import EventLog
from skyweave.fleet.dashboard.fleet_monitor import FleetMonitor
from skyweave.fleet.dashboard.geographic_fit import fit_geographic
from skyweave.fleet.link.clocks import NS_PER_S, Clock, wall_clock
from skyweave.fleet.link.messages import CameraImage
from skyweave.fleet.link.scene_message import SceneMessage, SceneView
from skyweave.fleet.link.topics import parse_topic
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.sinks.subscriber import FleetSubscriber, ReceivedMessage

HIDE_AFTER_S = 10.0  # without a scene
RATE_WINDOW_S = 2.0  # over which throughput is measured
MAX_PLATFORMS = 64
MAX_CAMERAS = 8  # of one platform
MAX_KEPT_SCENES = 8  # of one platform, for the images that belong to them
MAX_WAITED_S = 60.0  # of a scene in the queue of a sink; one that seems to have waited longer is of a recording
ORIGIN_STEP_M = 5000.0  # by which the origin of the polynomials moves with the fleet


@dataclass
class _ShownCamera:
    """The newest image of a camera.

    Attributes:
        number: of the image.
        image: as it came.
        scene: that it belongs to; None: it has not come yet.
        boxes: on it; None: they were not asked for yet.
    """

    number: int
    image: CameraImage
    scene: SceneMessage | None = None
    boxes: list[dict[str, Any]] | None = None


@dataclass
class _ShownPlatform:
    """What is known of one platform; times are seconds of the state's clock.

    Attributes:
        scene: its newest.
        age: seconds since that was captured, when it arrived.
        received: when it arrived.
        measured: when its throughput was last measured.
        bytes_by_peer: when it was.
        rates: bytes a second by peer.
        cameras: by channel, the one that changed last at the end.
        scenes: its newest ones.
    """

    scene: SceneMessage
    age: float
    received: float
    measured: float
    bytes_by_peer: dict[str, int]
    rates: dict[str, float] = field(default_factory=dict)
    cameras: dict[str, _ShownCamera] = field(default_factory=dict)
    scenes: deque[SceneMessage] = field(default_factory=lambda: deque(maxlen=MAX_KEPT_SCENES))


class DashboardState:
    """The newest scene of each platform and image of each camera, and the common scene. Filled by several threads.

    Args:
        fleet: name of the fleet.
        clock: the local one.
        monotonic: seconds by which ages are measured.
        recorded_events: of a recording that is played; None: events are what happens.

    Attributes:
        version: grows with every change.
        rejected_by: messages that were not taken, by sender and reason.
        lock: held while anything changes, and by who reads several of its parts.
        extra_content: what returns what else a browser is shown, by name.
    """

    def __init__(
        self,
        fleet: str,
        clock: Clock = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
        recorded_events: EventLog | None = None,
    ) -> None:
        self.fleet, self.clock, self.monotonic = fleet, clock, monotonic
        self.version = 0
        self.rejected_by: Mapping[str, Mapping[str, int]] = {}
        self.extra_content: dict[str, Callable[[], Any]] = {}
        self._recorded_events = recorded_events
        self._image_number = 0
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget everything that was received."""
        with self.lock:
            self.common_scene = CommonScene()
            self._platforms: dict[str, _ShownPlatform] = {}
            self._last_views: dict[str, tuple[SceneView, float]] = {}
            self._images: dict[tuple[str, str], tuple[CameraImage, SceneMessage]] = {}  # by platform and camera
            self._monitor = FleetMonitor(EventLog())
            self.version += 1

    def on_message(self, platform: str) -> None:
        """Note that a message of any kind came from a platform.

        Args:
            platform: its name.
        """
        with self.lock:
            self._monitor.on_message(platform, self.monotonic(), self._time())

    def on_departure(self, topic: str) -> None:
        """Note that the network reported a departure.

        Args:
            topic: of heartbeats of who left.
        """
        address = parse_topic(topic)
        if address is not None:
            with self.lock:
                self._monitor.on_departure(address.platform, self.monotonic())

    def on_scene(self, scene: SceneMessage, age: float) -> None:
        """Take a platform's fused scene.

        Args:
            scene: as it came.
            age: seconds since it was fused.
        """
        now = self.monotonic()
        bytes_by_peer = {name: link.bytes for name, link in scene.links.items()}
        with self.lock:
            shown = self._platforms.get(scene.platform)
            if shown is None:
                self._hide_silent(now)
                if len(self._platforms) >= MAX_PLATFORMS:
                    return
                shown = self._platforms[scene.platform] = _ShownPlatform(scene, age, now, now, bytes_by_peer)
            _measure_rates(shown, now, bytes_by_peer)
            shown.scene, shown.age, shown.received = scene, age + max(scene.latency, 0.0), now
            shown.scenes.append(scene)
            if scene.views and (scene.platform in self._last_views or len(self._last_views) < MAX_PLATFORMS):
                self._last_views[scene.platform] = scene.views[0], now
            for camera in shown.cameras.values():
                self._match_scene(shown, camera)
            self.common_scene.update(scene, self._time())
            self._monitor.on_scene(scene, self._time())
            self.version += 1

    def on_camera(self, image: CameraImage) -> None:
        """Take an image of a camera of a platform that is shown.

        Args:
            image: as it came.
        """
        with self.lock:
            shown = self._platforms.get(image.platform)
            if shown is None:
                return
            self._image_number += 1
            shown.cameras.pop(image.channel, None)
            camera = shown.cameras[image.channel] = _ShownCamera(self._image_number, image)
            self._match_scene(shown, camera)
            while len(shown.cameras) > MAX_CAMERAS:
                del shown.cameras[next(iter(shown.cameras))]
            self.version += 1

    def check(self) -> None:
        """Write events for what has happened, or has not, since the last time."""
        with self.lock:
            now, time = self.monotonic(), self._time()
            self._monitor.check(now, time)
            self._monitor.check_rejected(self.rejected_by, time)
            self._monitor.check_objects(self.common_scene.objects(), time)

    def jpeg(self, platform: str, channel: str) -> bytes | None:
        """Return a camera's newest image; None: there is none.

        Args:
            platform: name of the platform.
            channel: name of the camera.
        """
        with self.lock:
            shown = self._platforms.get(platform)
            camera = None if shown is None else shown.cameras.get(channel)
        return None if camera is None else camera.image.jpeg

    def json_content(self) -> dict[str, Any]:
        """Return what a browser shows, plain types. ``age``: seconds since the capture of what is shown of each."""
        now = self.monotonic()
        with self.lock:
            self._hide_silent(now)
            events = self._monitor.events.json_content()
            if self._recorded_events is not None:
                events = self._recorded_events.json_content(self._time())
            return {
                "fleet": self.fleet,
                "time": self._time(),
                "written": now,
                "platforms": {name: _platform_content(shown) for name, shown in self._platforms.items()},
                "age": {name: round(shown.age + now - shown.received, 2) for name, shown in self._platforms.items()},
                "cameras": [
                    {"platform": name, "channel": channel, "number": camera.number, "boxes": self._boxes(shown, camera)}
                    for name, shown in sorted(self._platforms.items())
                    for channel, camera in sorted(shown.cameras.items())
                ],
                "lost": self._lost_content(now),
                "common": [known.json_content() for known in self.common_scene.objects()],
                "events": events,
                "geographic": self._geographic(),
                "rejected": dict(sum((Counter(reasons) for reasons in self.rejected_by.values()), Counter())),
                **{name: content() for name, content in self.extra_content.items()},
            }

    def to_json(self) -> str:
        """Return what a browser shows."""
        return msgspec.json.encode(self.json_content()).decode()

    def _time(self) -> float:
        return self.clock() / NS_PER_S

    def _hide_silent(self, now: float) -> None:
        for name in [name for name, shown in self._platforms.items() if now - shown.received > HIDE_AFTER_S]:
            del self._platforms[name]

    def _boxes(self, shown: _ShownPlatform, camera: _ShownCamera) -> list[dict[str, Any]]:
        """Return the boxes on an image; none before its scene has come."""
        if camera.boxes is None and camera.scene is not None:
            name = shown.scene.platform
            camera.boxes = boxes_on_image(
                camera.scene, camera.image.channel, lambda track: self.common_scene.identity(name, track)
            )
        return camera.boxes or []

    def _match_scene(self, shown: _ShownPlatform, camera: _ShownCamera) -> None:
        """Find the scene that an image belongs to; of images that do not say it, the newest."""
        if camera.scene is not None:
            return
        sequence = camera.image.sequence
        scenes = (scene for scene in shown.scenes if scene.sequence == sequence)
        camera.scene = shown.scene if sequence is None else next(scenes, None)
        if camera.scene is not None:
            self._images[camera.image.platform, camera.image.channel] = camera.image, camera.scene

    def take_images(self) -> list[tuple[CameraImage, SceneMessage]]:
        """Return the newest image of each camera that has a new one, with the scene that it belongs to."""
        with self.lock:
            images = list(self._images.values())
            self._images.clear()
        return images

    def scenes(self) -> list[SceneMessage]:
        """Return the newest scene of each platform, by name."""
        with self.lock:
            return [shown.scene for _, shown in sorted(self._platforms.items())]

    @property
    def crs(self) -> str | None:
        """The fleet's reference system; None: local metres, or nothing was received."""
        with self.lock:
            return next((shown.scene.crs for shown in self._platforms.values()), None)

    def _lost_content(self, now: float) -> list[dict[str, Any]]:
        """Return where platforms were that are lost."""
        return [
            {"platform": name, "position": view.position, "heading": view.heading, "age": round(now - seen, 1)}
            for name, (view, seen) in sorted(self._last_views.items())
            if self._monitor.is_lost(name)
        ]

    def _geographic(self) -> dict[str, Any] | None:
        """Return how positions become degrees; None: the fleet has no place on Earth."""
        for shown in self._platforms.values():
            scene = shown.scene
            if scene.crs is not None and scene.views:
                east, north = (round(value / ORIGIN_STEP_M) * ORIGIN_STEP_M for value in scene.views[0].position[:2])
                return fit_geographic(scene.crs, east, north)
        return None


def _measure_rates(shown: _ShownPlatform, now: float, bytes_by_peer: dict[str, int]) -> None:
    elapsed = now - shown.measured
    if elapsed >= RATE_WINDOW_S:
        shown.rates = {
            name: max(size - shown.bytes_by_peer.get(name, size), 0) / elapsed for name, size in bytes_by_peer.items()
        }
        shown.measured, shown.bytes_by_peer = now, bytes_by_peer


def _waited_s(scene: SceneMessage, sent: int) -> float:
    """Return for how long a scene waited at its platform until it was sent, by that platform's clock."""
    waited = sent / NS_PER_S - scene.time - max(scene.latency, 0.0)
    return waited if 0 < waited < MAX_WAITED_S else 0.0


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
    state.rejected_by = subscriber.rejected_by

    def on_message(received: ReceivedMessage) -> None:
        state.on_message(received.address.platform)
        if isinstance(received.content, SceneMessage):
            state.on_scene(received.content, received.age + _waited_s(received.content, received.sent))
        elif isinstance(received.content, CameraImage):
            state.on_camera(received.content)

    subscriber.subscribe_shown(on_message)
    subscriber.watch(state.on_departure)
    return state, subscriber.close

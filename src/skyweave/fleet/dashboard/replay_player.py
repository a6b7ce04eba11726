"""A recording on the live page: played, held, gone through with a slider. No network takes part."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from skyweave.core.errors import FleetError
from skyweave.fleet.dashboard.event_log import EventLog, Severity
from skyweave.fleet.dashboard.fleet_monitor import FleetMonitor
from skyweave.fleet.dashboard.state import DashboardState
from skyweave.fleet.link.clocks import NS_PER_S
from skyweave.fleet.link.messages import CameraImage, MessageContent, read_content
from skyweave.fleet.link.scene_message import SceneMessage
from skyweave.fleet.link.topics import CAMERA, FRAME, Topic, parse_topic
from skyweave.fleet.sinks.mcap import FLEET_ENCODINGS
from skyweave.fleet.sinks.mcap_reading import RecordedMessage
from skyweave.fleet.sinks.recording_index import RecordingIndex

STEP_S = 0.05  # between two looks at what has to be played
LEAD_S = 10.0  # before the time that is gone to, from which on the recording is read
MAX_CONTROL_BYTES = 256
MAX_MARKS = 200  # on the slider

ReportShare = Callable[[float], None]
"""Called with how much of a recording has been read, 0 to 1."""


class ReplayControl(msgspec.Struct, frozen=True):
    """What a browser asks for.

    Attributes:
        seek: UTC seconds to go to.
        playing: whether it plays on.
        speed: times as fast.
    """

    seek: Annotated[float, Meta(ge=0, le=1e11)] | None = None
    playing: bool | None = None
    speed: Annotated[float, Meta(ge=0.01, le=100)] | None = None


class ReplayPlayer:
    """Plays a recording into the state of a page. All who watch see the same.

    Args:
        path: of the recording, MCAP.
        report: called while the recording is read for the first time.

    Attributes:
        state: what the page shows.

    Raises:
        FleetError: it is no recording of a fleet.
        FileNotFoundError: no such file.
    """

    def __init__(self, path: str | Path, report: ReportShare = lambda share: None) -> None:
        self._index = RecordingIndex(Path(path))
        events = EventLog()
        self._fleet = self._scan(events, report)
        self.begin, self.end = self._index.begin / NS_PER_S, self._index.end / NS_PER_S
        self._fed = self._index.begin - 1  # nanoseconds up to which the state was filled
        self.playing, self.speed = True, 1.0
        self._target: int | None = None  # nanoseconds to go to
        self._lock = threading.Lock()
        self.state = DashboardState(self._fleet, lambda: self._fed, lambda: self._fed / NS_PER_S, events)
        self.state.extra_content["replay"] = self.json_content
        self._marks = [
            [event["time"], event["severity"]]
            for event in events.json_content()
            if event["severity"] != Severity.NOTICE
        ][:MAX_MARKS]

    def json_content(self) -> dict[str, Any]:
        """Return where it is, plain JSON types; times are UTC seconds."""
        return {
            "begin": self.begin,
            "end": self.end,
            "position": self._fed / NS_PER_S,
            "playing": self.playing,
            "speed": self.speed,
            "marks": self._marks,
        }

    def control(self, message: str | bytes) -> None:
        """Do what a browser asks for; what is no such message is passed over.

        Args:
            message: JSON of a `ReplayControl`.
        """
        if len(message) > MAX_CONTROL_BYTES:
            return
        try:
            control = msgspec.json.decode(message, type=ReplayControl)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return
        if control.seek is not None:
            target = round(control.seek * NS_PER_S)
            self._target = min(max(target, self._index.begin), self._index.end)
        if control.playing is not None:
            self.playing = control.playing
            if control.playing and self._fed >= self._index.end and self._target is None:
                self._target = self._index.begin
        self.speed = control.speed or self.speed
        self.state.version += 1

    def run(self, stop: threading.Event) -> None:
        """Play until stopped.

        Args:
            stop: ends it.
        """
        before = time.monotonic()
        while not stop.wait(STEP_S):
            now = time.monotonic()
            self.step(now - before)
            before = now

    def step(self, seconds: float) -> None:
        """Go where a browser asked to go, or play on.

        Args:
            seconds: that passed since the last step.
        """
        with self._lock:
            target, self._target = self._target, None
            if target is not None:
                self.state.clear()
                self._fed = max(target - round(LEAD_S * NS_PER_S), self._index.begin) - 1
                self._play_until(target)
            elif self.playing:
                self._play_until(min(self._fed + round(seconds * self.speed * NS_PER_S), self._index.end))
                if self._fed >= self._index.end:
                    self.playing = False
                    self.state.version += 1

    def _play_until(self, target: int) -> None:
        """Fill the state up to a time."""
        for message in self._index.between(self._fed, target):
            address = parse_topic(message.topic)
            if address is None or address.kind == FRAME:
                continue
            content = self._read(message, address)
            if content is None:
                continue
            self._fed = max(self._fed, message.time)
            self.state.on_message(address.platform)
            if isinstance(content, SceneMessage):
                self.state.on_scene(content, 0.0)
            elif isinstance(content, CameraImage):
                self.state.on_camera(content)
        self._fed = target

    def _read(self, message: RecordedMessage, address: Topic) -> MessageContent | None:
        if message.encoding not in FLEET_ENCODINGS or address.fleet != self._fleet:
            return None
        content = read_content(address, message.data)
        return None if isinstance(content, str) else content

    def _scan(self, events: EventLog, report: ReportShare) -> str:
        """Read the whole recording: its times, and what happened; return the name of the fleet."""
        monitor, self._fleet = FleetMonitor(events), ""
        for message, share in self._index.scan():
            report(share)
            address = parse_topic(message.topic)
            if address is None or address.kind in (FRAME, CAMERA) or message.encoding not in FLEET_ENCODINGS:
                continue
            self._fleet = self._fleet or address.fleet
            content = self._read(message, address)
            if content is None:
                continue
            now = message.time / NS_PER_S
            monitor.check(now, now)
            monitor.on_message(address.platform, now, now)
            if isinstance(content, SceneMessage):
                monitor.on_scene(content, now)
        if not self._fleet:
            raise FleetError(
                f"{self._index.path} holds no messages of a fleet; `skyweave fleet record` makes such a recording"
            )
        return self._fleet

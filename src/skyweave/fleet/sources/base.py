"""What a node needs of a source of images: frames of one platform, each when it is due.

Other packages add sources as kinds of `SourceConfig` (docs/fleet.md).
"""

import threading
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Protocol

from skyweave.core.config import TaggedConfig
from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.link.transport import Subscribe
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.recordings.recording import Capture, Frame

MAX_TICKS_BACK = 2  # that are waited for; a clock that went back by more was set
MAX_WAIT_S = 0.25  # after which a source checks whether it was stopped


class ImageSource(Protocol):
    """Gives the frames of one platform.

    Attributes:
        world_frame: reference system and ground of the captures.
    """

    world_frame: WorldFrame

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield each frame when it is due; captures are loaded once.

        Args:
            clock: by which frames are due.
            stop: ends the frames.
        """


@dataclass(frozen=True)
class SourceContext:
    """What a source may use of its node.

    Attributes:
        platform: name of the node.
        subscribe: of the fleet's session; None: that carries nothing but the fleet's signed messages.
        allow_clear: connect beyond this machine without encryption.
    """

    platform: str
    subscribe: Subscribe | None = None
    allow_clear: bool = False


class SourceConfig(TaggedConfig):
    """Base of the configurations of sources: the section ``source`` of a node's YAML.

    A kind is a dataclass with fields of its own. Each needs ``interval``, seconds between frames.
    """

    kinds: "ClassVar[Registry[type[SourceConfig]]]" = Registry(
        "sources",
        "image source",
        {
            "recording": "skyweave.fleet.sources.recording:RecordingSourceConfig",
            "simulator": "skyweave.fleet.sources.simulator:SimulatorSourceConfig",
            "folder": "skyweave.fleet.sources.folder:FolderSourceConfig",
            "topic": "skyweave.fleet.sources.topic:TopicSourceConfig",
            "ros2": "skyweave.fleet.sources.ros:RosSourceConfig",
        },
    )
    default_kind = "recording"
    interval: float

    @abstractmethod
    def build(self, context: SourceContext) -> ImageSource:
        """Open the source.

        Args:
            context: what it may use of its node.

        Raises:
            FleetError: nothing there, or nothing of that platform.
            FileNotFoundError: no such file.
        """


def check_interval(interval: float) -> None:
    """Raise an error for an interval that is none.

    Args:
        interval: seconds between frames.

    Raises:
        ConfigError: it is not positive.
    """
    if not interval > 0:
        raise ConfigError(f"interval {interval} must be seconds above 0")


def schedule_ticks(clock: Clock, stop: threading.Event, interval: float) -> Iterator[int]:
    """Yield the numbers of the intervals since 1970, each when it begins; those that pass meanwhile are skipped.

    Args:
        clock: by which they begin.
        stop: ends them.
        interval: seconds.
    """
    step = round(interval * NS_PER_S)
    last = clock() // step
    while not stop.is_set():
        now = clock()
        tick = now // step
        if last - MAX_TICKS_BACK <= tick <= last:
            stop.wait(min(((last + 1) * step - now) / NS_PER_S, MAX_WAIT_S))
            continue
        last = tick
        yield tick


def platform_captures(frame: Frame, platform: str, shift: int) -> Frame | None:
    """Return one platform's part of a frame, moved in time; None where it has none.

    Args:
        frame: of all platforms.
        platform: name of the platform.
        shift: nanoseconds to add to the capture times. The frame's time is that of the first capture.
    """
    captures = {
        name: _loaded_once(capture, shift) for name, capture in frame.captures.items() if capture.platform == platform
    }
    if not captures:
        return None
    return replace(frame, time=next(iter(captures.values())).time, captures=captures)


def frame_from_capture(capture: Capture, shift: int = 0) -> Frame:
    """Return a frame of a single capture.

    Args:
        capture: of one camera.
        shift: nanoseconds to add to its time.
    """
    moved = _loaded_once(capture, shift)
    return Frame(moved.time, {moved.channel: moved})


def _loaded_once(capture: Capture, shift: int) -> Capture:
    return replace(capture, time=capture.time + shift, load=cache(capture.load))

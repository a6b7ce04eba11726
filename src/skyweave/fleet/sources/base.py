"""Where a node's pictures come from, each moment when it is due."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

from skyweave.core.errors import FleetError
from skyweave.fleet.config import SourceConfig
from skyweave.fleet.link.clocks import Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.recordings.recording import Capture, Frame, RecordedScene
from skyweave.simulator import World, WorldConfig

SECOND = 10**9


class ImageSource(Protocol):
    """Gives moments.

    Attributes:
        place: where they are captured.
    """

    place: WorldFrame

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Each of one platform's moments, when it is due by the clock; captures are loaded once. Ends when stopped."""


def open_source(
    config: SourceConfig, name: str, subscribe: Callable[..., Callable[[], None]] | None = None
) -> ImageSource:
    """The source of a node.

    Args:
        config: of it.
        name: of the node.
        subscribe: of a transport, for topics.

    Raises:
        ValueError, FileNotFoundError: nothing there, or nothing of that platform.
    """
    platform = config.platform or name
    if config.kind == "recording":
        return RecordingSource.open(str(config.path), config.scene, platform, config.interval)
    if config.kind == "simulator":
        from skyweave.core.config import load_config_file

        world = load_config_file(str(config.path), WorldConfig)
        return SimulatorSource(world, config, platform)
    if config.kind == "folder":
        from skyweave.core.config import load_config_file
        from skyweave.fleet.sources.images import FolderCameraConfig, FolderSource
        from skyweave.fleet.sources.video import VideoSource

        folder = Path(str(config.path))
        said = load_config_file(folder / "camera.yaml", FolderCameraConfig)
        kind = FolderSource if said.video is None else VideoSource
        return kind(folder, said, platform, config.crs, config.interval)
    assert subscribe is not None
    if config.kind == "ros2":
        from skyweave.fleet.sources.ros import RosSource

        assert config.ros is not None
        return RosSource(config.ros, platform, config.crs, config.interval, subscribe)
    from skyweave.fleet.sources.images import TopicSource

    assert config.topic is not None
    return TopicSource(config.topic, platform, config.crs, subscribe)


class RecordingSource:
    """A scene played in real time, over and over. Which frame is shown depends on the wall clock alone, so that the
    nodes of a fleet are together, and a node that comes back is too.
    """

    def __init__(self, scene: RecordedScene, platform: str, interval: float) -> None:
        self.scene, self.platform, self.interval = scene, platform, interval
        self.place = WorldFrame(scene.crs, scene.ground)
        known = sorted({capture.platform for frame in scene.frames for capture in frame.captures.values()})
        if platform not in known:
            raise FleetError(f"scene {scene.name} has no platform {platform!r}; it has {', '.join(known)}")

    @classmethod
    def open(cls, path: str, scene: str | None, platform: str, interval: float) -> "RecordingSource":
        """Of a recording on disk."""
        from skyweave.recordings.nuscenes import load_recording

        scenes = list(load_recording(path).scenes)
        chosen = [one for one in scenes if scene in (None, one.name)]
        if not chosen:
            known = ", ".join(one.name for one in scenes[:10])
            raise FleetError(f"{path} has no scene {scene!r}; it has {known or 'none'}")
        return cls(chosen[0], platform, interval)

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """See `ImageSource`."""
        for tick in schedule_ticks(clock, stop, self.interval):
            frame = self.scene.frames[tick % len(self.scene.frames)]
            time = tick * round(self.interval * SECOND)
            moment = platform_captures(frame, self.platform, time - frame.time)
            if moment is not None:
                yield moment


class SimulatorSource:
    """A simulated world, stepped live. Every node simulates the same one, of which it sees its own part."""

    def __init__(self, world: WorldConfig, config: SourceConfig, platform: str) -> None:
        self.world, self.config, self.platform = world, config, platform
        self.simulated = World(world, config.seed, config.index)
        known = sorted(one.name for one in self.simulated.platforms)
        if platform not in known:
            raise FleetError(f"the world {world.name} has no platform {platform!r}; it has {', '.join(known)}")
        self.place = WorldFrame(world.place.crs, self.simulated.world_ground())

    def moments(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """See `ImageSource`. A node that starts late first steps to where the others are."""
        interval = self.config.interval
        start = 0.0 if self.config.start is None else self.config.start
        begin = round(start / interval) if start else None
        for tick in schedule_ticks(clock, stop, interval):
            begin = tick if begin is None else begin
            while self.simulated.frames_done < tick - begin and not stop.is_set():
                self.simulated.step(interval)
            frame = self.simulated.frame([self.platform])
            time = tick * round(interval * SECOND)
            moment = platform_captures(frame, self.platform, time - frame.time)
            if moment is not None:
                yield moment


def schedule_ticks(clock: Clock, stop: threading.Event, interval: float) -> Iterator[int]:
    """Numbers of the intervals since 1970, each when it begins; those that pass while nobody asks are skipped."""
    step = round(interval * SECOND)
    last = clock() // step
    while not stop.is_set():
        now = clock()
        tick = max(now // step, last)
        if tick == last:
            stop.wait(min(((last + 1) * step - now) / SECOND, 0.25))
            continue
        last = tick
        yield tick


def platform_captures(frame: Frame, platform: str, shift: int) -> Frame | None:
    """One platform's part of a frame, moved in time; None where it has none. Its time is that of its first capture."""
    captures = {
        name: _loaded_once(replace(capture, time=capture.time + shift))
        for name, capture in frame.captures.items()
        if capture.platform == platform
    }
    if not captures:
        return None
    return replace(frame, time=next(iter(captures.values())).time, captures=captures)


def _loaded_once(capture: Capture) -> Capture:
    return replace(capture, load=cache(capture.load))

"""A recorded scene as a source, played in real time, over and over."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import SourceConfig, SourceContext, check_interval, platform_captures, schedule_ticks
from skyweave.recordings.nuscenes import load_recording
from skyweave.recordings.recording import Frame, RecordedScene

MAX_NAMED_SCENES = 10  # in an error message


@dataclass(frozen=True)
class RecordingSourceConfig(SourceConfig):
    """A recording in the nuScenes layout; ``kind: recording``.

    Attributes:
        path: folder of the recording.
        scene: name of the scene; None: the first.
        platform: whose captures; None: of the platform named as the node.
        interval: seconds between frames.
    """

    path: str
    scene: str | None = None
    platform: str | None = None
    interval: float = 0.5

    def __post_init__(self) -> None:
        check_interval(self.interval)

    def build(self, context: SourceContext) -> "RecordingSource":
        """Open the recording.

        Args:
            context: names the platform.

        Raises:
            FleetError: no such scene, or none of that platform.
            FileNotFoundError: no such recording.
        """
        scenes = list(load_recording(self.path).scenes)
        chosen = self._choose_scene(scenes)
        return RecordingSource(chosen, self.platform or context.platform, self.interval)

    def _choose_scene(self, scenes: list[RecordedScene]) -> RecordedScene:
        """Choose the scene of the configured name, or the first."""
        chosen = next((scene for scene in scenes if self.scene in (None, scene.name)), None)
        if chosen is None:
            known = ", ".join(scene.name for scene in scenes[:MAX_NAMED_SCENES])
            raise FleetError(f"{self.path} has no scene {self.scene!r}; it has {known or 'none'}")
        return chosen


class RecordingSource:
    """A scene played in real time, over and over.

    Which frame is shown depends on the wall clock alone, so that the nodes of a fleet are together, and a node that
    comes back is too.

    Args:
        scene: with captures of the platform.
        platform: name of the platform.
        interval: seconds between frames.

    Raises:
        FleetError: the scene has no such platform.
    """

    def __init__(self, scene: RecordedScene, platform: str, interval: float) -> None:
        self.scene, self.platform, self.interval = scene, platform, interval
        self.world_frame = WorldFrame(scene.crs, scene.ground)
        known = sorted({capture.platform for frame in scene.frames for capture in frame.captures.values()})
        if platform not in known:
            raise FleetError(f"scene {scene.name} has no platform {platform!r}; it has {', '.join(known)}")

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield the scene's frames by the wall clock.

        Args:
            clock: by which frames are due.
            stop: ends the frames.
        """
        for tick in schedule_ticks(clock, stop, self.interval):
            recorded = self.scene.frames[tick % len(self.scene.frames)]
            time = tick * round(self.interval * NS_PER_S)
            frame = platform_captures(recorded, self.platform, time - recorded.time)
            if frame is not None:
                yield frame

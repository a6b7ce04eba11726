"""A simulated world as a source, stepped live."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from skyweave.core.config import load_config_file
from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import SourceConfig, SourceContext, check_interval, platform_captures, schedule_ticks
from skyweave.recordings.recording import Frame
from skyweave.simulator import World, WorldConfig


@dataclass(frozen=True)
class SimulatorSourceConfig(SourceConfig):
    """A simulated world; ``kind: simulator``. Every node simulates the same world and renders its own cameras.

    Attributes:
        path: YAML of the world.
        seed: of the world.
        index: of the scene among those with that seed.
        start: UTC seconds at which the world begins; the same for the whole fleet. None: with the first frame.
        platform: whose captures; None: of the platform named as the node.
        interval: seconds between frames.
    """

    path: str
    seed: int = 0
    index: int = 0
    start: float | None = None
    platform: str | None = None
    interval: float = 0.5

    def __post_init__(self) -> None:
        check_interval(self.interval)

    def build(self, context: SourceContext) -> "SimulatorSource":
        """Make the world.

        Args:
            context: names the platform.

        Raises:
            FleetError: the world has no such platform.
            FileNotFoundError: no such YAML.
            ConfigError: what is wrong in it.
        """
        world = load_config_file(self.path, WorldConfig)
        return SimulatorSource(world, self, self.platform or context.platform)


class SimulatorSource:
    """A simulated world, stepped live.

    Args:
        world: to simulate.
        config: seed, start and interval.
        platform: name of the platform.

    Raises:
        FleetError: the world has no such platform.
    """

    def __init__(self, world: WorldConfig, config: SimulatorSourceConfig, platform: str) -> None:
        self.config, self.platform = config, platform
        self.simulated = World(world, config.seed, config.index)
        known = sorted(simulated.name for simulated in self.simulated.platforms)
        if platform not in known:
            raise FleetError(f"the world {world.name} has no platform {platform!r}; it has {', '.join(known)}")
        self.world_frame = WorldFrame(world.place.crs, self.simulated.world_ground())

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield rendered frames. A node that starts late first steps to where the others are.

        Args:
            clock: by which frames are due.
            stop: ends the frames.
        """
        interval, start = self.config.interval, self.config.start
        first_tick = round(start / interval) if start else None
        for tick in schedule_ticks(clock, stop, interval):
            first_tick = tick if first_tick is None else first_tick
            while self.simulated.frames_done < tick - first_tick and not stop.is_set():
                self.simulated.step(interval)
            rendered = self.simulated.frame([self.platform])
            time = tick * round(interval * NS_PER_S)
            frame = platform_captures(rendered, self.platform, time - rendered.time)
            if frame is not None:
                yield frame

"""The content of ``node.yaml`` and ``fleet.yaml``."""

from dataclasses import dataclass, field
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.fleet.link.topics import validate_name
from skyweave.fleet.link.transport import TransportConfig
from skyweave.fleet.link.zenoh import ZenohConfig
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.config import PerceiverConfig
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.cameras import CameraSinkConfig
from skyweave.fleet.sinks.messages import SceneSinkConfig
from skyweave.fleet.sources.base import SourceConfig


def default_sinks() -> list[SinkConfig]:
    """Return the sinks of a node that names none: what the dashboard shows."""
    return [SceneSinkConfig(), CameraSinkConfig()]


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """One node.

    Attributes:
        name: of the platform.
        fleet: name of the fleet.
        source: where its images come from.
        perceiver: what observes and fuses.
        transport: to the other platforms.
        options: synchronisation, rate control and limits.
        sinks: where its fused scenes go.
        platform_id: number by which the wire format knows it; None: from the keys, or of the name.
        keys: folder of ``skyweave fleet keys``; None: in the clear, which is refused beyond this machine.
        allow_clear: run in the clear all the same.
        metrics: ``host:port`` for Prometheus; None: none.
        allow_open: serve the metrics to other machines, to anybody.
        status_file: to which the node's status is written every second; None: none.
        clock_offset: seconds by which its clock is made wrong, to try things out.
        max_frames: after which it ends; None: never.
    """

    name: str
    fleet: str = "fleet"
    source: SourceConfig
    perceiver: PerceiverConfig
    transport: TransportConfig = field(default_factory=ZenohConfig)
    options: NodeOptions = field(default_factory=NodeOptions)
    sinks: list[SinkConfig] = field(default_factory=default_sinks)
    platform_id: int | None = None
    keys: str | None = None
    allow_clear: bool = False
    metrics: str | None = None
    allow_open: bool = False
    status_file: str | None = None
    clock_offset: float = 0.0
    max_frames: int | None = None


@dataclass(frozen=True)
class FleetConfig:
    """A whole fleet on one machine.

    Attributes:
        name: of the fleet.
        platforms: names.
        node: what all nodes share: the content of a ``node.yaml`` without its name.
        nodes: by name, what is different for some.
        port: the first of the ports that are used, one for each node's link and one for its metrics.
        state: folder for logs, configurations and status.
        keys: folder of ``skyweave fleet keys``; None: in the clear, on this machine only.
    """

    name: str = "fleet"
    platforms: list[str] = field(default_factory=list)
    node: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = 7450
    state: str = "fleet-state"
    keys: str | None = None

    def __post_init__(self) -> None:
        if not self.platforms or len(set(self.platforms)) != len(self.platforms):
            raise ConfigError(f"platforms {self.platforms} of a fleet must be one or more different names")
        validate_name(self.name, "fleet")
        for name in self.platforms:
            validate_name(name, "platform")
        unknown = sorted(set(self.nodes) - set(self.platforms))
        if unknown:
            raise ConfigError(f"nodes names {unknown[0]!r}, which is none of the platforms {self.platforms}")

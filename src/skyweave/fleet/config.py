"""What ``node.yaml`` and ``fleet.yaml`` say."""

from dataclasses import dataclass, field
from typing import Any

from skyweave.fleet.node import NodeOptions
from skyweave.fleet.zenoh_transport import ZenohConfig

SOURCES = ("recording", "simulator", "folder", "topic")
PERCEIVERS = ("features", "model", "truth")


@dataclass(frozen=True)
class SourceConfig:
    """Where a node's pictures come from.

    Attributes:
        kind: ``recording`` (played in real time, over and over), ``simulator`` (live), ``folder`` (pictures with
            poses), ``topic`` (pictures with poses under a key, see docs/fleet.md).
        path: folder of the recording or of the pictures, or the simulator's YAML.
        scene: of the recording; None: the first.
        platform: whose captures; None: the one named as the node.
        interval: seconds between frames.
        seed, index: of the simulated world.
        start: UTC seconds at which the simulated world begins; the same for the whole fleet.
        topic: key.
        crs: reference system of the poses of a folder or a topic.
    """

    kind: str = "recording"
    path: str | None = None
    scene: str | None = None
    platform: str | None = None
    interval: float = 0.5
    seed: int = 0
    index: int = 0
    start: float | None = None
    topic: str | None = None
    crs: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in SOURCES:
            raise ValueError(f"no source {self.kind!r}; there are {', '.join(SOURCES)}")
        if self.kind != "topic" and self.path is None:
            raise ValueError(f"a source of kind {self.kind} needs a path")
        if self.kind == "topic" and self.topic is None:
            raise ValueError("a source of kind topic needs a topic, a key such as 'drone/front'")
        if not self.interval > 0:
            raise ValueError(f"interval {self.interval} must be seconds above 0")


@dataclass(frozen=True)
class PerceiverConfig:
    """What sees.

    Attributes:
        kind: ``features``, a collaborative model, which sends what its strategy shares; ``model``, a perception model,
            which sends boxes; or ``truth``, which reads the simulator's truth, to test networks.
        weights: of the model.
        strategy: of a collaborative model; None: the one that it was trained for.
        categories: that ``truth`` tells.
        seed, missed, noise, size, resolution: of ``truth``.
        threads: of the processor, for the model.
    """

    kind: str = "model"
    weights: str | None = None
    strategy: str | None = None
    categories: tuple[str, ...] = ("car", "truck", "bus", "bicycle", "pedestrian")
    seed: int = 0
    missed: float = 0.1
    noise: float = 0.2
    size: float = 128.0
    resolution: float = 0.5
    threads: int = 1

    def __post_init__(self) -> None:
        if self.kind not in PERCEIVERS:
            raise ValueError(f"no perceiver {self.kind!r}; there are {', '.join(PERCEIVERS)}")
        if self.kind != "truth" and self.weights is None:
            raise ValueError(f"a perceiver of kind {self.kind} needs weights; `skyweave train` makes some")


@dataclass(frozen=True)
class NodeConfig:
    """One node.

    Attributes:
        name: of the platform.
        fleet: name of the fleet.
        source, perceiver, transport, options: see there.
        number: by which the wire format knows it; None: from the keys, or of the name.
        keys: folder of ``skyweave fleet keys``; None: in the clear, which is refused beyond this machine.
        allow_clear: run in the clear all the same.
        relays: names of routers that may pass on what others say.
        publish: forms of results.
        camera_interval: seconds between small pictures of each camera; 0: none.
        metrics: ``host:port`` for Prometheus; None: none.
        status: file that says every second how the node is.
        save: file to which every picture is appended, a line of JSON each (form ``picture``).
        clock_offset: seconds by which its clock is made wrong, to try things out.
        frames: after which it ends; None: never.
    """

    name: str
    fleet: str = "fleet"
    source: SourceConfig = field(default_factory=lambda: SourceConfig(path="recording"))
    perceiver: PerceiverConfig = field(default_factory=lambda: PerceiverConfig("truth"))
    transport: ZenohConfig = field(default_factory=ZenohConfig)
    options: NodeOptions = field(default_factory=NodeOptions)
    number: int | None = None
    keys: str | None = None
    allow_clear: bool = False
    relays: list[str] = field(default_factory=list)
    publish: list[str] = field(default_factory=lambda: ["picture"])
    camera_interval: float = 1.0
    metrics: str | None = None
    status: str | None = None
    save: str | None = None
    clock_offset: float = 0.0
    frames: int | None = None


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
            raise ValueError(f"platforms {self.platforms} of a fleet must be one or more different names")
        unknown = sorted(set(self.nodes) - set(self.platforms))
        if unknown:
            raise ValueError(f"nodes names {unknown[0]!r}, which is none of the platforms {self.platforms}")

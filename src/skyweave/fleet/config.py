"""What ``node.yaml`` and ``fleet.yaml`` say."""

from dataclasses import dataclass, field
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.fleet.link.zenoh import ZenohConfig
from skyweave.fleet.node.node import NodeOptions

SOURCES = ("recording", "simulator", "folder", "topic", "ros2")
ROS_IMAGES = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
ROS_POSES = (
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "nav_msgs/msg/Odometry",
)
PERCEIVERS = ("intermediate_fusion", "late_fusion", "ground_truth")


@dataclass(frozen=True)
class RosConfig:
    """A ROS 2 camera: which topics, and how it sits.

    Attributes:
        image, info, pose: keys, such as ``drone/front/image_raw/compressed`` behind a bridge, or
            ``0/drone/front/image_raw/compressed/**`` with rmw_zenoh (0 is the domain).
        image_type, pose_type: of their messages; ``info`` is a sensor_msgs/msg/CameraInfo.
        mount: of the camera on what the pose is of: metres forward, left and up, then degrees of yaw (to the left),
            pitch (downwards) and roll. None: the pose is the camera's optical frame (x right, y down, z forward).
        origin: east, north and up of the poses' own origin in the reference system, metres.
        ground: height of the ground in the reference system, metres.
        sensor: what the camera is (``skyweave sensors``).
        channel: name of the camera.
        patience: seconds for which a picture waits for a pose as new as itself.
    """

    image: str
    info: str
    pose: str
    image_type: str = ROS_IMAGES[0]
    pose_type: str = ROS_POSES[0]
    mount: tuple[float, float, float, float, float, float] | None = None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ground: float = 0.0
    sensor: str = "rgb"
    channel: str = "CAMERA"
    patience: float = 0.2

    def __post_init__(self) -> None:
        for name, value, known in (("image", self.image_type, ROS_IMAGES), ("pose", self.pose_type, ROS_POSES)):
            if value not in known:
                raise ConfigError(f"{name}_type {value!r} is not read; there are {', '.join(known)}")


@dataclass(frozen=True)
class SourceConfig:
    """Where a node's pictures come from.

    Attributes:
        kind: ``recording`` (played in real time, over and over), ``simulator`` (live), ``folder`` (pictures with
            poses), ``topic`` (pictures with poses under a key), ``ros2`` (a camera of ROS 2); see docs/fleet.md.
        path: folder of the recording or of the pictures, or the simulator's YAML.
        scene: of the recording; None: the first.
        platform: whose captures; None: the one named as the node.
        interval: seconds between frames.
        seed, index: of the simulated world.
        start: UTC seconds at which the simulated world begins; the same for the whole fleet.
        topic: key.
        ros: topics of a ROS 2 camera.
        connect: endpoints of a Zenoh session of its own for a topic or ROS 2, such as ``tcp/127.0.0.1:7447`` of a
            bridge on this machine; none: the fleet's session.
        crs: reference system of the poses of a folder, a topic or ROS 2.
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
    ros: RosConfig | None = None
    connect: list[str] = field(default_factory=list)
    crs: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in SOURCES:
            raise ConfigError(f"no source {self.kind!r}; there are {', '.join(SOURCES)}")
        if self.kind not in ("topic", "ros2") and self.path is None:
            raise ConfigError(f"a source of kind {self.kind} needs a path")
        if self.kind == "topic" and self.topic is None:
            raise ConfigError("a source of kind topic needs a topic, a key such as 'drone/front'")
        if self.kind == "ros2" and self.ros is None:
            raise ConfigError("a source of kind ros2 needs ros: {image: KEY, info: KEY, pose: KEY}, see docs/fleet.md")
        if not self.interval > 0:
            raise ConfigError(f"interval {self.interval} must be seconds above 0")


@dataclass(frozen=True)
class PerceiverConfig:
    """What sees.

    Attributes:
        kind: ``intermediate_fusion``, a collaborative model, which sends what its strategy shares; ``late_fusion``, a perception model,
            which sends boxes; or ``ground_truth``, which reads the simulator's truth, to test networks.
        weights: of the model.
        strategy: of a collaborative model; None: the one that it was trained for.
        categories: that ``ground_truth`` tells.
        seed, missed, noise, size, resolution: of ``ground_truth``.
        threads: of the processor, for the model.
    """

    kind: str = "late_fusion"
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
            raise ConfigError(f"no perceiver {self.kind!r}; there are {', '.join(PERCEIVERS)}")
        if self.kind != "ground_truth" and self.weights is None:
            raise ConfigError(f"a perceiver of kind {self.kind} needs weights; `skyweave train` makes some")


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
    perceiver: PerceiverConfig = field(default_factory=lambda: PerceiverConfig("ground_truth"))
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
            raise ConfigError(f"platforms {self.platforms} of a fleet must be one or more different names")
        unknown = sorted(set(self.nodes) - set(self.platforms))
        if unknown:
            raise ConfigError(f"nodes names {unknown[0]!r}, which is none of the platforms {self.platforms}")

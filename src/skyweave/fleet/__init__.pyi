from .config import FleetConfig, NodeConfig
from .link.emulated import EmulatedNetwork
from .link.emulated_link import EmulatedLinkConfig
from .link.loopback import LoopbackNetwork
from .link.transport import Membership, Transport, TransportConfig
from .link.zenoh import ZenohConfig
from .node.fused_scene import FusedScene
from .node.node import Node
from .node.options import NodeOptions
from .perceivers.base import Perceiver, WorldFrame
from .perceivers.config import PerceiverConfig
from .sinks.base import Sink, SinkConfig
from .sinks.client import FleetClient
from .sinks.publisher import ScenePublisher
from .sinks.scene_content import PublishedScene
from .sources.base import ImageSource, SourceConfig, SourceContext, frame_from_capture, schedule_ticks
from .supervisor.runtime import run_node
from .supervisor.supervisor import Supervisor

__all__ = [
    "EmulatedLinkConfig",
    "EmulatedNetwork",
    "FleetClient",
    "FleetConfig",
    "FusedScene",
    "ImageSource",
    "LoopbackNetwork",
    "Membership",
    "Node",
    "NodeConfig",
    "NodeOptions",
    "Perceiver",
    "PerceiverConfig",
    "PublishedScene",
    "ScenePublisher",
    "Sink",
    "SinkConfig",
    "SourceConfig",
    "SourceContext",
    "Supervisor",
    "Transport",
    "TransportConfig",
    "WorldFrame",
    "ZenohConfig",
    "frame_from_capture",
    "run_node",
    "schedule_ticks",
]

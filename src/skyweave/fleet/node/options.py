"""The options of a node."""

from dataclasses import dataclass, field

from skyweave.core.errors import FleetError
from skyweave.fleet.link.rate_limit import PeerLimits
from skyweave.fleet.link.tiles import TileScheme
from skyweave.fleet.node.rate_control import RateControlConfig

MIN_HANG_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class NodeOptions:
    """How a node synchronises, sends and protects itself: the section ``options`` of a node's YAML.

    Attributes:
        max_time_offset: seconds by which a peer's capture may differ from this node's to be fused with it; where the
            peer's frame of the same time has not come in time, the one before it is moved on, if this reaches that far.
        max_wait: seconds after the capture for which peers' frames are waited for, at most.
        grace: share of the interval by which a peer's frame may come later than its latest ones did, before it is no
            longer waited for: by so much a scene is delayed when a peer vanishes.
        mtu: bytes of the largest message, envelope included.
        heartbeat_interval: seconds between heartbeats.
        peer_timeout: seconds without a heartbeat after which a peer is not waited for.
        hang_timeout: seconds after which a node whose source, reading, heartbeats or work is stuck ends itself, to be
            started again by its supervisor.
        tiles: sides of the fleet's map tiles in metres, the largest first, each a multiple of the next: a node receives
            those who look where it looks; none: everybody. The same in the whole fleet.
        publish_frames: publish observations to peers; false: only receive.
        budget: bytes a frame, and how they follow the link.
        limits: what a peer may cost this node.
    """

    max_time_offset: float = 0.75
    max_wait: float = 0.25
    grace: float = 0.15
    mtu: int = 1200
    heartbeat_interval: float = 0.5
    peer_timeout: float = 2.0
    hang_timeout: float = 15.0
    tiles: tuple[int, ...] = ()
    publish_frames: bool = True
    budget: RateControlConfig = field(default_factory=RateControlConfig)
    limits: PeerLimits = field(default_factory=PeerLimits)

    def __post_init__(self) -> None:
        TileScheme(self.tiles)  # checks them
        if not self.hang_timeout >= MIN_HANG_TIMEOUT_S:
            raise FleetError(f"hang_timeout {self.hang_timeout:g} s; give {MIN_HANG_TIMEOUT_S:g} or more")

"""How much each link of a fleet carries, and what is the first to be too much, before the fleet is built.

Platforms are spread evenly over an area. Each receives those who speak under its own map tile and the eight around it
(`skyweave.fleet.link.tiles`), of which those are fused whose maps overlap its own.
"""

from dataclasses import dataclass, fields, replace
from math import ceil, sqrt

from skyweave.core.errors import FleetError
from skyweave.fleet.link.envelope import HEADER_BYTES, SIGNATURE_BYTES
from skyweave.fleet.link.heartbeat import MAX_REPORTS, MAX_SENT_TRACKS
from skyweave.fleet.link.zenoh_settings import MAX_SESSIONS

HEARTBEAT_BYTES = 70  # without reports, tracks and envelope, for a few categories
REPORT_BYTES = 36  # of one peer in a heartbeat
TRACKS_BYTES = 50 * MAX_SENT_TRACKS  # of the objects that a heartbeat names, at most
LINK_BYTES = 75  # of Zenoh, TLS, TCP and IP, for each message that travels alone
PROCESSOR_S = 0.0005  # of one core for each message that is received, Ed25519 included, measured on an x86-64 CPU
TILES_AROUND = 9
MAX_VALUE = 1e15  # of anything in a plan
RARE = 2.33  # standard deviations above the mean beyond which one platform in a hundred lies


@dataclass(frozen=True)
class FleetPlan:
    """A fleet that is planned.

    Attributes:
        area: square metres that it works over.
        platforms: number of them.
        link: bits a second that the link of one platform carries, in each direction.
        gate: bits a second that a router's link carries, in each direction.
        sites: number of routers that share the area.
        map_size: metres along a platform's map.
        tile: side of the map tiles, metres; None: no tiles, everybody receives everybody.
        interval: seconds between frames.
        frame_bytes: budget of a frame, envelopes included.
        heartbeat_interval: seconds between heartbeats.
        mtu: bytes of the largest message.
        signed: whether messages are signed.

    Raises:
        FleetError: numbers that cannot be.
    """

    area: float
    platforms: int
    link: float
    gate: float = 1e9
    sites: int = 1
    map_size: float = 128.0
    tile: float | None = 128.0
    interval: float = 0.5
    frame_bytes: int = 4000
    heartbeat_interval: float = 0.5
    mtu: int = 1200
    signed: bool = True

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not 0 < value <= MAX_VALUE:
                raise FleetError(f"{item.name} {value:g} of a plan must be above 0 and at most {MAX_VALUE:g}")
        if self.tile is not None and self.tile < self.map_size:
            raise FleetError(
                f"tiles of {self.tile:g} m are smaller than maps of {self.map_size:g} m: platforms would speak to all; "
                f"give {ceil(self.map_size)} or more"
            )

    @property
    def density(self) -> float:
        """Platforms for each square metre of the area."""
        return self.platforms / self.area

    @property
    def peers_received(self) -> float:
        """Peers of which a platform receives everything, on average, away from the edge."""
        if self.tile is None:
            return self.platforms - 1.0
        return (self.platforms - 1) * min(TILES_AROUND * self.tile**2 / self.area, 1.0)

    @property
    def peers_received_rarely(self) -> float:
        """Peers that one platform in a hundred receives, or more."""
        mean = self.peers_received
        return mean if self.tile is None else min(mean + RARE * sqrt(mean), self.platforms - 1.0)

    @property
    def peers_fused(self) -> float:
        """Peers whose maps overlap a platform's own, on average."""
        return (self.platforms - 1) * min((2 * self.map_size) ** 2 / self.area, 1.0)

    @property
    def sent_bits(self) -> float:
        """Bits a second that a platform sends to its router."""
        return self._sent_bits(self.peers_received)

    @property
    def messages_received(self) -> float:
        """Messages a second that a platform receives."""
        return self.peers_received * (self._chunks / self.interval + 1 / self.heartbeat_interval)

    @property
    def received_bits(self) -> float:
        """Bits a second that a platform receives from its router, on average."""
        return self.peers_received * self.sent_bits

    @property
    def received_bits_rarely(self) -> float:
        """Bits a second that one platform in a hundred receives, or more."""
        return self.peers_received_rarely * self._sent_bits(self.peers_received_rarely)

    @property
    def processor(self) -> float:
        """Share of a core that receiving takes."""
        return self.messages_received * PROCESSOR_S

    @property
    def gate_bits(self) -> float:
        """Bits a second that a router sends to the platforms of its site."""
        return self.platforms / self.sites * self.received_bits

    @property
    def between_bits(self) -> float:
        """Bits a second that a site receives from all others: of the platforms along its edge."""
        if self.sites == 1:
            return 0.0
        elsewhere = self.platforms * (1 - 1 / self.sites)
        if self.tile is None:
            return elsewhere * self.sent_bits
        edge = 4 * sqrt(self.area / self.sites)
        return min(self.density * edge * 1.5 * self.tile, elsewhere) * self.sent_bits

    def loads(self) -> dict[str, float]:
        """Return what is used of what there is, by what it is: above 1 is too much."""
        return {
            "a platform's link, sending": self.sent_bits / self.link,
            "a platform's link, receiving (1 of 100)": self.received_bits_rarely / self.link,
            "peers of a node (1 of 100)": self.peers_received_rarely / MAX_REPORTS,
            "processor of a node, a core for receiving": self.processor,
            "sessions of a router": self.platforms / self.sites / MAX_SESSIONS,
            "a router's link to its site": self.gate_bits / self.gate,
            "a router's link to other sites": self.between_bits / self.gate,
        }

    @property
    def _chunks(self) -> int:
        return ceil(self.frame_bytes / self.mtu)

    def _sent_bits(self, peers: float) -> float:
        envelope = HEADER_BYTES + (SIGNATURE_BYTES if self.signed else 0)
        frame = self.frame_bytes + self._chunks * LINK_BYTES
        heartbeat = HEARTBEAT_BYTES + envelope + min(peers, MAX_REPORTS) * REPORT_BYTES + TRACKS_BYTES + LINK_BYTES
        return 8 * (frame / self.interval + heartbeat / self.heartbeat_interval)


def largest_frame(plan: FleetPlan) -> int | None:
    """Return the largest budget of a frame, bytes, at which nothing is too much; None: not even the smallest fits.

    Args:
        plan: of a fleet; its own budget does not matter.
    """
    low, high = 0, 1 << 20
    while low < high:
        middle = (low + high + 1) // 2
        if max(replace(plan, frame_bytes=middle).loads().values()) <= 1:
            low = middle
        else:
            high = middle - 1
    return low or None

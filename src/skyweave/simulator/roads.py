"""The road network: lanes that vehicles follow, crossings where lanes meet, pavements and zebra crossings.

Roads lie on a rectangular grid that is turned to the scene's own heading. Traffic keeps to the right. From the middle
of a road outwards: driving lanes, a cycle lane, a strip for parking (paved over near crossings), the pavement.
"""

from dataclasses import dataclass, field

import numpy as np

CYCLE_LANE_M = 1.5
PARKING_M = 2.2
PAVEMENT_M = 3.0
ZEBRA_M = 3.5
MARGIN_M = 30.0  # metres by which roads leave the built-up square


@dataclass
class Lane:
    """A path along which vehicles drive: a lane of a road, or a way across a crossing.

    Attributes:
        points: (k, 2) world metres.
        kind: ``road`` or ``cycle``.
        limit: metres a second.
        crossing: index of the crossing that it is a way across; None for a lane of a road.
        arms: of that crossing, from and to.
        turn: ``left``, ``right`` or ``straight`` across a crossing.
        successors: indices of the lanes that follow.
    """

    points: np.ndarray
    kind: str
    limit: float
    crossing: int | None = None
    arms: tuple[int, int] = (-1, -1)
    turn: str = ""
    successors: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = np.diff(self.points, axis=0)
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        self.knots: list[float] = [0.0, *np.cumsum(lengths).tolist()]
        self.starts: list[list[float]] = self.points[:-1].tolist()
        self.tangents: list[list[float]] = (steps / lengths[:, None]).tolist()
        self.length: float = self.knots[-1]

    def at(self, s: float) -> tuple[float, float, float, float]:
        """Return position and direction at a distance from the start; beyond the ends the lane goes straight on.

        Args:
            s: metres.

        Returns:
            x, y in world metres, and the unit direction.
        """
        last = len(self.tangents) - 1
        piece = 0
        while piece < last and s > self.knots[piece + 1]:
            piece += 1
        (x, y), (tx, ty), along = self.starts[piece], self.tangents[piece], s - self.knots[piece]
        return x + tx * along, y + ty * along, tx, ty


@dataclass
class RoadCrossing:
    """Where two roads meet.

    Attributes:
        centre: (2,) world; arms: those that there are.
        lights: whether lights control it.
        incoming: lanes by arm; outgoing: lanes by arm, those of the road from the middle outwards, then the cycle lane.
        conflicts: for each way across, the ways that cannot be used at the same time.
    """

    centre: np.ndarray
    arms: tuple[int, ...]
    lights: bool
    incoming: dict[int, list[int]] = field(default_factory=dict)
    outgoing: dict[int, list[int]] = field(default_factory=dict)
    conflicts: dict[int, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Road:
    """A straight road in the network's own axes: along x (0) or y (1), at an offset on the other axis."""

    along: int
    offset: float
    low: float
    high: float


@dataclass
class RoadNetwork:
    """Everything that moves moves on this.

    Attributes:
        heading: radians by which the network's axes are turned counter-clockwise from east.
        lane_count: of one direction; lane_width: metres.
        roads: in the network's own axes; size: side of the built-up square.
        lanes: all; sources: those that begin at the edge of the world.
        crossings: all.
        corners: (n, 2) world positions of the nodes of the pavements.
        pavements: for each node: (other node, zebra or None); a zebra is (crossing, arm).
        ends: nodes at the edge of the world.
    """

    heading: float
    lane_count: int
    lane_width: float
    size: float
    roads: list[Road] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    crossings: list[RoadCrossing] = field(default_factory=list)
    corners: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    pavements: dict[int, list[tuple[int, tuple[int, int] | None]]] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)

    @property
    def carriageway(self) -> float:
        """Metres from the middle of a road to the edge of its last driving lane."""
        return self.lane_count * self.lane_width

    @property
    def kerb(self) -> float:
        """Metres from the middle to the kerb."""
        return self.carriageway + CYCLE_LANE_M

    @property
    def pavement(self) -> float:
        """Metres from the middle to the middle of the pavement."""
        return self.kerb + PARKING_M + PAVEMENT_M / 2

    @property
    def stop(self) -> float:
        """Metres from the middle of a crossing to its stop lines."""
        return self.pavement + ZEBRA_M / 2 + 1.0

    @property
    def reach(self) -> float:
        """Metres from the middle of the world to the ends of the roads."""
        return self.size / 2 + MARGIN_M

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Rotate positions from the network's own axes to the world's.

        Args:
            points: (..., 2) metres.
        """
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.asarray(np.asarray(points, float) @ np.array([[c, s], [-s, c]]))

    def to_grid_axes(self, points: np.ndarray) -> np.ndarray:
        """Rotate positions from the world's axes to the network's own.

        Args:
            points: (..., 2) metres.
        """
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.asarray(np.asarray(points, float) @ np.array([[c, -s], [s, c]]))


def crossings_along(network: RoadNetwork, road: Road) -> list[tuple[float, int]]:
    """Return the crossings that a road passes, in order.

    Args:
        network: of roads.
        road: one of them.

    Returns:
        Position along the road in metres, and index of the crossing.
    """
    passed = []
    for index, crossing in enumerate(network.crossings):
        local = network.to_grid_axes(crossing.centre)
        if abs(local[1 - road.along] - road.offset) < 1e-6:
            passed.append((float(local[road.along]), index))
    return sorted(passed)


def spans_between_crossings(network: RoadNetwork, road: Road, gap: float) -> list[tuple[float, float]]:
    """Return the parts of a road between the middles of its crossings, without what lies near to these.

    Args:
        network: of roads.
        road: one of them.
        gap: metres from the middle of a crossing that are left out.

    Returns:
        (from, to) positions along the road, in metres.
    """
    stops = [position for position, _ in crossings_along(network, road)]
    bounds = [road.low, *(edge for stop in stops for edge in (stop - gap, stop + gap)), road.high]
    return list(zip(bounds[::2], bounds[1::2], strict=True))


def free_stretches(network: RoadNetwork, road: Road, distance: float) -> list[tuple[float, float]]:
    """Return the parts of a road that keep a distance from the stop lines of its crossings.

    Args:
        network: of roads.
        road: one of them.
        distance: metres.

    Returns:
        (from, to) positions along the road, in metres.
    """
    spans = spans_between_crossings(network, road, network.stop + distance)
    return [(low, high) for low, high in spans if high - low > 6.0]

"""The road network: lanes that vehicles follow, crossings where lanes meet, pavements and zebra crossings.

Roads lie on a rectangular grid that is turned to the scene's own heading. Traffic keeps to the right. From the middle
of a road outwards: driving lanes, a cycle lane, a strip for parking (paved over near crossings), the pavement.
"""

from dataclasses import dataclass, field

import numpy as np

from skyweave.simulator.config import RoadsConfig

CYCLE_LANE_M = 1.5
PARKING_M = 2.2
PAVEMENT_M = 3.0
ZEBRA_M = 3.5
MARGIN_M = 30.0  # metres by which roads leave the built-up square
TURN_POINTS = 24
TURN_SPEEDS_M_S = {"left": 6.0, "right": 4.5, "straight": np.inf, "": np.inf}
DIRECTIONS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], float)  # of the arms: 0 east, 1 north, 2 west, 3 south


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


def build_roads(config: RoadsConfig, generator: np.random.Generator) -> RoadNetwork:
    """Build a road network; what the configuration leaves open is drawn at random.

    Args:
        config: of the roads.
        generator: of random numbers.
    """
    heading = float(generator.uniform(0, 2 * np.pi)) if config.turned else 0.0
    count = int(generator.integers(config.lanes[0], config.lanes[1] + 1))
    arms = config.arms or int(generator.choice([3, 4, 4]))
    lights = {"lights": 1.0, "priority": 0.0, "mixed": 0.5}[config.control]
    network = RoadNetwork(heading, count, config.lane_width, config.size)
    reach = network.reach
    places = [0.0]
    if config.layout == "town":
        number = max(int(config.size // config.block), 1)
        places = [(i - (number - 1) / 2) * config.block for i in range(number)]
    network.roads = [Road(0, y, -reach, reach) for y in places]
    if config.layout != "straight":
        high = 0.0 if config.layout == "crossing" and arms == 3 else reach
        network.roads += [Road(1, x, -reach, high) for x in places]
        present = (0, 1, 2, 3) if high > 0 else (0, 2, 3)
        for y in places:
            for x in places:
                controlled = bool(generator.random() < lights)
                network.crossings.append(RoadCrossing(network.to_world(np.array([x, y])), present, controlled))
    for road in network.roads:
        _add_lanes(network, road, config.speed_limit)
    for index in range(len(network.crossings)):
        _add_ways(network, index, config.speed_limit)
    _add_pavements(network)
    return network


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


def _add_lanes(network: RoadNetwork, road: Road, limit: float) -> None:
    width, count = network.lane_width, network.lane_count
    offsets = [((k + 0.5) * width, "road") for k in range(count)]
    offsets.append((network.carriageway + CYCLE_LANE_M / 2, "cycle"))
    crossings = crossings_along(network, road)
    for sign in (1, -1):
        arm_out = road.along if sign > 0 else road.along + 2  # the arm on which a crossing is left
        at, previous = (road.low if sign > 0 else road.high), None
        stations: list[tuple[float | None, int | None]] = [*crossings[::sign], (None, None)]
        for position, index in stations:
            # a road that ends in a crossing has no lanes beyond it
            edge = (road.high if sign > 0 else road.low) if position is None else position - sign * network.stop
            if (edge - at) * sign > 1.0:
                new = []
                for offset, kind in offsets:
                    across = road.offset + (-sign if road.along == 0 else sign) * offset  # keep to the right
                    ends = np.array([[at, across], [edge, across]])
                    ends = ends if road.along == 0 else ends[:, ::-1]
                    network.lanes.append(Lane(network.to_world(ends), kind, limit))
                    new.append(len(network.lanes) - 1)
                if previous is None:
                    network.sources += new
                else:
                    network.crossings[previous].outgoing[arm_out] = new
                if index is not None:
                    network.crossings[index].incoming[(arm_out + 2) % 4] = new
            if position is not None:
                at, previous = position + sign * network.stop, index


def _add_ways(network: RoadNetwork, index: int, limit: float) -> None:
    crossing = network.crossings[index]
    ways: list[int] = []
    for arm, lanes in crossing.incoming.items():
        driving, cycle = lanes[:-1], lanes[-1]
        pairs = []
        for out, others in crossing.outgoing.items():
            turn = {2: "straight", 3: "left", 1: "right"}.get((out - arm) % 4, "")
            if turn == "straight":
                pairs += [(a, b, out, turn) for a, b in zip(driving, others[:-1], strict=True)]
            elif turn == "left":
                pairs.append((driving[0], others[0], out, turn))
            elif turn == "right":
                pairs.append((driving[-1], others[-2], out, turn))
            if turn in ("straight", "right"):
                pairs.append((cycle, others[-1], out, turn))
        for number, lane in enumerate(driving):  # a middle lane towards a crossing without an arm straight on
            if all(lane != start for start, *_ in pairs):
                out = next(o for o in crossing.outgoing if (o - arm) % 4 in (1, 3))
                turn = "left" if (out - arm) % 4 == 3 else "right"
                pairs.append((lane, crossing.outgoing[out][number], out, turn))
        for start, end, out, turn in pairs:
            a, b = network.lanes[start], network.lanes[end]
            speed = min(limit, TURN_SPEEDS_M_S[turn])
            network.lanes.append(Lane(_curve(a, b, turn), a.kind, speed, index, (arm, out), turn, [end]))
            ways.append(len(network.lanes) - 1)
            a.successors.append(ways[-1])
    crossing.conflicts = _conflicts(network, ways)


def _curve(a: Lane, b: Lane, turn: str) -> np.ndarray:
    start, end = a.points[-1], b.points[0]
    if turn == "straight":
        return np.stack([start, end])
    heading, leaving = np.array(a.tangents[-1]), np.array(b.tangents[0])
    along = np.linalg.solve(np.stack([heading, leaving], 1), end - start)[0]
    middle = start + along * heading
    t = np.linspace(0, 1, TURN_POINTS)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end)


def _conflicts(network: RoadNetwork, ways: list[int]) -> dict[int, frozenset[int]]:
    """Ways whose swept paths, as wide as a bus that cuts the corner, come together."""
    samples = {}
    for way in ways:
        lane = network.lanes[way]
        samples[way] = np.array([lane.at(s)[:2] for s in np.linspace(0, lane.length, 40)])
    conflicts: dict[int, set[int]] = {way: set() for way in ways}
    for number, one in enumerate(ways):
        for other in ways[number + 1 :]:
            a, b = network.lanes[one], network.lanes[other]
            near = sum(1.3 if lane.kind == "road" else 0.5 for lane in (a, b)) + 0.4
            if (a.turn, b.turn) != ("straight", "straight"):
                near += 0.8
            if ((samples[one][:, None] - samples[other]) ** 2).sum(-1).min() < near**2:
                conflicts[one].add(other)
                conflicts[other].add(one)
    return {way: frozenset(others) for way, others in conflicts.items()}


def _add_pavements(network: RoadNetwork) -> None:
    """Corners at every crossing, joined along the roads and over the zebras."""
    nodes: dict[tuple[int, int], int] = {}
    places: list[tuple[float, float]] = []
    side = network.pavement

    def node(x: float, y: float) -> int:
        key = round(x * 100), round(y * 100)
        if key not in nodes:
            nodes[key] = len(places)
            places.append((x, y))
            network.pavements[nodes[key]] = []
        return nodes[key]

    def join(a: int, b: int, zebra: tuple[int, int] | None) -> None:
        network.pavements[a].append((b, zebra))
        network.pavements[b].append((a, zebra))

    for index, crossing in enumerate(network.crossings):
        x, y = network.to_grid_axes(crossing.centre).tolist()
        for arm, (dx, dy) in enumerate(DIRECTIONS.tolist()):
            one = node(x + side * (dx + dy), y + side * (dy + dx))
            other = node(x + side * (dx - dy), y + side * (dy - dx))
            join(one, other, (index, arm) if arm in crossing.arms else None)
    for road in network.roads:
        stops = [position for position, _ in crossings_along(network, road)]
        spans = [road.low, *(edge for stop in stops for edge in (stop - side, stop + side)), road.high]
        for low, high in zip(spans[::2], spans[1::2], strict=True):
            if high - low < 1.0:
                continue
            for across in (road.offset - side, road.offset + side):
                (ax, ay), (bx, by) = [(at, across) if road.along == 0 else (across, at) for at in (low, high)]
                a, b = node(ax, ay), node(bx, by)
                join(a, b, None)
                network.ends += [n for n, at in ((a, low), (b, high)) if at in (road.low, road.high)]
    network.corners = network.to_world(np.array(places))

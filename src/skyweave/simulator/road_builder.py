"""Build road networks: their lanes, the ways over their crossings, and their pavements."""

from itertools import combinations

import numpy as np

from skyweave.simulator.config import RoadsConfig
from skyweave.simulator.roads import (
    CYCLE_LANE_M,
    Lane,
    Road,
    RoadCrossing,
    RoadNetwork,
    crossings_along,
    spans_between_crossings,
)

TURN_POINTS = 24
TURN_SPEEDS_M_S = {"left": 6.0, "right": 4.5, "straight": np.inf, "": np.inf}
DIRECTIONS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], float)  # of the arms: 0 east, 1 north, 2 west, 3 south
TURN_BY_ARMS = {2: "straight", 3: "left", 1: "right"}  # by arms counter-clockwise from the one that is come from
LanePair = tuple[int, int, int, str]  # lane into and out of a crossing, arm on which it is left, turn
SHARE_WITH_LIGHTS = {"lights": 1.0, "priority": 0.0, "mixed": 0.5}  # of crossings, by their control


def build_roads(config: RoadsConfig, generator: np.random.Generator) -> RoadNetwork:
    """Build a road network; what the configuration leaves open is drawn at random.

    Args:
        config: of the roads.
        generator: of random numbers.
    """
    heading = float(generator.uniform(0, 2 * np.pi)) if config.turned else 0.0
    count = int(generator.integers(config.lanes[0], config.lanes[1] + 1))
    arms = config.arms or int(generator.choice([3, 4, 4]))
    network = RoadNetwork(heading, count, config.lane_width, config.size)
    reach, places = network.reach, _road_offsets(config)
    network.roads = [Road(0, y, -reach, reach) for y in places]
    if config.layout != "straight":
        high = 0.0 if config.layout == "crossing" and arms == 3 else reach
        network.roads += [Road(1, x, -reach, high) for x in places]
        _add_crossings(
            network, places, (0, 1, 2, 3) if high > 0 else (0, 2, 3), SHARE_WITH_LIGHTS[config.control], generator
        )
    _add_lanes_and_pavements(network, config)
    return network


def _add_lanes_and_pavements(network: RoadNetwork, config: RoadsConfig) -> None:
    """Add lanes, the ways over crossings, and pavements."""
    for road in network.roads:
        _add_lanes(network, road, config.speed_limit)
    for index in range(len(network.crossings)):
        _add_ways(network, index, config.speed_limit)
    _add_pavements(network)


def _road_offsets(config: RoadsConfig) -> list[float]:
    """Return where the roads of one direction lie, metres from the middle."""
    if config.layout != "town":
        return [0.0]
    number = max(int(config.size // config.block), 1)
    return [(i - (number - 1) / 2) * config.block for i in range(number)]


def _add_crossings(
    network: RoadNetwork,
    places: list[float],
    arms: tuple[int, ...],
    lights: float,
    generator: np.random.Generator,
) -> None:
    """Add a crossing wherever two roads meet, with traffic lights at a share ``lights`` of them."""
    for y in places:
        for x in places:
            controlled = bool(generator.random() < lights)
            network.crossings.append(RoadCrossing(network.to_world(np.array([x, y])), arms, controlled))


def _add_lanes(network: RoadNetwork, road: Road, limit: float) -> None:
    for sign in (1, -1):
        _add_direction(network, road, limit, sign)


def _add_direction(network: RoadNetwork, road: Road, limit: float, sign: int) -> None:
    """Add the lanes of one direction (1 or -1) along a road, from crossing to crossing."""
    start, end = (road.low, road.high) if sign > 0 else (road.high, road.low)
    previous = None
    for position, index in crossings_along(network, road)[::sign]:
        _add_section(network, road, limit, sign, (start, position - sign * network.stop), (previous, index))
        start, previous = position + sign * network.stop, index
    _add_section(network, road, limit, sign, (start, end), (previous, None))


def _add_section(
    network: RoadNetwork,
    road: Road,
    limit: float,
    sign: int,
    ends: tuple[float, float],
    between: tuple[int | None, int | None],
) -> None:
    """Add parallel lanes between two crossings, or between one and an edge of the world (None)."""
    if (ends[1] - ends[0]) * sign <= 1.0:  # a road that ends in a crossing has no lanes beyond it
        return
    arm_out = road.along if sign > 0 else road.along + 2  # the arm on which a crossing is left
    new = [_add_lane(network, road, limit, sign, ends, *lane) for lane in _lane_offsets(network)]
    _link_section(between, new, network, arm_out)


def _link_section(between: tuple[int | None, int | None], new: list[int], network: RoadNetwork, arm_out: int) -> None:
    """Link the lanes of a section with what lies before and behind."""
    previous, following = between
    if previous is None:
        network.sources += new
    else:
        network.crossings[previous].outgoing[arm_out] = new
    if following is not None:
        network.crossings[following].incoming[(arm_out + 2) % 4] = new


def _lane_offsets(network: RoadNetwork) -> list[tuple[float, str]]:
    """Return metres from the middle of a road and kind of each lane of one direction."""
    offsets = [((k + 0.5) * network.lane_width, "road") for k in range(network.lane_count)]
    return [*offsets, (network.carriageway + CYCLE_LANE_M / 2, "cycle")]


def _add_lane(
    network: RoadNetwork, road: Road, limit: float, sign: int, ends: tuple[float, float], offset: float, kind: str
) -> int:
    """Add one lane of a road and return its index."""
    across = road.offset + (-sign if road.along == 0 else sign) * offset  # keep to the right
    corners = np.array([[ends[0], across], [ends[1], across]])
    corners = corners if road.along == 0 else corners[:, ::-1]
    network.lanes.append(Lane(network.to_world(corners), kind, limit))
    return len(network.lanes) - 1


def _add_ways(network: RoadNetwork, index: int, limit: float) -> None:
    crossing = network.crossings[index]
    ways: list[int] = []
    for arm in crossing.incoming:
        pairs = [pair for out in crossing.outgoing for pair in _turn_pairs(crossing, arm, out)]
        pairs += _middle_pairs(crossing, arm, {start for start, *_ in pairs})
        _add_turns(pairs, network, limit, index, arm, ways)
    crossing.conflicts = _conflicts(network, ways)


def _add_turns(
    pairs: list[tuple[int, int, int, str]], network: RoadNetwork, limit: float, index: int, arm: int, ways: list[int]
) -> None:
    """Add the lanes of the ways that turn from one arm."""
    for start, end, out, turn in pairs:
        a, b = network.lanes[start], network.lanes[end]
        speed = min(limit, TURN_SPEEDS_M_S[turn])
        network.lanes.append(Lane(_curve(a, b, turn), a.kind, speed, index, (arm, out), turn, [end]))
        ways.append(len(network.lanes) - 1)
        a.successors.append(ways[-1])


def _turn_pairs(crossing: RoadCrossing, arm: int, out: int) -> list[LanePair]:
    """Return the lanes that a crossing joins from one arm to another."""
    lanes, others = crossing.incoming[arm], crossing.outgoing[out]
    turn = TURN_BY_ARMS.get((out - arm) % 4)
    if turn is None:
        return []
    driving = {
        "straight": list(zip(lanes[:-1], others[:-1], strict=True)),
        "left": [(lanes[0], others[0])],
        "right": [(lanes[-2], others[-2])],
    }[turn]
    cycling = [] if turn == "left" else [(lanes[-1], others[-1])]
    return [(start, end, out, turn) for start, end in driving + cycling]


def _middle_pairs(crossing: RoadCrossing, arm: int, joined: set[int]) -> list[LanePair]:
    """Return ways of the lanes that lead nowhere yet: a middle lane where no arm goes straight on must turn."""
    pairs = []
    for number, lane in enumerate(crossing.incoming[arm][:-1]):
        if lane not in joined:
            out = next(other for other in crossing.outgoing if (other - arm) % 4 in (1, 3))
            pairs.append((lane, crossing.outgoing[out][number], out, TURN_BY_ARMS[(out - arm) % 4]))
    return pairs


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
    samples = {way: _path_samples(network.lanes[way]) for way in ways}
    conflicts: dict[int, set[int]] = {way: set() for way in ways}
    for one, other in combinations(ways, 2):
        near = _path_clearance(network.lanes[one], network.lanes[other])
        if ((samples[one][:, None] - samples[other]) ** 2).sum(-1).min() < near**2:
            conflicts[one].add(other)
            conflicts[other].add(one)
    return {way: frozenset(others) for way, others in conflicts.items()}


def _path_samples(lane: Lane) -> np.ndarray:
    """Return (40, 2) points along a lane."""
    return np.array([lane.at(s)[:2] for s in np.linspace(0, lane.length, 40)])


def _path_clearance(a: Lane, b: Lane) -> float:
    """Return how many metres two ways must be apart at least to be used at once."""
    near = sum(1.3 if lane.kind == "road" else 0.5 for lane in (a, b)) + 0.4
    return near if (a.turn, b.turn) == ("straight", "straight") else near + 0.8


def _add_pavements(network: RoadNetwork) -> None:
    """Corners at every crossing, joined along the roads and over the zebras."""
    graph = _PavementGraph(network)
    for index in range(len(network.crossings)):
        graph.add_corners(index)
    for road in network.roads:
        graph.add_road(road)
    network.corners = network.to_world(np.array(graph.places))


class _PavementGraph:
    """The pavements of a network while they are built: corners by place, and what joins them."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        self.places: list[tuple[float, float]] = []
        self._nodes: dict[tuple[int, int], int] = {}

    def add_corners(self, index: int) -> None:
        """Add the corners of a crossing, joined over its arms: by zebras where there is a road."""
        crossing, side = self.network.crossings[index], self.network.pavement
        x, y = self.network.to_grid_axes(crossing.centre).tolist()
        for arm, (dx, dy) in enumerate(DIRECTIONS.tolist()):
            one = self._node(x + side * (dx + dy), y + side * (dy + dx))
            other = self._node(x + side * (dx - dy), y + side * (dy - dx))
            self._join(one, other, (index, arm) if arm in crossing.arms else None)

    def add_road(self, road: Road) -> None:
        """Add the pavements on both sides of a road, between its crossings."""
        for low, high in spans_between_crossings(self.network, road, self.network.pavement):
            if high - low >= 1.0:
                self._add_stretch(road, low, high)

    def _add_stretch(self, road: Road, low: float, high: float) -> None:
        """Add the pavements on both sides of a part of a road."""
        for across in (road.offset - self.network.pavement, road.offset + self.network.pavement):
            self._add_side(low, high, road, across)

    def _add_side(self, low: float, high: float, road: Road, across: float) -> None:
        """Add the pavement of one side of the road."""
        (ax, ay), (bx, by) = [(at, across) if road.along == 0 else (across, at) for at in (low, high)]
        a, b = self._node(ax, ay), self._node(bx, by)
        self._join(a, b, None)
        self.network.ends += [n for n, at in ((a, low), (b, high)) if at in (road.low, road.high)]

    def _node(self, x: float, y: float) -> int:
        """Return the corner at a place, to the centimetre; it is added where there is none."""
        key = round(x * 100), round(y * 100)
        if key not in self._nodes:
            self._nodes[key] = len(self.places)
            self.places.append((x, y))
            self.network.pavements[self._nodes[key]] = []
        return self._nodes[key]

    def _join(self, a: int, b: int, zebra: tuple[int, int] | None) -> None:
        """Join two corners, over a zebra or along a pavement."""
        self.network.pavements[a].append((b, zebra))
        self.network.pavements[b].append((a, zebra))

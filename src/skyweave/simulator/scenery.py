"""What does not move: buildings, trees, lamps, yards, and parked cars."""

from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.simulator.config import SceneryConfig
from skyweave.simulator.ground import GroundPolygon
from skyweave.simulator.roads import PARKING_M, PAVEMENT_M, Road, RoadNetwork, free_stretches
from skyweave.simulator.shapes import VARIANTS

PLACEMENT_TRIES = 12  # places that are looked at for each building
POND_CORNERS = 16  # of its outline
BAY_WIDTH_M, BAY_DEPTH_M, AISLE_M = 2.5, 5.2, 6.5  # of a car park, metres


@dataclass(frozen=True)
class Fixture:
    """Something that stands.

    Attributes:
        kind: ``building``, ``tree`` or ``lamp``.
        shape: key of ``SHAPES``.
        x, y: local metres; yaw: radians; size: length, width, height.
        brightness: factor on reflectance.
    """

    kind: str
    shape: str
    x: float
    y: float
    yaw: float
    size: tuple[float, float, float]
    brightness: float


@dataclass(frozen=True)
class Parked:
    """A place where a car stands: local metres and radians."""

    x: float
    y: float
    yaw: float


@dataclass
class Scenery:
    """Everything that does not move.

    Attributes:
        fixtures: buildings, trees and lamps.
        parked: places of parked cars.
        paints: polygons on the ground: yards, car parks and ponds.
        places: all places where a car could be parked.
    """

    fixtures: list[Fixture]
    parked: list[Parked]
    paints: list[GroundPolygon]
    places: list[Parked] = field(default_factory=list)


Rectangle = tuple[float, float, float, float]  # west, south, east, north in the network's own axes


def build_scenery(network: RoadNetwork, config: SceneryConfig, parked: int, generator: np.random.Generator) -> Scenery:
    """Fill the land between the roads.

    Args:
        network: what it must not stand on.
        config: how much of it.
        parked: how many cars at most.
        generator: for everything random.
    """
    scenery = Scenery([], [], [])
    taken = [_corridor(network, road.along, road.offset, road.low, road.high) for road in network.roads]
    places = _car_parks(network, taken, scenery, generator) + _kerbside(network)
    scenery.places = places
    scenery.parked = _choose_parked(places, parked, generator)
    for _ in range(config.buildings):
        _add_building(network, config, taken, scenery, generator)
    for _ in range(config.ponds):
        _add_pond(network, taken, scenery, generator)
    _add_trees(network, config, taken, scenery, generator)
    if config.lamps:
        _add_lamps(network, scenery)
    return scenery


def _choose_parked(places: list[Parked], parked: int, generator: np.random.Generator) -> list[Parked]:
    """Choose where cars are parked."""
    chosen = generator.permutation(len(places))[:parked]
    return [places[int(index)] for index in sorted(chosen)]


def earlier_scenery(
    network: RoadNetwork,
    config: SceneryConfig,
    now: Scenery,
    parked: int,
    changed: float,
    generator: np.random.Generator,
) -> Scenery:
    """Return what stood there at another time: other cars are parked, some buildings are not there, and others are.

    Args:
        network: of roads, which stay.
        config: of the scenery.
        now: what stands there now.
        parked: how many cars at most.
        changed: share of the buildings that are not there, and as large a one of others that are.
        generator: for everything random.
    """
    standing = [one for one in now.fixtures if one.kind != "building" or generator.random() >= changed]
    past = replace(now, fixtures=standing, parked=_choose_parked(now.places, parked, generator), paints=[])
    taken = [_corridor(network, road.along, road.offset, road.low, road.high) for road in network.roads]
    taken += [_occupied(network, one) for one in now.fixtures]
    taken += [_bounds(network.to_grid_axes(paint.corners)) for paint in now.paints]
    for _ in range(generator.binomial(sum(one.kind == "building" for one in now.fixtures), changed)):
        _add_building(network, config, taken, past, generator)
    return past


def _occupied(network: RoadNetwork, fixture: Fixture) -> Rectangle:
    """Return a rectangle in the network's own axes that holds a fixture, however it is turned."""
    (x, y), reach = network.to_grid_axes(np.array([fixture.x, fixture.y])), max(fixture.size[:2]) / 2
    return float(x - reach), float(y - reach), float(x + reach), float(y + reach)


def _bounds(corners: np.ndarray) -> Rectangle:
    """Return the rectangle around (k, 2) points."""
    (west, south), (east, north) = corners.min(0).tolist(), corners.max(0).tolist()
    return west, south, east, north


def _add_pond(network: RoadNetwork, taken: list[Rectangle], scenery: Scenery, generator: np.random.Generator) -> None:
    """Add a pond where there is room."""
    for _ in range(PLACEMENT_TRIES):
        radii = generator.uniform(4, 11, 2)
        middle = generator.uniform(-network.size / 2, network.size / 2, 2)
        angles = np.linspace(0, 2 * np.pi, POND_CORNERS, endpoint=False)
        outline = middle + radii * np.stack([np.cos(angles), np.sin(angles)], 1)
        spot = _bounds(outline)
        if _free(spot, taken):
            taken.append(spot)
            scenery.paints.append(GroundPolygon(network.to_world(outline), "water"))
            return


def _corridor(network: RoadNetwork, along: int, offset: float, low: float, high: float) -> Rectangle:
    half = network.pavement + PAVEMENT_M / 2 + 1.0
    if along == 0:
        return low - half, offset - half, high + half, offset + half
    return offset - half, low - half, offset + half, high + half


def _free(rectangle: Rectangle, taken: list[Rectangle]) -> bool:
    w, s, e, n = rectangle
    return not any(w < te and e > tw and s < tn and n > ts for tw, ts, te, tn in taken)


def _beside_a_road(
    network: RoadNetwork, along: float, across: float, setback: float, generator: np.random.Generator
) -> tuple[Rectangle, int]:
    """A rectangle that faces a road chosen at random, and whether its long side lies along x (0) or y (1)."""
    road = network.roads[int(generator.integers(len(network.roads)))]
    reach = network.size / 2
    at = generator.uniform(max(road.low, -reach), min(road.high, reach))
    side = -1.0 if generator.random() < 0.5 else 1.0
    middle = road.offset + side * (network.pavement + PAVEMENT_M / 2 + setback + across / 2)
    if road.along == 0:
        return (at - along / 2, middle - across / 2, at + along / 2, middle + across / 2), 0
    return (middle - across / 2, at - along / 2, middle + across / 2, at + along / 2), 1


def _add_building(
    network: RoadNetwork,
    config: SceneryConfig,
    taken: list[Rectangle],
    scenery: Scenery,
    generator: np.random.Generator,
) -> None:
    along, across = generator.uniform(9, 24), generator.uniform(8, 13)
    height = float(generator.uniform(*config.building_height))
    for _ in range(PLACEMENT_TRIES):
        spot, direction = _beside_a_road(network, along, across, generator.uniform(1.5, 14), generator)
        if not _free(spot, taken):
            continue
        west, south, east, north = spot
        taken.append((west - 2, south - 2, east + 2, north + 2))
        yard = generator.uniform(0.5, 3.5, 4) * (-1, -1, 1, 1) + spot
        corners = np.array([[yard[0], yard[1]], [yard[2], yard[1]], [yard[2], yard[3]], [yard[0], yard[3]]])
        material = str(generator.choice(["pavement", "gravel", "grass"]))
        scenery.paints.append(GroundPolygon(network.to_world(corners), material, float(generator.uniform(0.8, 1.05))))
        x, y = network.to_world(np.array([(west + east) / 2, (south + north) / 2])).tolist()
        shape = str(generator.choice(VARIANTS["building"]))
        yaw = network.heading + direction * np.pi / 2
        brightness = float(generator.uniform(0.75, 1.1))
        scenery.fixtures.append(Fixture("building", shape, x, y, yaw, (along, across, height), brightness))
        return


def _add_trees(
    network: RoadNetwork,
    config: SceneryConfig,
    taken: list[Rectangle],
    scenery: Scenery,
    generator: np.random.Generator,
) -> None:
    for _ in range(config.trees):
        radius = float(generator.uniform(1.6, 4.2))
        place = _tree_place(network, radius, taken, generator)
        if place is not None:
            scenery.fixtures.append(_make_tree(network, place, radius, generator))


def _tree_place(
    network: RoadNetwork, radius: float, taken: list[Rectangle], generator: np.random.Generator
) -> tuple[float, float] | None:
    """Find a free place for a tree in the network's own axes and take it; None after too many tries."""
    for _ in range(PLACEMENT_TRIES):
        x, y = _try_tree_place(network, generator)
        trunk = min(radius, 1.6)
        spot = (x - trunk, y - trunk, x + trunk, y + trunk)
        if _free((x - 0.6, y - 0.6, x + 0.6, y + 0.6), taken) and _free(spot, taken[len(network.roads) :]):
            taken.append(spot)
            return x, y
    return None


def _try_tree_place(network: RoadNetwork, generator: np.random.Generator) -> tuple[float, float]:
    """Draw a place for a tree: in a row along a road, or anywhere."""
    if generator.random() < 0.5:
        spot, _ = _beside_a_road(network, 1.0, 1.0, 1.0, generator)
        return (spot[0] + spot[2]) / 2, (spot[1] + spot[3]) / 2
    reach = network.size / 2
    x, y = generator.uniform(-reach, reach, 2)
    return x, y


def _make_tree(
    network: RoadNetwork, place: tuple[float, float], radius: float, generator: np.random.Generator
) -> Fixture:
    """Return a tree of some shape and height."""
    x, y = network.to_world(np.array(place)).tolist()
    shape = str(generator.choice(VARIANTS["tree"]))
    slender = 1.5 if shape == "conifer" else 1.0
    height = float(radius * generator.uniform(1.7, 2.6) * slender)
    size = (2 * radius / slender, 2 * radius / slender, height)
    yaw, brightness = float(generator.uniform(0, 2 * np.pi)), float(generator.uniform(0.75, 1.25))
    return Fixture("tree", shape, x, y, yaw, size, brightness)


def _add_lamps(network: RoadNetwork, scenery: Scenery) -> None:
    for road in network.roads:
        for number, (low, high) in enumerate(free_stretches(network, road, 1.0)):
            for step, at in enumerate(np.arange(low + 5, high, 28.0)):
                scenery.fixtures.append(_make_lamp(network, road, at, 1 if (step + number) % 2 else -1))


def _make_lamp(network: RoadNetwork, road: Road, at: float, side: int) -> Fixture:
    """Return a lamp on one side of a road, turned towards it."""
    across = road.offset + side * (network.kerb + PARKING_M - 0.3)
    facing = -side * np.pi / 2 if road.along == 0 else (np.pi if side > 0 else 0.0)
    x, y = _on_road(network, road, at, across)
    return Fixture("lamp", "lamp post", x, y, network.heading + facing, (2.2, 0.8, 7.5), 1.0)


def _on_road(network: RoadNetwork, road: Road, at: float, across: float) -> tuple[float, float]:
    """Return local metres of a place given along a road and across the network."""
    x, y = network.to_world(np.array([at, across] if road.along == 0 else [across, at])).tolist()
    return x, y


def _kerbside(network: RoadNetwork) -> list[Parked]:
    """Return the places of cars along the kerbs, away from crossings."""
    return [
        _kerbside_place(network, road, at, side)
        for road in network.roads
        for low, high in free_stretches(network, road, 8.0)
        for at in np.arange(low, high - 6, 6.0) + 3
        for side in (-1, 1)
    ]


def _kerbside_place(network: RoadNetwork, road: Road, at: float, side: int) -> Parked:
    """Return the place of a car on one side of a road, in the direction of traffic there."""
    x, y = _on_road(network, road, at, road.offset + side * (network.kerb + PARKING_M / 2))
    with_traffic = 0.0 if (side < 0) == (road.along == 0) else np.pi
    return Parked(x, y, network.heading + road.along * np.pi / 2 + with_traffic)


def _car_parks(
    network: RoadNetwork, taken: list[Rectangle], scenery: Scenery, generator: np.random.Generator
) -> list[Parked]:
    """One or two car parks with two rows of bays each."""
    places = []
    depth = 2 * BAY_DEPTH_M + AISLE_M
    for _ in range(int(generator.integers(1, 3))):
        bays = int(generator.integers(6, 13))
        for _ in range(PLACEMENT_TRIES):
            spot, direction = _beside_a_road(network, bays * BAY_WIDTH_M, depth, 2.5, generator)
            if _free(spot, taken):
                taken.append(spot)
                places += _add_car_park(network, spot, direction, bays, scenery)
                break
    return places


def _add_car_park(network: RoadNetwork, spot: Rectangle, direction: int, bays: int, scenery: Scenery) -> list[Parked]:
    """Paint a car park and return the places of its cars."""
    west, south, east, north = spot
    corners = np.array([[west, south], [east, south], [east, north], [west, north]])
    scenery.paints.append(GroundPolygon(network.to_world(corners), "old asphalt"))
    start, base = (west, south) if direction == 0 else (south, west)
    places = []
    for number in range(bays + 1):
        for row in (0.0, BAY_DEPTH_M + AISLE_M):
            a, b = start + number * BAY_WIDTH_M, base + row
            scenery.paints.append(_bay_line(network, a, b, direction))
            if number < bays:
                flipped = np.pi if (number * 7 + int(row)) % 3 else 0.0
                places.append(_bay_place(network, a, b, direction, flipped))
    return places


def _bay_line(network: RoadNetwork, a: float, b: float, direction: int) -> GroundPolygon:
    """Return the line on one side of a bay."""
    line = np.array([[a - 0.06, b], [a + 0.06, b], [a + 0.06, b + BAY_DEPTH_M], [a - 0.06, b + BAY_DEPTH_M]])
    return GroundPolygon(network.to_world(line if direction == 0 else line[:, ::-1]), "marking")


def _bay_place(network: RoadNetwork, a: float, b: float, direction: int, flipped: float) -> Parked:
    """Return the place of a car in a bay, turned by ``flipped`` radians against the others."""
    point = [a + BAY_WIDTH_M / 2, b + BAY_DEPTH_M / 2]
    x, y = network.to_world(np.array(point if direction == 0 else point[::-1])).tolist()
    turned = network.heading + (np.pi / 2 if direction == 0 else 0.0)
    return Parked(x, y, turned + flipped)

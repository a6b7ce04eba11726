"""Vehicles that follow lanes, keep their distance and share crossings.

Following is the Intelligent Driver Model (Treiber, Hennecke and Helbing 2000, "Congested traffic states in empirical
observations and microscopic simulations"). A crossing is shared by reservation: a vehicle may go when its lights are
green, no way across that comes near its own is taken, nobody is on the zebras it passes, and there is room behind.
"""

import math

import numpy as np

from skyweave.simulator.config import TrafficConfig
from skyweave.simulator.roads import Lane, RoadCrossing, RoadNetwork
from skyweave.simulator.vehicles import VEHICLE_KINDS, PlanarPose, Vehicle

MAX_STEP_S = 0.1  # seconds, at most
STANDSTILL_GAP_M = 2.0  # metres to the vehicle before
MAX_BRAKING_M_S2 = 7.0  # metres per second squared that brakes can do
LOOKAHEAD_M = 70.0
GREEN_S, CLEARING_S = 14.0, 4.0  # seconds of the lights
PARTED_M = 6.0  # metres after which ways from one lane are apart
ZEBRA_CLEARANCE_M, ZEBRA_LOOKAHEAD_S = 2.5, 4.0  # metres, seconds: who is nearer to a way on a zebra, or will be


Occupancy = dict[int, list[tuple[float, Vehicle]]]


def _turn_weights(kind: str, directions: list[str]) -> np.ndarray:
    """Return (n,) weights with which a vehicle chooses among ways; those that may not turn go straight if they can."""
    if not VEHICLE_KINDS[kind].may_turn and "straight" in directions:
        return np.array([float(turn == "straight") for turn in directions])
    return np.array([2.5 if turn in ("left", "right") else 6.0 for turn in directions])


def _is_clear(s: float, half: float, others: list[tuple[float, Vehicle]]) -> bool:
    """Return whether a place on a lane is far enough from all other vehicles there."""
    return all(abs(s - at) > half + other.size[0] / 2 for at, other in others)


class Traffic:
    """All vehicles that move on a network.

    Args:
        network: of lanes.
        config: how many of each kind.
        generator: for everything random.
    """

    def __init__(self, network: RoadNetwork, config: TrafficConfig, generator: np.random.Generator) -> None:
        self.network, self.generator = network, generator
        self.vehicles: list[Vehicle] = []
        self.time = 0.0
        self.target_counts = {
            "bus": config.buses,
            "truck": config.trucks,
            "car": config.cars,
            "bicycle": config.bicycles,
        }
        # by zebra, people on it: metres from the middle of the road and metres a second, kept by `Pedestrians`
        self.zebras: dict[tuple[int, int], list[tuple[float, float]]] = {}
        self._counts = dict.fromkeys(self.target_counts, 0)
        self._limit = network.lanes[0].limit
        self._phases = [float(generator.uniform(0, 2 * (GREEN_S + CLEARING_S))) for _ in network.crossings]
        self._crossings = {way: i for i, crossing in enumerate(network.crossings) for way in crossing.conflicts}
        self._taken: list[dict[Vehicle, int]] = [{} for _ in network.crossings]
        self._place_all()

    def _place_all(self) -> None:
        """Place the vehicles that are on the roads at the start."""
        for kind, number in self.target_counts.items():
            for _ in range(number):
                self._place(kind)

    def step(self, seconds: float) -> None:
        """Move all vehicles on, in steps of at most `MAX_STEP_S`.

        Args:
            seconds: by which.
        """
        steps = max(math.ceil(seconds / MAX_STEP_S - 1e-9), 1)
        for _ in range(steps):
            self._advance(seconds / steps)

    def green(self, crossing: int, arm: int) -> bool:
        """Return whether an arm of a crossing has green; it always has where there are no lights.

        Args:
            crossing: its index.
            arm: 0 east, 1 north, 2 west, 3 south.
        """
        if not self.network.crossings[crossing].lights:
            return True
        phase = (self.time + self._phases[crossing]) % (2 * (GREEN_S + CLEARING_S))
        start = (arm % 2) * (GREEN_S + CLEARING_S)
        return start <= phase < start + GREEN_S

    def until_green(self, crossing: int, arm: int) -> float:
        """Return the seconds until an arm that has red gets green.

        Args:
            crossing: its index.
            arm: 0 east, 1 north, 2 west, 3 south.
        """
        phase = (self.time + self._phases[crossing]) % (2 * (GREEN_S + CLEARING_S))
        return ((arm % 2) * (GREEN_S + CLEARING_S) - phase) % (2 * (GREEN_S + CLEARING_S))

    def crossed_by(self, crossing: int, arm: int) -> bool:
        """Return whether some vehicle has reserved a way over a zebra.

        Args:
            crossing: its index.
            arm: of the zebra.
        """
        return any(arm in self.network.lanes[way].arms for way in self._taken[crossing].values())

    def pose(self, vehicle: Vehicle) -> PlanarPose:
        """Return middle, heading and velocity of a vehicle; its axles are on the lane.

        Args:
            vehicle: one of this traffic.
        """
        half = vehicle.axles / 2
        fx, fy, ftx, fty = self._point(vehicle, vehicle.s + half)
        rx, ry, rtx, rty = self._point(vehicle, vehicle.s - half)
        vx, vy = vehicle.v * (ftx + rtx) / 2, vehicle.v * (fty + rty) / 2
        return PlanarPose((fx + rx) / 2, (fy + ry) / 2, math.atan2(fy - ry, fx - rx), vx, vy)

    def _point(self, vehicle: Vehicle, s: float) -> tuple[float, float, float, float]:
        lanes, place = self.network.lanes, vehicle.place
        while s < 0 and place > 0:
            place -= 1
            s += lanes[vehicle.route[place]].length
        while s > lanes[vehicle.route[place]].length and place + 1 < len(vehicle.route):
            s -= lanes[vehicle.route[place]].length
            place += 1
        return lanes[vehicle.route[place]].at(s)

    def _advance(self, dt: float) -> None:
        order = self._occupancy()
        for vehicle in self.vehicles:
            vehicle.a = self._acceleration(vehicle, order)
        gone = [vehicle for vehicle in self.vehicles if self._move(vehicle, dt)]
        for vehicle in gone:
            self.vehicles.remove(vehicle)
        self._replace_departed()
        self.time += dt

    def _move(self, vehicle: Vehicle, dt: float) -> bool:
        """Move one vehicle on; return whether it has left the world."""
        before = vehicle.v
        vehicle.v = max(0.0, before + vehicle.a * dt)
        vehicle.s += (before + vehicle.v) / 2 * dt
        gone = self._pass_lanes(vehicle)
        self._release(vehicle)
        self._extend(vehicle)
        return gone

    def _pass_lanes(self, vehicle: Vehicle) -> bool:
        """Go on to the lane of the route that a vehicle is on now; return whether it is beyond the last one."""
        while vehicle.s > (lane := self.network.lanes[vehicle.route[vehicle.place]]).length:
            if vehicle.place + 1 == len(vehicle.route):
                return vehicle.s > lane.length + vehicle.size[0] / 2
            vehicle.s -= lane.length
            vehicle.place += 1
        return False

    def _replace_departed(self) -> None:
        """Let one vehicle enter of each kind of which there are too few."""
        for kind, number in self.target_counts.items():
            if sum(vehicle.kind == kind for vehicle in self.vehicles) < number:
                self._enter(kind)

    def _occupancy(self) -> Occupancy:
        """By lane, its vehicles in order; one that has not quite left a lane is still listed there."""
        order: Occupancy = {}
        for vehicle in self.vehicles:
            place, s = vehicle.place, vehicle.s
            order.setdefault(vehicle.route[place], []).append((s, vehicle))
            while s < vehicle.size[0] / 2 and place > 0:
                place -= 1
                s += self.network.lanes[vehicle.route[place]].length
                order.setdefault(vehicle.route[place], []).append((s, vehicle))
        for listed in order.values():
            listed.sort(key=lambda entry: entry[0])
        return order

    def _acceleration(self, vehicle: Vehicle, order: Occupancy) -> float:
        """The model's answer to the leader, the limit, and a stop line or turn ahead, whichever asks for most."""
        lanes, half = self.network.lanes, vehicle.size[0] / 2
        limit = min(vehicle.desired, lanes[vehicle.route[vehicle.place]].limit)
        acceleration = self._follow(vehicle, limit, math.inf, 0.0)
        ahead = -vehicle.s  # from the middle to the start of the lane that is looked at
        for number in range(vehicle.place, len(vehicle.route)):
            index = vehicle.route[number]
            lane = lanes[index]
            if number > vehicle.place:
                acceleration = min(acceleration, self._slow_down(vehicle, lane.limit, ahead))
                if self._must_stop(vehicle, index, ahead - half, order):
                    gap = ahead - half + STANDSTILL_GAP_M - 0.3  # stand with the front just before the line
                    return min(acceleration, self._follow(vehicle, vehicle.desired, gap, vehicle.v))
            if leader := self._leader(vehicle, index, ahead, order):
                s, other = leader
                gap = ahead + s - other.size[0] / 2 - half
                return min(acceleration, self._follow(vehicle, vehicle.desired, gap, vehicle.v - other.v))
            ahead += lane.length
            if ahead > LOOKAHEAD_M:
                break
        return acceleration

    def _slow_down(self, vehicle: Vehicle, limit: float, distance: float) -> float:
        """Return the acceleration that brakes in time for a slower lane, such as a turn; infinity where it is not."""
        if limit >= vehicle.v:
            return math.inf
        braking = VEHICLE_KINDS[vehicle.kind].braking
        speed = math.sqrt(limit**2 + 1.4 * braking * max(distance - 1.0, 0.0))
        return self._follow(vehicle, speed, math.inf, 0.0)

    def _must_stop(self, vehicle: Vehicle, way: int, distance: float, order: Occupancy) -> bool:
        """Return whether a lane is a way over a crossing that a vehicle cannot reserve yet."""
        if self.network.lanes[way].crossing is None or vehicle.reserved == way:
            return False
        braking = vehicle.v**2 / (2 * VEHICLE_KINDS[vehicle.kind].braking) + vehicle.v + 6.0
        return not (distance < braking and self._reserve(vehicle, way, order))

    def _leader(self, vehicle: Vehicle, lane: int, ahead: float, order: Occupancy) -> tuple[float, Vehicle] | None:
        """Return place and vehicle of the next one ahead on a lane that starts ``ahead`` metres before the vehicle."""
        return next(((s, other) for s, other in order.get(lane, ()) if other is not vehicle and ahead + s > 0), None)

    def _follow(self, vehicle: Vehicle, desired: float, gap: float, approach: float) -> float:
        """The model's acceleration for a gap in metres that closes at ``approach`` metres a second."""
        kind, v = VEHICLE_KINDS[vehicle.kind], vehicle.v
        dynamic = v * kind.headway + v * approach / (2 * math.sqrt(kind.acceleration * kind.braking))
        closeness = ((STANDSTILL_GAP_M + max(0.0, dynamic)) / max(gap, 0.05)) ** 2
        return max(kind.acceleration * (1 - (v / desired) ** 4 - closeness), -MAX_BRAKING_M_S2)

    def _reserve(self, vehicle: Vehicle, way: int, order: Occupancy) -> bool:
        index, lane = self._crossings[way], self.network.lanes[way]
        crossing, taken = self.network.crossings[index], self._taken[index]
        if vehicle.reserved is not None or not self.green(index, lane.arms[0]):
            return False
        if self._is_blocked(taken, crossing, way):
            return False
        if self._has_walkers(lane, index):
            return False
        if self._room_behind(way, order) < vehicle.size[0] + STANDSTILL_GAP_M + 1:
            return False
        taken[vehicle] = vehicle.reserved = way
        return True

    def _is_blocked(self, taken: dict[Vehicle, int], crossing: RoadCrossing, way: int) -> bool:
        """Return whether a vehicle on the crossing is in the way."""
        return any(other in crossing.conflicts[way] and not self._ahead(v, other, way) for v, other in taken.items())

    def _has_walkers(self, lane: Lane, index: int) -> bool:
        """Return whether people walk where the way begins or ends."""
        return any(self._on_zebra(index, arm, lane.points[end]) for arm, end in zip(lane.arms, (0, -1), strict=True))

    def _room_behind(self, way: int, order: Occupancy) -> float:
        """Return the metres that are free on the lane behind a way, without those on the way who need them first."""
        after = self.network.lanes[way].successors[0]
        room = self.network.lanes[after].length
        for s, other in order.get(after, ())[:1]:
            room = s - other.size[0] / 2 if other.v < 4.0 else math.inf
        taken = self._taken[self._crossings[way]]
        return room - sum(other.size[0] + STANDSTILL_GAP_M + 1 for other, its in taken.items() if its == way)

    def _ahead(self, other: Vehicle, its: int, way: int) -> bool:
        """Whether another vehicle, that came from the same lane, is so far ahead that the ways have parted."""
        lanes, place = self.network.lanes, other.place
        if other.route[place] != its:
            return place > 0 and other.route[place - 1] == its and self._same_start(its, way)
        return self._same_start(its, way) and other.s - other.size[0] / 2 > min(PARTED_M, lanes[its].length - 1.0)

    def _same_start(self, one: int, other: int) -> bool:
        a, b = self.network.lanes[one], self.network.lanes[other]
        return a.kind == b.kind and bool(np.allclose(a.points[0], b.points[0]))

    def _on_zebra(self, crossing: int, arm: int, point: np.ndarray) -> bool:
        """Whether somebody is where a way crosses a zebra, or will be there soon."""
        if not (people := self.zebras.get((crossing, arm))):
            return False
        at = float(self.network.to_grid_axes(point - self.network.crossings[crossing].centre)[1 - arm % 2])
        for place, speed in people:
            before = (at - place) * (1 if speed > 0 else -1)
            if -ZEBRA_CLEARANCE_M < before < ZEBRA_CLEARANCE_M + abs(speed) * ZEBRA_LOOKAHEAD_S:
                return True
        return False

    def _release(self, vehicle: Vehicle) -> None:
        """Give the crossing back when the rear has left it."""
        if vehicle.reserved in vehicle.route[: vehicle.place] and vehicle.s > vehicle.size[0] / 2 + 0.5:
            assert vehicle.reserved is not None
            del self._taken[self._crossings[vehicle.reserved]][vehicle]
            vehicle.reserved = None

    def _extend(self, vehicle: Vehicle) -> None:
        """Choose the way on, and forget lanes that lie behind."""
        lanes = self.network.lanes
        while len(vehicle.route) - vehicle.place < 4 and (following := lanes[vehicle.route[-1]].successors):
            weights = _turn_weights(vehicle.kind, [lanes[index].turn for index in following])
            vehicle.route.append(int(self.generator.choice(following, p=weights / weights.sum())))
        if vehicle.place > 3:
            del vehicle.route[0]
            vehicle.place -= 1

    def _place(self, kind: str) -> None:
        """Somewhere on a lane where there is room; if nowhere, it enters at an edge of the world later."""
        lanes = self._lanes(kind, range(len(self.network.lanes)))
        vehicle = self._new(kind, lanes[0])
        half, order = vehicle.size[0] / 2 + 4, self._occupancy()
        for _ in range(20):
            index = int(self.generator.choice(lanes))
            length = self.network.lanes[index].length
            s = float(self.generator.uniform(0, length))
            others = order.get(index, [])
            if half < s < length - half and _is_clear(s, half, others):
                vehicle.route, vehicle.s, vehicle.v = [index], s, 0.0
                self._extend(vehicle)
                self.vehicles.append(vehicle)
                return

    def _enter(self, kind: str) -> None:
        """At an edge of the world, if there is room on one of the lanes."""
        order = self._occupancy()
        free = self._free_sources(kind, order)
        if free:
            vehicle = self._new(kind, int(self.generator.choice(free)))
            if listed := order.get(vehicle.route[0]):
                vehicle.v = min(vehicle.v, listed[0][1].v)
            self.vehicles.append(vehicle)

    def _free_sources(self, kind: str, order: dict[int, list[tuple[float, Vehicle]]]) -> list[int]:
        """Return the lanes into which a vehicle can enter."""
        return [
            index
            for index in self._lanes(kind, self.network.sources)
            if not (listed := order.get(index)) or listed[0][0] - listed[0][1].size[0] / 2 > 16.0
        ]

    def _lanes(self, kind: str, among: "range | list[int]") -> list[int]:
        lanes = self.network.lanes
        return [
            index for index in among if lanes[index].kind == VEHICLE_KINDS[kind].lane and lanes[index].crossing is None
        ]

    def _new(self, name: str, lane: int) -> Vehicle:
        kind, draw = VEHICLE_KINDS[name], self.generator
        share = float(draw.uniform())  # a long vehicle is a wide one, more or less
        size = (
            kind.lengths[0] + share * (kind.lengths[1] - kind.lengths[0]),
            kind.widths[0] + share * (kind.widths[1] - kind.widths[0]),
            float(draw.uniform(*kind.heights)),
        )
        factor = float(draw.uniform(*kind.speed))
        desired = min(factor, self._limit) if name == "bicycle" else factor * self._limit
        self._counts[name] += 1
        number = f"{name}-{self._counts[name]:04d}"
        vehicle = Vehicle(number, name, size, desired, [lane], 0.0, desired, int(draw.integers(2**31)))
        self._extend(vehicle)
        return vehicle

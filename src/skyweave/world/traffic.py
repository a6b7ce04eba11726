"""Traffic that follows lanes, keeps its distance, stops at lights and turns; people on pavements and crosswalks.

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing 2000, doi:10.1103/PhysRevE.62.1805). Lights
serve one arm of a crossing at a time and people after them, each phase only once the crossing is clear, so nobody ever
meets.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.world.config import TrafficConfig
from skyweave.world.roads import KERB, LANE, PARKING, Roads
from skyweave.world.things import Part, draw_size, make_parts

STEP = 0.1  # seconds of simulation
GREEN, CLEARING, WALK = 7.0, 2.0, 9.0  # seconds
GAP, HEADWAY = 2.0, 1.2  # metres at standstill, seconds
ACCELERATION, BRAKING = 1.8, 2.5  # metres per second squared
LOOK_AHEAD = 45.0  # metres
SPEEDS = {"car": (9.0, 13.0), "truck": (7.5, 10.0), "bus": (7.5, 10.0), "bicycle": (3.5, 5.5)}
TURN_SPEED = 5.0
WALKING = (1.0, 1.7)
DRIVERS = ("car", "truck", "bus", "bicycle")


@dataclass
class Agent:
    """Somebody who moves, or a parked vehicle.

    Attributes:
        identity: constant, unique in a scene.
        position: (2,) middle, metres. yaw: radians. speed: metres per second. velocity: (2,).
    """

    identity: int
    category: str
    size: np.ndarray
    parts: list[Part]
    position: np.ndarray
    yaw: float
    speed: float = 0.0
    velocity: np.ndarray | None = None


@dataclass
class Driver(Agent):
    """On a lane, ``s`` metres from its start (its middle); the next lane is chosen when it enters this one."""

    lane: int = 0
    s: float = 0.0
    wanted: float = 10.0
    next: int = -1


@dataclass
class Walker(Agent):
    """From one point to another; then across a crosswalk, or back."""

    start: np.ndarray | None = None
    stop: np.ndarray | None = None
    wanted: float = 1.3
    offset: float = 0.0
    crossing: int = -1  # of the crosswalk it is on, or waits at
    waiting: bool = False


class Traffic:
    """All that moves in a world.

    Args:
        roads: where.
        config: how many.
        generator: of everything random.
    """

    def __init__(self, roads: Roads, config: TrafficConfig, generator: np.random.Generator) -> None:
        self.roads, self.config, self.random = roads, config, generator
        self.time, self.count = 0.0, 0
        self.drivers: list[Driver] = []
        self.walkers: list[Walker] = []
        self.parked: list[Agent] = []
        self.phase = generator.integers(0, 5, len(roads.crossings))
        self.since = np.zeros(len(roads.crossings))
        self.wanted = {"car": config.cars, "truck": config.trucks, "bus": config.buses, "bicycle": config.bicycles}
        self._park()
        for category, number in self.wanted.items():
            for _ in range(number):
                self._enter(category, anywhere=True)
        for _ in range(config.pedestrians):
            self._walk_in()

    @property
    def agents(self) -> list[Agent]:
        """Everybody, parked vehicles included."""
        return [*self.drivers, *self.walkers, *self.parked]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / STEP)):
            self._step()

    def _step(self) -> None:
        before = {id(agent): agent.position for agent in (*self.drivers, *self.walkers)}
        self._switch()
        self._drive()
        for walker in self.walkers:
            self._walk(walker)
        self.time += STEP
        for agent in (*self.drivers, *self.walkers):
            agent.velocity = (agent.position - before.get(id(agent), agent.position)) / STEP

    def _switch(self) -> None:
        """The next phase once this one has had its time and the crossing is clear. 0 to 3: an arm; 4: people."""
        for c in range(len(self.roads.crossings)):
            self.since[c] += STEP
            length = WALK if self.phase[c] == 4 else GREEN
            if self.since[c] > length + CLEARING and self._clear(c):
                self.phase[c] = (self.phase[c] + 1) % 5
                self.since[c] = 0.0

    def _clear(self, c: int) -> bool:
        inside = KERB + 3.5
        for driver in self.drivers:
            lane = self.roads.lanes[driver.lane]
            if lane.turn and lane.crossing == c:
                return False
            near = np.abs(driver.position - self.roads.crossings[c]).max() - driver.size[0] / 2
            if near < inside and not (lane.crossing == c and not lane.turn):
                return False
        return not any(w.crossing == c and not w.waiting for w in self.walkers)

    def _open(self, lane_number: int) -> bool:
        lane = self.roads.lanes[lane_number]
        c = lane.crossing
        return c < 0 or (self.phase[c] == lane.approach and self.since[c] < GREEN)

    def _drive(self) -> None:
        on: dict[int, list[Driver]] = {}
        for driver in self.drivers:
            on.setdefault(driver.lane, []).append(driver)
        accelerations = [self._accelerate(driver, on) for driver in self.drivers]
        gone = []
        for driver, acceleration in zip(self.drivers, accelerations, strict=True):
            speed = max(driver.speed + acceleration * STEP, 0.0)
            driver.s += (driver.speed + speed) / 2 * STEP
            driver.speed = speed
            lane = self.roads.lanes[driver.lane]
            if driver.s >= lane.length:
                if not lane.next:
                    gone.append(driver)
                    continue
                driver.s -= lane.length
                driver.lane = driver.next
                driver.next = self._choose(driver.lane)
                lane = self.roads.lanes[driver.lane]
            driver.position, yaw = lane.at(driver.s)
            turn = (yaw - driver.yaw + np.pi) % (2 * np.pi) - np.pi
            driver.yaw += float(
                np.clip(turn, -1.2 * STEP * max(driver.speed, 0.1), 1.2 * STEP * max(driver.speed, 0.1))
            )
        for driver in gone:
            self.drivers.remove(driver)
        for category, number in self.wanted.items():
            if sum(driver.category == category for driver in self.drivers) < number:
                self._enter(category)

    def _accelerate(self, driver: Driver, on: dict[int, list[Driver]]) -> float:
        lane = self.roads.lanes[driver.lane]
        wanted = min(driver.wanted, TURN_SPEED if lane.turn and len(lane.points) > 2 else driver.wanted)
        ahead = lane.length - driver.s
        if not lane.turn and driver.next >= 0 and len(self.roads.lanes[driver.next].points) > 2:
            wanted = min(wanted, float(np.sqrt(TURN_SPEED**2 + 2 * 1.5 * max(ahead, 0.0))))
        gap, speed = self._leader(driver, on, ahead)
        front = ahead - driver.size[0] / 2
        if lane.crossing >= 0 and not lane.turn and not self._open(driver.lane):
            needed = driver.speed**2 / (2 * 4.0)
            if front > needed - 1.0 and front < gap:  # too late to stop: go on
                gap, speed = max(front, 0.05) + GAP, 0.0
        free = 1 - (driver.speed / max(wanted, 0.1)) ** 4
        desired = GAP + max(
            0.0,
            driver.speed * HEADWAY + driver.speed * (driver.speed - speed) / (2 * np.sqrt(ACCELERATION * BRAKING)),
        )
        value = ACCELERATION * (free - (desired / max(gap, 0.1)) ** 2)
        return float(np.clip(value, -8.0, ACCELERATION))

    def _leader(self, driver: Driver, on: dict[int, list[Driver]], ahead: float) -> tuple[float, float]:
        """Metres to the one in front, bumper to bumper, and its speed."""
        best, speed = np.inf, 0.0
        for other in on.get(driver.lane, ()):
            if other is not driver and (other.s, other.identity) > (driver.s, driver.identity):
                gap = other.s - driver.s - (other.size[0] + driver.size[0]) / 2
                best, speed = (gap, other.speed) if gap < best else (best, speed)
        lane = self.roads.lanes[driver.lane]
        offset, follow = ahead, driver.next
        # those who turn off from this lane's end are in the way until they are off it
        for number in [*lane.next, *([self.roads.lanes[follow].next[0]] if lane.next and not lane.turn else [])]:
            extra = ahead if number in lane.next else ahead + self.roads.lanes[follow].length
            for other in on.get(number, ()):
                gap = extra + other.s - driver.s * 0 - (other.size[0] + driver.size[0]) / 2
                best, speed = (gap, other.speed) if gap < best else (best, speed)
        if lane.turn:  # others who turn from the same arm
            for number in self._siblings(driver.lane):
                for other in on.get(number, ()):
                    if other.s > driver.s or (other.s == driver.s and other.identity > driver.identity):
                        gap = other.s - driver.s - (other.size[0] + driver.size[0]) / 2
                        best, speed = (gap, other.speed) if gap < best else (best, speed)
        del offset
        return (best, speed) if best < LOOK_AHEAD else (np.inf, 0.0)

    def _siblings(self, number: int) -> list[int]:
        lane = self.roads.lanes[number]
        return [
            i
            for i, other in enumerate(self.roads.lanes)
            if other.turn and i != number and other.crossing == lane.crossing and other.approach == lane.approach
        ]

    def _choose(self, lane: int) -> int:
        following = self.roads.lanes[lane].next
        if len(following) < 2:
            return following[0] if following else -1
        return int(self.random.choice(following, p=(0.25, 0.5, 0.25)))

    def _enter(self, category: str, anywhere: bool = False) -> None:
        """A new driver at the edge, or at the start anywhere on a lane; none where there is no room."""
        size = draw_size(category, self.random)
        lanes = [i for i, lane in enumerate(self.roads.lanes) if not lane.turn] if anywhere else self.roads.entries
        number = int(self.random.choice(lanes))
        lane = self.roads.lanes[number]
        s = float(self.random.uniform(size[0], max(lane.length - size[0], size[0]))) if anywhere else size[0] / 2
        for other in self.drivers:
            if other.lane == number and abs(other.s - s) < (other.size[0] + size[0]) / 2 + 5:
                return
        position, yaw = lane.at(s)
        wanted = float(self.random.uniform(*SPEEDS[category]))
        parts = make_parts(category, self.random)
        self.count += 1
        speed = 0.5 * wanted
        self.drivers.append(
            Driver(
                self.count, category, size, parts, position, yaw, speed, None, number, s, wanted, self._choose(number)
            )
        )

    def _walk_in(self) -> None:
        start, stop = self.roads.pavements[int(self.random.integers(len(self.roads.pavements)))]
        if self.random.random() < 0.5:
            start, stop = stop, start
        size = draw_size("pedestrian", self.random)
        position = start + self.random.random() * (stop - start)
        self.count += 1
        walker = Walker(self.count, "pedestrian", size, make_parts("pedestrian", self.random), position, 0.0)
        walker.start, walker.stop = start, stop
        walker.wanted = float(self.random.uniform(*WALKING))
        walker.offset = float(self.random.uniform(-1.1, 1.1))
        walker.position = position + walker.offset * _left(stop - start)
        walker.yaw = float(np.arctan2(*(stop - start)[::-1]))
        self.walkers.append(walker)

    def _walk(self, walker: Walker) -> None:
        assert walker.start is not None and walker.stop is not None
        if walker.waiting:
            c = walker.crossing
            length = float(np.linalg.norm(walker.stop - walker.start))
            walker.speed = 0.0
            if not (self.phase[c] == 4 and self.since[c] + length / walker.wanted < WALK + CLEARING):
                return
            walker.waiting = False
        target = walker.stop + walker.offset * _left(walker.stop - walker.start)
        way = target - walker.position
        distance = float(np.linalg.norm(way))
        step = walker.wanted * STEP
        if distance <= step:
            walker.position = target
            self._turn(walker)
            return
        walker.position = walker.position + way / distance * step
        walker.yaw = float(np.arctan2(way[1], way[0]))
        walker.speed = walker.wanted

    def _turn(self, walker: Walker) -> None:
        """At the end of a walk: over a crosswalk that begins here, along another pavement, or back."""
        assert walker.start is not None and walker.stop is not None
        here = walker.stop
        options: list[tuple[np.ndarray, np.ndarray, int]] = []
        for a, b, c in self.roads.crosswalks:
            for start, stop in ((a, b), (b, a)):
                if np.linalg.norm(start - here) < 6 and walker.crossing < 0:
                    options.append((start, stop, c))
        for a, b in self.roads.pavements:
            for start, stop in ((a, b), (b, a)):
                if np.linalg.norm(start - here) < 6 and not np.allclose(stop, walker.start):
                    options.append((start, stop, -1))
        if not options:
            options = [(walker.stop, walker.start, -1)]
        walker.start, walker.stop, walker.crossing = options[int(self.random.integers(len(options)))]
        walker.waiting = walker.crossing >= 0
        walker.speed = 0.0

    def _park(self) -> None:
        """Vehicles along the kerbs, away from the crossings."""
        places = []
        for start, stop in self.roads.pavements:
            along = stop - start
            length = float(np.linalg.norm(along))
            street = min(self.roads.streets, key=lambda s: _distance(s, (start + stop) / 2))
            inward = _foot(street, start) - start
            inward /= max(float(np.linalg.norm(inward)), 1e-9)
            for s in np.arange(12.0, length - 12.0, 6.8):
                at = start + along / length * s
                middle = _foot(street, at)
                place = middle - inward * (LANE + PARKING / 2)
                places.append((place, along / length if self.random.random() < 0.5 else -along / length))
        for i in self.random.permutation(len(places))[: self.config.parked]:
            position, direction = places[i]
            category = "car" if self.random.random() < 0.93 else "truck"
            size = draw_size(category, self.random)
            size[0] = min(size[0], 6.2)
            self.count += 1
            yaw = float(np.arctan2(direction[1], direction[0]) + self.random.normal(0, 0.02))
            agent = Agent(self.count, category, size, make_parts(category, self.random), position, yaw)
            agent.velocity = np.zeros(2)
            self.parked.append(agent)


def _left(direction: np.ndarray) -> np.ndarray:
    return np.array([-direction[1], direction[0]]) / max(float(np.linalg.norm(direction)), 1e-9)


def _foot(street: tuple[np.ndarray, np.ndarray], point: np.ndarray) -> np.ndarray:
    """The nearest point of a street's middle line."""
    start, stop = street
    along = (stop - start) / np.linalg.norm(stop - start)
    return np.asarray(start + along * np.dot(point - start, along))


def _distance(street: tuple[np.ndarray, np.ndarray], point: np.ndarray) -> float:
    return float(np.linalg.norm(_foot(street, point) - point))

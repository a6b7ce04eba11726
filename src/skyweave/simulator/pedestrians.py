"""People who walk along pavements and wait until a zebra crossing is free."""

import math
from dataclasses import dataclass

import numpy as np

from skyweave.simulator.roads import PAVEMENT_M, RoadNetwork
from skyweave.simulator.traffic import Traffic
from skyweave.simulator.vehicles import PlanarPose

MAX_LATERAL_OFFSET_M = 0.4 * PAVEMENT_M  # metres that people keep off the middle of the pavement, at most
WALKING_SPEEDS_M_S = (0.9, 1.7)
ZEBRA_PHASE_S = 5.0  # seconds during which people may step onto a zebra without lights, then it is the vehicles' turn


@dataclass(eq=False)
class Walker:
    """One person.

    Attributes:
        name: unique in the scene.
        size: length (front to back), width, height in metres.
        speed: metres a second.
        x, y: world; yaw: radians.
        here: node behind; there: node ahead; goal: world position near it that the person heads for.
        zebra: that the person is on or waits for.
        waiting: for it.
        appearance_seed: number from which its looks are drawn.
    """

    name: str
    size: tuple[float, float, float]
    speed: float
    x: float
    y: float
    here: int
    there: int
    goal: tuple[float, float]
    appearance_seed: int
    yaw: float = 0.0
    zebra: tuple[int, int] | None = None
    waiting: bool = False


def _approach_goal(walker: Walker, distance: float, walked: float) -> None:
    """Move a person towards a goal that is ``distance`` metres away by ``walked`` metres."""
    dx, dy = walker.goal[0] - walker.x, walker.goal[1] - walker.y
    walker.yaw = math.atan2(dy, dx)
    walker.x += dx / distance * walked
    walker.y += dy / distance * walked


class Pedestrians:
    """Everybody on foot.

    Args:
        network: of pavements.
        traffic: that they share zebras with.
        count: how many.
        generator: for everything random.
    """

    def __init__(self, network: RoadNetwork, traffic: Traffic, count: int, generator: np.random.Generator) -> None:
        self.network, self.traffic, self.generator = network, traffic, generator
        self.walkers: list[Walker] = []
        self._opened: dict[tuple[int, int], float] = {}
        self._number = 0
        for _ in range(count):
            here = int(generator.integers(len(network.corners)))
            choices = [other for other, zebra in network.pavements[here] if zebra is None]
            if choices:
                self._add(here, int(generator.choice(choices)), float(generator.uniform()))

    def step(self, seconds: float) -> None:
        """Move everybody on; call it before the traffic of the same step moves.

        Args:
            seconds: by which.
        """
        for number, walker in enumerate(self.walkers):
            if not self._walk(walker, seconds):
                self.walkers[number] = self._replacement()
        self._report()

    def _walk(self, walker: Walker, left: float) -> bool:
        """Move a person on for the seconds left; False when they reach the edge of the world."""
        while left > 1e-9:
            if walker.waiting and not self._may_cross(walker):
                break
            distance = math.hypot(walker.goal[0] - walker.x, walker.goal[1] - walker.y)
            walked = min(distance, walker.speed * left)
            if distance > 1e-9:
                _approach_goal(walker, distance, walked)
            left -= walked / walker.speed
            if walked >= distance - 1e-9 and not self._arrive(walker):
                return False
        return True

    def pose(self, walker: Walker) -> PlanarPose:
        """Return place, heading and velocity of a person.

        Args:
            walker: the person.
        """
        speed = 0.0 if walker.waiting else walker.speed
        return PlanarPose(walker.x, walker.y, walker.yaw, speed * math.cos(walker.yaw), speed * math.sin(walker.yaw))

    def _report(self) -> None:
        """Tell the traffic who is on which zebra."""
        zebras = self.traffic.zebras = {}
        for walker in self.walkers:
            self._report_walker(walker, zebras)

    def _report_walker(self, walker: Walker, zebras: dict[tuple[int, int], list[tuple[float, float]]]) -> None:
        """Report one walker on a zebra to the traffic."""
        if walker.zebra is None or walker.waiting:
            return
        at, towards = self._on_zebra(walker, walker.zebra)
        if abs(at) < self.network.kerb + 0.5 or at * towards < 0:
            zebras.setdefault(walker.zebra, []).append((at, math.copysign(walker.speed, towards)))

    def _on_zebra(self, walker: Walker, zebra: tuple[int, int]) -> tuple[float, float]:
        """Return metres from the middle of the road, and the direction, of a person along a zebra."""
        network, (crossing, arm) = self.network, zebra
        axis = 1 - arm % 2  # of the network, along the zebra
        place = np.array([walker.x, walker.y]) - network.crossings[crossing].centre
        heading = np.array([math.cos(walker.yaw), math.sin(walker.yaw)])
        return float(network.to_grid_axes(place)[axis]), float(network.to_grid_axes(heading)[axis])

    def _may_cross(self, walker: Walker) -> bool:
        """Go onto the zebra if no vehicle is about to cross it, and lights leave the time."""
        assert walker.zebra is not None
        crossing, arm = walker.zebra
        traffic, now = self.traffic, self.traffic.time
        if traffic.crossed_by(crossing, arm) or not self._lights_allow(walker, crossing, arm):
            return False
        opened = self._opened.get(walker.zebra, -math.inf)
        if now - opened > 2 * ZEBRA_PHASE_S:
            self._opened[walker.zebra] = now
        elif now - opened > ZEBRA_PHASE_S:
            return False  # vehicles have their turn
        walker.waiting = False
        return True

    def _lights_allow(self, walker: Walker, crossing: int, arm: int) -> bool:
        """Return whether the lights of a crossing, if it has any, leave a person the time to cross an arm."""
        if not self.network.crossings[crossing].lights:
            return True
        needed = (self.network.kerb + self.network.pavement) / walker.speed
        return not self.traffic.green(crossing, arm) and self.traffic.until_green(crossing, arm) >= needed

    def _arrive(self, walker: Walker) -> bool:
        """Choose where to go next; False at the edge of the world."""
        options = [option for option in self.network.pavements[walker.there] if option[0] != walker.here]
        if not options:
            return False
        other, zebra = options[int(self.generator.integers(len(options)))]
        walker.here, walker.there, walker.zebra, walker.waiting = walker.there, other, zebra, zebra is not None
        walker.goal = self._near(other)
        if zebra is not None:
            walker.yaw = math.atan2(walker.goal[1] - walker.y, walker.goal[0] - walker.x)
        return True

    def _replacement(self) -> Walker:
        here = int(self.generator.choice(self.network.ends))
        there = self.network.pavements[here][0][0]
        self._add(here, there, 0.0)
        return self.walkers.pop()

    def _add(self, here: int, there: int, share: float) -> None:
        draw = self.generator
        height = float(draw.uniform(1.5, 1.92))
        size = (height * 0.22, height * 0.3, height)
        start, goal = self._near(here), self._near(there)
        self._number += 1
        walker = Walker(
            f"pedestrian-{self._number:04d}",
            size,
            float(draw.uniform(*WALKING_SPEEDS_M_S)),
            start[0] + share * (goal[0] - start[0]),
            start[1] + share * (goal[1] - start[1]),
            here,
            there,
            goal,
            int(draw.integers(2**31)),
        )
        walker.yaw = math.atan2(goal[1] - walker.y, goal[0] - walker.x)
        self.walkers.append(walker)

    def _near(self, node: int) -> tuple[float, float]:
        shift = self.network.to_world(self.generator.uniform(-MAX_LATERAL_OFFSET_M, MAX_LATERAL_OFFSET_M, 2))
        x, y = self.network.corners[node] + shift
        return float(x), float(y)

"""Vehicles keep to their lanes, their speed and their distance; people cross when they may."""

from itertools import pairwise

import numpy as np
import pytest

from skyweave.simulator.config import RoadsConfig, TrafficConfig
from skyweave.simulator.pedestrians import WALKING_SPEEDS_M_S, Pedestrians
from skyweave.simulator.road_builder import build_roads
from skyweave.simulator.roads import RoadNetwork
from skyweave.simulator.traffic import Traffic
from skyweave.simulator.vehicles import PlanarPose

DENSE = TrafficConfig(cars=34, trucks=5, buses=4, bicycles=10, pedestrians=26)


def started(layout: str, seed: int, arms: int = 0) -> tuple[RoadNetwork, Traffic, Pedestrians]:
    generator = np.random.default_rng(seed)
    size = 220 if layout == "town" else 200
    network = build_roads(RoadsConfig(layout=layout, size=size, arms=arms), generator)  # type: ignore[arg-type]
    traffic = Traffic(network, DENSE, generator)
    return network, traffic, Pedestrians(network, traffic, DENSE.pedestrians, generator)


@pytest.mark.parametrize(
    ("layout", "seed", "arms"), [("straight", 0, 0), ("crossing", 1, 4), ("crossing", 2, 3), ("town", 3, 0)]
)
def test_vehicles_never_overlap_for_a_minute(layout: str, seed: int, arms: int) -> None:
    _, traffic, people = started(layout, seed, arms)
    for _ in range(120):
        for _ in range(5):
            people.step(0.1)
            traffic.step(0.1)
        poses = [traffic.pose(vehicle) for vehicle in traffic.vehicles]
        corners = [footprint(pose, v.size) for pose, v in zip(poses, traffic.vehicles, strict=True)]
        places = np.array([(pose.x, pose.y) for pose in poses])
        near = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) < 13
        for a, b in zip(*np.nonzero(np.triu(near, 1)), strict=True):
            names = traffic.vehicles[a].name, traffic.vehicles[b].name
            assert not overlap(corners[a], corners[b]), f"{names} overlap at {traffic.time:.1f} s"


@pytest.mark.parametrize("layout", ["straight", "crossing", "town"])
def test_speeds_and_accelerations_stay_within_limits(layout: str) -> None:
    network, traffic, people = started(layout, 5)
    limit, moved = network.lanes[0].limit, 0.0
    for _ in range(400):
        people.step(0.1)
        traffic.step(0.1)
        for vehicle in traffic.vehicles:
            assert 0 <= vehicle.v <= limit + 1e-6
            assert -7.0 <= vehicle.a <= 1.61
            moved += vehicle.v * 0.1
            lane = network.lanes[vehicle.route[vehicle.place]]
            if lane.turn in ("left", "right") and vehicle.s > lane.length / 2:
                assert vehicle.v <= 1.25 * lane.limit, f"{vehicle.name} takes the turn at {vehicle.v:.1f} m/s"
    assert moved / len(traffic.vehicles) > 30, "traffic flows"


def test_velocities_are_what_positions_differ_by() -> None:
    _, traffic, people = started("crossing", 7, 4)
    dt, errors = 0.05, []
    before: dict[str, PlanarPose] = {}
    now: dict[str, PlanarPose] = {}
    for _ in range(600):
        people.step(dt)
        traffic.step(dt)
        after = {vehicle.name: traffic.pose(vehicle) for vehicle in traffic.vehicles}
        after |= {walker.name: people.pose(walker) for walker in people.walkers}
        for name in before.keys() & now.keys() & after.keys():
            difference = np.array([after[name].x - before[name].x, after[name].y - before[name].y]) / (2 * dt)
            errors.append(np.hypot(*(difference - (now[name].vx, now[name].vy))))
        before, now = now, after
    assert len(errors) > 10_000
    assert np.median(errors) < 0.01 and np.quantile(errors, 0.99) < 0.25


def test_paths_are_continuous() -> None:
    _, traffic, people = started("town", 11)
    last: dict[str, PlanarPose] = {}
    for _ in range(300):
        people.step(0.1)
        traffic.step(0.1)
        poses = {vehicle.name: traffic.pose(vehicle) for vehicle in traffic.vehicles}
        poses |= {walker.name: people.pose(walker) for walker in people.walkers}
        for name in last.keys() & poses.keys():
            a, b = last[name], poses[name]
            assert np.hypot(b.x - a.x, b.y - a.y) < 1.4
            if not name.startswith("pedestrian"):  # people turn on the spot
                assert abs(np.angle(np.exp(1j * (b.yaw - a.yaw)))) < 0.35
        last = poses


def test_everybody_gets_over_the_crossing() -> None:
    network, traffic, people = started("crossing", 4, 4)
    crossed = set()
    on_zebra = 0
    for _ in range(1200):
        people.step(0.1)
        traffic.step(0.1)
        crossed |= {
            v.name.split("-")[0] for v in traffic.vehicles if network.lanes[v.route[v.place]].crossing is not None
        }
        on_zebra += sum(len(there) for there in traffic.zebras.values())
    assert crossed == {"car", "truck", "bus", "bicycle"}
    assert on_zebra > 0, "nobody walked over a zebra"


def test_numbers_are_kept_up() -> None:
    _, traffic, people = started("crossing", 9)
    for _ in range(300):
        people.step(0.1)
        traffic.step(0.1)
    assert len(traffic.vehicles) >= 0.9 * sum(traffic.target_counts.values())
    assert len(people.walkers) == DENSE.pedestrians
    assert all(WALKING_SPEEDS_M_S[0] <= walker.speed <= WALKING_SPEEDS_M_S[1] for walker in people.walkers)


@pytest.mark.parametrize("layout", ["straight", "crossing", "town"])
@pytest.mark.parametrize("arms", [3, 4])
def test_lanes_lead_on_without_a_gap(layout: str, arms: int) -> None:
    for seed in range(4):
        roads = RoadsConfig(layout=layout, arms=arms, lanes=(1, 3), size=300)  # type: ignore[arg-type]
        network = build_roads(roads, np.random.default_rng(seed))
        for lane in network.lanes:
            assert all(np.allclose(lane.points[-1], network.lanes[n].points[0]) for n in lane.successors)
            if not lane.successors:
                assert np.abs(network.to_grid_axes(lane.points[-1])).max() > network.reach - 1, (
                    "a lane ends in the middle"
                )
        for here, others in network.pavements.items():
            assert all(any(back == here for back, _ in network.pavements[other]) for other, _ in others)


def footprint(pose: PlanarPose, size: tuple[float, float, float]) -> np.ndarray:
    c, s = np.cos(pose.yaw), np.sin(pose.yaw)
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (size[0] / 2, size[1] / 2)
    return corners @ np.array([[c, s], [-s, c]]) + (pose.x, pose.y)


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Separating axes of two rectangles."""
    for corners in (a, b):
        for p, q in pairwise(corners[:3]):
            axis = (q - p) / np.hypot(*(q - p))
            if (a @ axis).max() <= (b @ axis).min() or (b @ axis).max() <= (a @ axis).min():
                return False
    return True

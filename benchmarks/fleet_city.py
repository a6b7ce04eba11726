"""A city: what a node costs from 16 to 64 nodes at equal density, and what 1,000 and 100,000 would cost.

    unshare -n sh -c 'ip link set lo up; OMP_NUM_THREADS=1 python benchmarks/fleet_city.py measure --json city.json'
    OMP_NUM_THREADS=1 python benchmarks/fleet_city.py simulate

`measure` runs nodes with keys over Zenoh and TLS as clients of one `skyweave fleet router` in a process of its own; the
nodes share a thread (with `--processes` only those of a district, in a process of their own), each with a session of
its own, and fly at 10 m/s over cars that a stand-in detector sees. With `--idle` that many more are connected and
subscribed, but do not fly, in another process: what a node costs by the number of others alone. The city consists of
districts of 16 nodes, all alike in density, edges and flights, with a belt of more than two tiles between them: what a
node costs can differ by the size of the fleet alone. Their clocks run slowly (`--slow`), so that a machine with other
work keeps up; figures are by these clocks. In a network namespace of its own the loopback interface counts what
travels, headers, acknowledgements and signs of life of links included. `simulate` moves any number of platforms over
the same tiles and counts who receives whom, and what changes in the routers' tables.
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.credentials import load_credentials
from skyweave.fleet.link.tiles import TileScheme
from skyweave.fleet.link.transport import Membership
from skyweave.fleet.link.zenoh import ZenohConfig
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.box_messages import BoxMessages
from skyweave.fleet.perceivers.box_scene import EgoScene
from skyweave.fleet.plan import FleetPlan
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.perception.results.scene import DETECTION
from skyweave.recordings.recording import Frame
from skyweave.wire import WireGrid

CRS, ORIGIN = "EPSG:32632", (690_000.0, 5_334_000.0)
MAP_M, TILE_M, RESOLUTION_M = 100.0, 128, 0.5
DENSITY = 16e-6  # platforms a square metre
CARS = 400e-6  # likewise
SPEED_M_S = 10.0
WARM_UP_ROUNDS = 6
DISTRICT = 16  # platforms
DISTRICTS_ALONG = 8
BELT_TILES = 2  # at least, between districts: nobody is received across
SITE_PLATFORMS = 250  # behind one router
_SPAWN = multiprocessing.get_context("spawn")


class CityPerceiver(BoxMessages):
    """Sees the cars on its map, with noise."""

    fingerprint, resolution = 0, RESOLUTION_M

    def __init__(self, number: int, interval: float, epoch: int) -> None:
        super().__init__(("car",), interval)
        district, number = divmod(number, DISTRICT)
        generator, side = np.random.default_rng(number), float(np.sqrt(DISTRICT / DENSITY))
        period = (np.ceil(side / TILE_M) + BELT_TILES) * TILE_M  # whole tiles, so that all districts lie on them alike
        self.origin = np.array(ORIGIN) + period * np.array(divmod(district, DISTRICTS_ALONG))
        self.start, heading = generator.uniform(0, side, 2), generator.uniform(0, 2 * np.pi)
        self.velocity, self.side = SPEED_M_S * np.array([np.cos(heading), np.sin(heading)]), side
        self.noise, self.epoch = generator, epoch
        self.cars = np.random.default_rng(0).uniform(0, side, (round(CARS * side**2), 2))  # the same for all

    def position(self, time_ns: int) -> np.ndarray:
        """It turns where the district ends."""
        seconds = (time_ns - self.epoch) / 1e9
        return self.side - np.abs((self.start + self.velocity * seconds) % (2 * self.side) - self.side)

    def observe(self, frame: Frame, place: WorldFrame) -> EgoScene:
        x, y = np.round((self.position(frame.time) + self.origin) / 4) * 4
        grid = MapGrid.around(float(x), float(y), MAP_M, RESOLUTION_M, CRS)
        near = self.cars[(np.abs(self.cars + self.origin - (x, y)) < MAP_M / 2 - 1).all(1)] + self.origin
        count = len(near)
        centres = np.column_stack([near + self.noise.normal(0, 0.2, near.shape), np.full(count, 0.8)])
        boxes = Boxes(centres, np.tile([4.5, 1.8, 1.6], (count, 1)), np.zeros(count))
        detections = Detections(
            boxes, np.zeros((count, 2)), ("car",) * count, np.full(count, 0.8), CRS, frame.time
        )  # fmt: skip
        return EgoScene(frame.time, grid, ScenePrediction({DETECTION: detections}))


class SlowClock:
    """A clock by which little time passes."""

    def __init__(self, slow: float, start: int) -> None:
        self.start, self.slow = start, slow

    def __call__(self) -> int:
        return self.start + round((wall_clock() - self.start) / self.slow)

    def wait_until(self, time_ns: float) -> None:
        time.sleep(max((time_ns - self()) * self.slow / 1e9, 0))


@dataclass(frozen=True)
class Measurement:
    """What is measured.

    Attributes:
        count: nodes that fly.
        idle: nodes that are connected only.
        together: nodes in one process.
        tiles: sides, metres.
        interval: seconds between frames.
        seconds: that count.
        gate: the router's endpoint.
        slow: times as slow as real time.
    """

    count: int
    idle: int
    together: int
    tiles: tuple[int, ...]
    interval: float
    seconds: float
    gate: str
    slow: float

    def measure(self) -> dict[str, Any]:
        """Run the router and the nodes; return the costs of a node."""
        with tempfile.TemporaryDirectory() as keys:
            create_keys(keys, [f"UAV_{number}" for number in range(self.count + self.idle)], relays=["gate"])
            command = [sys.executable, "-m", "skyweave", "fleet", "router", "--name", "gate", "--keys", keys]
            with subprocess.Popen(
                [*command, "--fleet", "city", "--listen", self.gate], stdout=subprocess.PIPE
            ) as router:
                try:
                    assert router.stdout is not None and router.stdout.readline()
                    return self.run_groups(keys, router.pid)
                finally:
                    router.terminate()

    def run_groups(self, keys: str, router: int) -> dict[str, Any]:
        """Run the nodes in processes of their own; return the mean of their figures."""
        groups = [range(first, min(first + self.together, self.count)) for first in range(0, self.count, self.together)]
        barrier = _SPAWN.Barrier(len(groups) + (self.idle > 0))
        results, epoch = _SPAWN.Queue(), wall_clock()
        processes = [
            _SPAWN.Process(target=self.put_group, args=(results, group, keys, router, epoch, barrier))
            for group in groups
        ]
        if self.idle:
            processes.append(_SPAWN.Process(target=self.wait, args=(keys, epoch, barrier)))
        for process in processes:
            process.start()
        shares = [results.get(timeout=600) for _ in groups]
        for process in processes:
            process.join()
        result = {"nodes": self.count, "idle": self.idle, "processes": len(groups), "tiles": list(self.tiles)}
        for key, value in shares[0].items():
            if isinstance(value, dict):
                result[key] = dict(sum((Counter(share[key]) for share in shares), Counter()))
            else:
                result[key] = round(float(np.mean([share[key] for share in shares])), 3)
        return result

    def put_group(self, results: Any, *work: Any) -> None:
        """Run one group in a process of its own."""
        results.put(self.run_group(*work))
        results.close()
        results.join_thread()
        os._exit(0)  # sessions to a router that has ended take their time

    def run_group(self, group: range, keys: str, router: int, epoch: int, barrier: Any) -> dict[str, Any]:
        """Run the nodes of one process."""
        clock = SlowClock(self.slow, epoch)
        nodes = self.open_nodes(group, keys, clock)
        barrier.wait(300)
        result = run(nodes, psutil.Process(router), clock, self.interval, self.seconds, self.count)
        barrier.wait(300)  # nobody leaves before all have counted
        for node in nodes:
            node.close()
        return result

    def wait(self, keys: str, epoch: int, barrier: Any) -> None:
        """Connect the nodes that do not fly, in one process, and subscribe to what is around them."""
        nodes = self.open_nodes(range(self.count, self.count + self.idle), keys, SlowClock(self.slow, epoch))
        for node in nodes:
            node.observe_and_send(Frame(node.clock(), {}))
        barrier.wait(300)
        barrier.wait(300)
        os._exit(0)

    def open_nodes(self, numbers: range, keys: str, clock: "SlowClock") -> list[Node]:
        """Open nodes, each with a session of its own."""
        options = NodeOptions(tiles=self.tiles, max_time_offset=0.95 * self.interval)
        return [
            open_node(
                CityPerceiver(number, self.interval, clock.start), f"UAV_{number}", keys, self.gate, options, clock
            )
            for number in numbers
        ]


def open_node(
    perceiver: CityPerceiver, name: str, keys: str, gate: str, options: NodeOptions, clock: SlowClock
) -> Node:
    trust = load_credentials(keys, name)
    transport = ZenohConfig([], [gate], "client", open_timeout=20).build(Membership("city", trust))
    return Node("city", name, perceiver, transport, WorldFrame(CRS), options, credentials=trust, clock=clock)


def run(
    nodes: list[Node], router: psutil.Process, clock: SlowClock, interval: float, seconds: float, count: int
) -> dict[str, Any]:
    """Let the nodes of this process work in turns, each once an interval, the first rounds uncounted.

    Args:
        nodes: of this process.
        router: the process of the router.
        clock: of all.
        interval: seconds between frames.
        seconds: that count.
        count: nodes in all processes.
    """
    this, fused, peers = psutil.Process(), list[int](), list[int]()
    start, turns, before, began = clock(), 2 * len(nodes), dict[str, float](), 0
    for turn in range(round((WARM_UP_ROUNDS + seconds / interval) * turns)):
        if turn == WARM_UP_ROUNDS * turns:
            before, began = counters(nodes, this, router), clock()
        clock.wait_until(start + turn * interval * 1e9 / turns)
        node = nodes[turn % turns // 2]
        if turn % 2:
            node.send_heartbeat()
            continue
        pending = node.observe_and_send(Frame(node.clock(), {}))
        scene = node.fuse(pending)
        if before:
            fused.append(sum(overlap(node, peer) for peer in scene.peer_frames))
            peers.append(len(node.peers.alive(2.5 * interval)))
    after, elapsed = counters(nodes, this, router), (clock() - began) / 1e9
    rejected = Counter[str]()
    for node in nodes:
        for counts in node.peers.rejection_counts().values():
            rejected.update(counts)
    of = {"router": count, "wire": count}
    share = {key: (after[key] - before[key]) / elapsed / of.get(key, len(nodes)) for key in after}
    return {
        "seconds": round(elapsed, 1),
        "frames a second and node": round(len(fused) / elapsed / len(nodes), 3),
        "peers received": round(float(np.mean(peers)), 2),
        "peers fused whose maps overlap": round(float(np.mean(fused)), 2),
        "received by a node, without headers (kbit/s)": round(share["received"] * 8e-3, 2),
        "on the wire, both directions (kbit/s a node)": round(share["wire"] * 8e-3, 2),
        "processor of a node (ms a second)": round(1e3 * share["processor"], 2),
        "of it in its own thread (ms a second)": round(1e3 * share["own"], 2),
        "in Zenoh's threads, user (ms a second)": round(1e3 * share["zenoh user"], 2),
        "in Zenoh's threads, system (ms a second)": round(1e3 * share["zenoh system"], 2),
        "wakes of Zenoh's threads (a second)": round(share["wakes"], 2),
        "messages taken (a second)": round(share["messages"], 2),
        "processor of the router (ms a second and node)": round(1e3 * share["router"], 2),
        "refused": dict(rejected),
        "load": round(os.getloadavg()[0], 1),
    }


def overlap(node: Node, synchronized: Any) -> bool:
    assert isinstance(node.perceiver, CityPerceiver)
    centre = node.perceiver.position(node.clock()) + node.perceiver.origin
    grid: WireGrid = synchronized.content.grid
    other = (grid.west + grid.columns / 2) * grid.metres, (grid.north - grid.rows / 2) * grid.metres
    return bool((np.abs(centre - other) < MAP_M).all())


def counters(nodes: list[Node], this: psutil.Process, router: psutil.Process) -> dict[str, float]:
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return {
        "received": float(sum(peer.bytes for node in nodes for peer in node.peers.all())),
        "messages": float(sum(peer.messages for node in nodes for peer in node.peers.all())),
        "own": time.thread_time(),
        **zenoh_threads(),
        "wire": float(line.split(":")[1].split()[0]),
        "processor": sum(this.cpu_times()[:2]),
        "router": sum(router.cpu_times()[:2]),
    }


def zenoh_threads() -> dict[str, float]:
    """Return what all threads but this one took so far: processor seconds, and how often they were woken."""
    process, own = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_THREAD)
    return {
        "zenoh user": process.ru_utime - own.ru_utime,
        "zenoh system": process.ru_stime - own.ru_stime,
        "wakes": float(process.ru_nvcsw - own.ru_nvcsw),
    }


def simulate(count: int, seconds: int, generator: np.random.Generator) -> dict[str, Any]:
    """Move platforms over the tiles, a second at a time."""
    side = float(np.sqrt(count / DENSITY))
    sites_along = max(round(np.sqrt(count / SITE_PLATFORMS)), 1)
    start, heading = generator.uniform(0, side, (count, 2)), generator.uniform(0, 2 * np.pi, count)
    velocity = SPEED_M_S * np.column_stack([np.cos(heading), np.sin(heading)])
    crossings, changed, tables, before = 0, list[int](), np.zeros(0, np.int64), np.zeros(0, np.int64)
    for second in range(seconds):
        places = side - np.abs((start + velocity * second) % (2 * side) - side)
        index = (places // TILE_M).astype(np.int64)
        tiles = int(side // TILE_M) + 3
        flat = (index[:, 0] + 1) * tiles + index[:, 1] + 1
        around = np.array([east * tiles + north for east in (-1, 0, 1) for north in (-1, 0, 1)])
        site = (places // (side / sites_along)).astype(np.int64).clip(max=sites_along - 1) @ np.array([1, sites_along])
        subscribed = np.unique((site[:, None] * tiles**2 + flat[:, None] + around).ravel())  # by router, each tile once
        if second:
            crossings += int((flat != before).sum())
            changed.append(len(np.setxor1d(subscribed, tables, assume_unique=True)))
        tables, before = subscribed, flat
    speakers = np.bincount(flat, minlength=tiles**2)
    received = speakers[flat[:, None] + around].sum(1) - 1
    by_site = [int(received[site == number].sum()) for number in range(sites_along**2)]
    from_others = [
        int(speakers[tables[tables // tiles**2 == number] % tiles**2].sum() - (site == number).sum())
        for number in range(sites_along**2)
    ]
    plan = FleetPlan(side**2, count, 1e9, sites=sites_along**2, map_size=MAP_M, tile=TILE_M, frame_bytes=400)
    sent = plan.sent_bits
    return {
        "platforms": count,
        "sites": sites_along**2,
        "peers received, mean": round(float(received.mean()), 2),
        "peers received, 1 of 100": int(np.quantile(received, 0.99)),
        "peers received, most": int(received.max()),
        "by the plan, without edges": round(plan.peers_received, 2),
        "a platform receives (kbit/s)": round(float(received.mean()) * sent / 1e3, 1),
        "the busiest router sends to its site (Mbit/s)": round(max(by_site) * sent / 1e6, 1),
        "the busiest site receives from others (Mbit/s)": round(max(from_others) * sent / 1e6, 2),
        "everybody to everybody: a platform receives (Mbit/s)": round((count - 1) * sent / 1e6, 1),
        "tiles that a platform changes (a minute)": round(60 * crossings / count / (seconds - 1), 2),
        "tiles subscribed to, all routers": len(tables),
        "of them changed (a second)": round(float(np.mean(changed)), 1),
    }


def check_scheme() -> None:
    """The simulation counts as the nodes do."""
    generator, scheme = np.random.default_rng(1), TileScheme((TILE_M,))
    for east, north in generator.integers(0, 50_000, (200, 2)):
        grid = WireGrid(int(east) - 50, int(north) + 50, 1_000_000, 100, 100)
        assert scheme.tile_path(grid) == f"e{east // TILE_M}n{north // TILE_M}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=("measure", "simulate"))
    parser.add_argument("--nodes", type=int, nargs="+")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between frames, and between heartbeats")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--slow", type=float, default=3.0, help="times as slow as real time")
    parser.add_argument("--idle", type=int, default=0, help="nodes that are connected besides, and do not fly")
    parser.add_argument("--processes", action="store_true", help="each district in a process of its own")
    parser.add_argument("--everybody", action="store_true", help="without tiles")
    parser.add_argument("--port", type=int, default=17450)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    check_scheme()
    for count in args.nodes or ((16, 32, 64) if args.work == "measure" else (16, 64, 1000, 100_000)):
        if args.work == "measure":
            tiles = () if args.everybody else (TILE_M,)
            together, gate = DISTRICT if args.processes else count, f"tls/127.0.0.1:{args.port}"
            work = Measurement(count, args.idle, together, tiles, args.interval, args.seconds, gate, args.slow)
            rows.append(work.measure())
        else:
            rows.append(simulate(count, 20, np.random.default_rng(0)))
        print(json.dumps(rows[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What happens to a fleet when nodes are killed, frozen, started anew: four processes over Zenoh on this machine.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 40
    OMP_NUM_THREADS=1 python benchmarks/fleet_faults.py recordings/hidden

For each fault: the longest time between two fused scenes of any other node as they arrive while it lasts (one frame
period is 0.5 s; the first row says how much that varies without any fault), frames for which another node fused no
scene, and the time from the fault's end until the node is in every other's scene again, and publishes itself.
At the end descriptors, threads and memory of a node that was never touched, and processes and descriptors of the
supervisor.
"""

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from skyweave.fleet import FleetClient
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.supervisor.state import fleet_state
from skyweave.fleet.supervisor.supervisor import Supervisor

NAMES = ["UAV_1", "UAV_2", "UAV_3", "UAV_4"]
INTERVAL = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--port", type=int, default=17450)
    parser.add_argument("--weights", help="a perception model instead of the stand-in detector")
    parser.add_argument("--interval", type=float, default=INTERVAL)
    parser.add_argument("--frozen", type=float, default=10.0, help="seconds")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        perceiver = (
            {"kind": "ground_truth"} if args.weights is None else {"kind": "late_fusion", "weights": args.weights}
        )
        node: dict[str, Any] = {
            "source": {"kind": "recording", "path": str(Path(args.recording).resolve()), "interval": args.interval},
            "perceiver": perceiver,
            "sinks": ["scene"],
            "options": {"max_wait": 0.6 * args.interval},
        }
        supervisor = Supervisor(FleetConfig("faults", NAMES, node, {}, args.port, state))
        stop = threading.Event()
        thread = threading.Thread(target=supervisor.run, args=(stop,))
        thread.start()
        try:
            report = measure(state, args.port, args.frozen, args.interval)
        finally:
            stop.set()
            thread.join()
    if args.json:
        print(json.dumps(report))
        return
    print("| fault | longest gap of the others (s) | scenes missing | back in the others' scenes after (s) |")
    print("| --- | --- | --- | --- |")
    for row in report["faults"]:
        print(f"| {row['fault']} | {row['gap']:.2f} | {row['missing']} | {row['back']:.2f} |")
    print(f"\nbefore {report['before']}\nafter {report['after']}\nload {os.getloadavg()[0]:.1f}")


def measure(state: str, port: int, frozen: float, interval: float) -> dict[str, Any]:
    with FleetClient("faults", [f"tcp/127.0.0.1:{port + i}" for i in range(len(NAMES))]) as client:
        watch = SceneWatcher(client, interval)
        watch.until(lambda: all(watch.sees_all(name) for name in NAMES), 120)
        time.sleep(3)
        before = use(state, "UAV_1")
        faults = []
        watch.begin("")
        time.sleep(10)
        faults.append({"fault": "none, for 10 s", "gap": watch.longest(), "missing": watch.missing(), "back": 0.0})

        def fault(
            name: str, who: str, begin: Callable[[int], None], end: Callable[[int], None], seconds: float
        ) -> None:
            process = pid(state, who)
            watch.begin(who)
            begin(process)
            time.sleep(seconds)
            since = time.monotonic()
            end(process)
            watch.until(lambda: watch.seen_since(who, since), 120)
            back = time.monotonic() - since
            time.sleep(2)
            faults.append({"fault": name, "gap": watch.longest(), "missing": watch.missing(), "back": back})

        nothing: Callable[[int], None] = lambda process: None  # noqa: E731
        fault("kill -9", "UAV_2", lambda process: os.kill(process, signal.SIGKILL), nothing, 0)
        fault("ended and started again", "UAV_3", lambda process: os.kill(process, signal.SIGTERM), nothing, 0)
        fault(
            f"frozen for {frozen:.0f} s", "UAV_4",
            lambda process: os.kill(process, signal.SIGSTOP), lambda process: os.kill(process, signal.SIGCONT), frozen,
        )  # fmt: skip
        after = {}
        for who in [*NAMES[1:], NAMES[0]]:
            if who == NAMES[0]:  # it has been spared so far
                after = use(state, who)
            fault(f"rolling restart: {who}", who, lambda process: os.kill(process, signal.SIGTERM), nothing, 0)
    return {"faults": faults, "before": before, "after": after}


class SceneWatcher:
    """Receives all fused scenes and remembers when they came."""

    def __init__(self, client: FleetClient, interval: float) -> None:
        self.client, self.interval = client, interval
        self.times: dict[str, list[float]] = {name: [] for name in NAMES}
        self.captures: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}  # received, captured
        self.last_with: dict[tuple[str, str], float] = {}
        self.fault, self.since = "", 0.0
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self, who: str) -> None:
        self.fault, self.since = who, time.monotonic()

    def longest(self) -> float:
        """Return the longest gap between two scenes of any but the faulty one, seconds, since the fault began."""
        gaps = [0.0]
        for name, times in self.times.items():
            if name != self.fault:
                recent = [time for time in list(times) if time > self.since - 2]
                gaps += [second - first for first, second in pairwise(recent)]
        return max(gaps)

    def missing(self) -> int:
        """Return the frames since the fault began for which another node fused no scene."""
        total = 0
        for name, captures in self.captures.items():
            if name != self.fault:
                times = [captured for received, captured in list(captures) if received > self.since - 2]
                total += sum(round((b - a) / self.interval) - 1 for a, b in pairwise(sorted(times)))
        return total

    def sees_all(self, name: str) -> bool:
        now = time.monotonic()
        return all(now - self.last_with.get((name, other), 0.0) < 2 for other in NAMES if other != name)

    def seen_since(self, who: str, since: float) -> bool:
        others = all(self.last_with.get((name, who), 0.0) > since + 0.05 for name in NAMES if name != who)
        return others and bool(self.times[who]) and self.times[who][-1] > since + 0.05

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("the fleet does not come together")
            time.sleep(0.02)

    def _listen(self) -> None:
        for content in self.client.scenes():
            now = time.monotonic()
            self.times[content["platform"]].append(now)
            self.captures[content["platform"]].append((now, content["time"]))
            for name, frame in content["peer_frames"].items():
                if abs(frame["time_offset"]) < 0.2:
                    self.last_with[content["platform"], name] = now


def pid(state: str, name: str) -> int:
    process: int | None = None
    while process is None:
        process = fleet_state(state)["nodes"][name]["pid"]
    return process


def use(state: str, name: str) -> dict[str, Any]:
    process = psutil.Process(pid(state, name))
    supervisor = psutil.Process()
    return {
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "memory (MB)": round(process.memory_info().rss / 1e6, 1),
        "processes": len(supervisor.children(recursive=True)),
        "descriptors of the supervisor": supervisor.num_fds(),
    }


if __name__ == "__main__":
    main()

"""What a node costs, by the size of its fleet; and a soak.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 40
    OMP_NUM_THREADS=1 python benchmarks/fleet_load.py recordings/hidden --nodes 2 4 8 16
    OMP_NUM_THREADS=1 python benchmarks/fleet_load.py recordings/hidden --nodes 4 --interval 0.2 --seconds 1800 --soak
    OMP_NUM_THREADS=1 python benchmarks/fleet_load.py recordings/hidden --weights crossing --features --interval 1

One process a node over Zenoh on this machine, with the stand-in detector, so that it is the cost of the network: nodes
beyond the fourth look through the cameras of the first four. Latency is from capture to result.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from skyweave.fleet.config import FleetConfig
from skyweave.fleet.supervisor.state import fleet_state
from skyweave.fleet.supervisor.supervisor import Supervisor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--nodes", type=int, nargs="+", default=[4])
    parser.add_argument("--interval", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--port", type=int, default=19450)
    parser.add_argument("--weights", help="a perception model instead of the stand-in detector")
    parser.add_argument("--features", action="store_true", help="the model sends coded features, not only boxes")
    parser.add_argument("--soak", action="store_true", help="print memory and descriptors over time")
    args = parser.parse_args()
    rows = []
    for count in args.nodes:
        rows.append(run(args, count))
        print(json.dumps(rows[-1]), flush=True)


def run(args: argparse.Namespace, count: int) -> dict[str, Any]:
    names = [f"UAV_{i + 1}" for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        kind = "intermediate_fusion" if args.features else "late_fusion"
        perceiver = {"kind": "ground_truth"} if args.weights is None else {"kind": kind, "weights": args.weights}
        node: dict[str, Any] = {
            "source": {"path": str(Path(args.recording).resolve()), "interval": args.interval},
            "perceiver": perceiver,
            "options": {"max_wait": 0.6 * args.interval},
        }
        nodes = {
            name: {
                "source": {"platform": f"UAV_{i % 4 + 1}"},
                "sinks": ["scene", {"kind": "file", "path": f"{folder}/{i}.jsonl"}],
            }
            for i, name in enumerate(names)
        }
        supervisor = Supervisor(FleetConfig("load", names, node, nodes, args.port, f"{folder}/state"))
        stop = threading.Event()
        thread = threading.Thread(target=supervisor.run, args=(stop,))
        thread.start()
        try:
            wait(f"{folder}/state", count)
            time.sleep(5)
            start, began = sizes(f"{folder}/state"), time.time()
            track = []
            while time.time() - began < args.seconds:
                time.sleep(min(30.0, began + args.seconds - time.time()) if args.soak else args.seconds)
                track.append(sizes(f"{folder}/state"))
                if args.soak:
                    print(json.dumps({"at (s)": round(time.time() - began), **short(track[-1])}), flush=True)
            end, ended = track[-1], time.time()
        finally:
            stop.set()
            thread.join()
        latencies, complete_peers = [], []
        for i in range(count):
            for line in Path(f"{folder}/{i}.jsonl").read_text().splitlines():
                content = json.loads(line)
                if began < content["time"] < ended - 1:
                    latencies.append(content["latency"])
                    complete_peers.append(sum(frame["complete"] for frame in content["peer_frames"].values()))
    seconds = ended - began
    return {
        "nodes": count,
        "seconds": round(seconds),
        "scenes a second and node": round(len(latencies) / count / seconds, 3),
        "complete frames of peers a scene": round(float(np.mean(complete_peers)), 2),
        "processor a node (s a second)": round(mean(end, "processor", start) / seconds, 4),
        "received a node (kbit/s)": round(mean(end, "received", start) * 8 / 1000 / seconds, 1),
        "latency p50 (s)": round(float(np.median(latencies)), 4),
        "latency p99 (s)": round(float(np.quantile(latencies, 0.99)), 4),
        "memory (MB)": [round(mean(start, "memory")), round(mean(end, "memory"))],
        "descriptors": [mean(start, "descriptors"), mean(end, "descriptors")],
        "starts": sum(node["starts"] for node in end.values()),
    }


def wait(state: str, count: int) -> None:
    end = time.monotonic() + 60 + 20 * count
    while time.monotonic() < end:
        nodes = fleet_state(state)["nodes"].values() if Path(state, "fleet.json").exists() else []
        peers = [node.get("status", {}).get("peers", {}) for node in nodes]
        if peers and all(sum(peer["alive"] for peer in by_name.values()) == count - 1 for by_name in peers):
            return
        time.sleep(0.5)
    raise TimeoutError("the nodes do not receive each other")


def sizes(state: str) -> dict[str, dict[str, float]]:
    sizes_by_name = {}
    for name, node in fleet_state(state)["nodes"].items():
        process = psutil.Process(node["pid"])
        sizes_by_name[name] = {
            "processor": sum(process.cpu_times()[:2]),
            "memory": process.memory_info().rss / 1e6,
            "descriptors": process.num_fds(),
            "received": sum(peer["bytes"] for peer in node["status"]["peers"].values()),
            "starts": node["starts"],
        }
    return sizes_by_name


def mean(now: dict[str, dict[str, float]], key: str, before: dict[str, dict[str, float]] | None = None) -> float:
    return float(np.mean([sizes[key] - (before[name][key] if before else 0) for name, sizes in now.items()]))


def short(now: dict[str, dict[str, float]]) -> dict[str, Any]:
    keys = ("memory", "descriptors", "starts")
    return {key: [round(sizes[key], 1) for sizes in now.values()] for key in keys}


if __name__ == "__main__":
    main()

"""A fleet on slow radios: four network namespaces on a bridge, each one's sending shaped by `tc tbf`. Needs root.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 40
    OMP_NUM_THREADS=1 python benchmarks/fleet_radio.py recordings/hidden

250 kbit/s in total, a quarter for each node's sending; every frame is sent to each of the three others (Zenoh peers
over TCP), so each byte of a frame is sent three times. Reported: mean average precision of the fused scenes and of
the same frames evaluated offline (`perceive_together`, same budget), by the stand-in detector, which says something
of the network only; and bytes by the kernel's counters beside the nodes' count with an estimate of
what the lower layers add.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver
from skyweave.fleet.sinks.scene_file import read_saved_scenes
from skyweave.fleet.sinks.score import score_fleet
from skyweave.recordings.nuscenes import load_recording

NAMES = ["UAV_1", "UAV_2", "UAV_3", "UAV_4"]
INTERVAL = 0.5
CATEGORIES = ("car", "truck", "bus", "bicycle", "pedestrian")
OVERHEAD_BYTES = (
    14 + 20 + 32 + 11
)  # a message: Ethernet, IP, TCP with timestamps, Zenoh's framing with a declared topic
ACKNOWLEDGEMENT_BYTES = 66  # of an empty TCP segment, for about every message that came


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--total", type=float, default=250.0, help="kbit/s of all nodes together")
    parser.add_argument("--budget", type=int, default=800, help="bytes a frame")
    parser.add_argument("--min-budget", type=int, help="bytes to which the budget may fall (default: it is fixed)")
    parser.add_argument("--protocol", default="tcp", choices=("tcp", "udp"))
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--cut", type=float, default=0.0, help="seconds for which the second node's link is cut")
    args = parser.parse_args()
    if shutil.which("tc") is None or shutil.which("ip") is None:
        raise SystemExit("this needs `ip` and `tc` (iproute2)")
    each = args.total / len(NAMES)
    network(up=False)
    try:
        network(up=True, rate=each)
        with tempfile.TemporaryDirectory() as folder:
            report = run(
                Path(args.recording).resolve(), Path(folder), args.min_budget or args.budget, args.budget, args
            )
    finally:
        network(up=False)
    print(json.dumps(report, indent=1))


def network(up: bool, rate: float = 0.0) -> None:
    """Namespaces sw1 to sw4 at 10.77.0.1 to 10.77.0.4, on a bridge in a namespace of its own."""
    if not up:
        for name in ("swhub", *(f"sw{i + 1}" for i in range(len(NAMES)))):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        return
    steps = ["ip netns add swhub", "ip -n swhub link add br0 type bridge", "ip -n swhub link set br0 up"]
    for i in range(1, len(NAMES) + 1):
        steps += [
            f"ip netns add sw{i}",
            f"ip -n sw{i} link add eth0 type veth peer name port{i} netns swhub",
            f"ip -n swhub link set port{i} master br0 up",
            f"ip -n sw{i} addr add 10.77.0.{i}/24 dev eth0",
            f"ip -n sw{i} link set lo up",
            f"ip -n sw{i} link set eth0 mtu 1500 up",
            f"tc -n sw{i} qdisc add dev eth0 root tbf rate {rate}kbit burst 3000 latency 300ms",
        ]
    for step in steps:
        subprocess.run(step.split(), check=True, capture_output=True)


def run(recording: Path, folder: Path, min_budget: int, budget: int, args: argparse.Namespace) -> dict[str, Any]:
    """Nodes in their namespaces for a while; what they fused and sent."""
    processes = []
    for i, name in enumerate(NAMES):
        others = [f"{args.protocol}/10.77.0.{j + 1}:7447" for j in range(i)]
        content = {
            "name": name,
            "platform_id": i + 1,
            "fleet": "radio",
            "source": {"kind": "recording", "path": str(recording), "interval": INTERVAL},
            "perceiver": {"kind": "ground_truth", "seed": i, "categories": list(CATEGORIES)},
            "transport": {"listen": [f"{args.protocol}/10.77.0.{i + 1}:7447"], "connect": others},
            "allow_clear": True,
            "sinks": ["scene", {"kind": "file", "path": str(folder / f"{name}.jsonl")}],
            "options": {
                "max_wait": 0.45,
                "heartbeat_interval": 1.0,
                "budget": {"min_bytes": min_budget, "max_bytes": budget},
            },
            "status_file": str(folder / f"{name}.json"),
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        command = [
            "ip",
            "netns",
            "exec",
            f"sw{i + 1}",
            sys.executable,
            "-m",
            "skyweave",
            "node",
            f"{folder}/{name}.yaml",
        ]
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
    try:
        wait_for_all(folder)
        first, start = [counted_by_nodes(folder, name) for name in NAMES], [kernel(i + 1) for i in range(len(NAMES))]
        began = time.time()
        cut = cut_link(args.cut) if args.cut else None
        time.sleep(max(args.seconds - args.cut, 0))
        last, stop = [counted_by_nodes(folder, name) for name in NAMES], [kernel(i + 1) for i in range(len(NAMES))]
        ended = time.time()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    fan = len(NAMES) - 1
    counted = sum(b - a for a, b in zip(start, stop, strict=True))
    messages = sum(b["messages"] - a["messages"] for a, b in zip(first, last, strict=True))
    size = sum(b["bytes"] - a["bytes"] for a, b in zip(first, last, strict=True))
    estimate = fan * (size + messages * (OVERHEAD_BYTES + ACKNOWLEDGEMENT_BYTES))
    return {
        "seconds": round(ended - began, 1),
        **scores(recording, folder, budget, began, ended),
        **({} if cut is None else around(folder, *cut)),
        "kernel: kbit/s sent by all": round(counted * 8 / (ended - began) / 1000, 1),
        "nodes: payload and envelopes, kbit/s": round(fan * size * 8 / (ended - began) / 1000, 1),
        "nodes: with lower layers, kbit/s": round(estimate * 8 / (ended - began) / 1000, 1),
        "nodes / kernel": round(estimate / counted, 3),
        "budget at the end": [status(folder, name)["budget"] for name in NAMES],
    }


def scores(recording: Path, folder: Path, budget: int, began: float, ended: float) -> dict[str, float]:
    """Mean average precision of the scenes, of the same frames offline, and of each platform alone."""
    scene = load_recording(str(recording)).scenes[0]
    perceivers = {name: GroundTruthPerceiver(CATEGORIES, seed=i, interval=INTERVAL) for i, name in enumerate(NAMES)}
    saved = [content for name in NAMES for content in read_saved_scenes(folder / f"{name}.jsonl", began + 1, ended - 1)]
    score = score_fleet(scene, saved, perceivers, INTERVAL, budget, 1188)
    return {
        "scenes": score.scenes,
        "scenes expected": int(len(NAMES) * (ended - began - 2) / INTERVAL),
        "mAP live": round(score.live, 4),
        "mAP offline": round(score.offline, 4),
        "mAP ego only": round(score.ego_only, 4),
        "complete frames of peers a scene": round(score.complete_peers, 3),
        "latency p50 (s)": round(score.latency(0.5), 3),
        "latency p99 (s)": round(score.latency(0.99), 3),
    }


def cut_link(seconds: float) -> tuple[float, float]:
    """Cut the second node off for a while; when that was."""
    time.sleep(3)
    link = ["ip", "-n", "sw2", "link", "set", "eth0"]
    begin = time.time()
    subprocess.run([*link, "down"], check=True)
    time.sleep(seconds)
    subprocess.run([*link, "up"], check=True)
    return begin, time.time()


def around(folder: Path, begin: float, end: float) -> dict[str, float]:
    """What the cut did: to the others' scenes while it lasted, and how long all took to be together again."""
    gaps, missing, back = [0.0], 0, []
    for name in NAMES:
        scenes = read_saved_scenes(folder / f"{name}.jsonl")
        during = [scene for scene in scenes if begin - 2 < scene["time"] < end + 5]
        ready = [scene["time"] + scene["latency"] for scene in during]
        gaps += [b - a for a, b in pairwise(ready)]
        missing += sum(round((b["time"] - a["time"]) / INTERVAL) - 1 for a, b in pairwise(during))
        lost = [other for other in NAMES if other != name and "UAV_2" in (name, other)]
        later = [scene for scene in scenes if scene["time"] > end]
        complete = [
            scene
            for scene in later
            if all(abs(scene["peer_frames"].get(peer, {}).get("time_offset", 9)) < 0.1 for peer in lost)
        ]
        back.append(complete[0]["time"] + complete[0]["latency"] - end if complete else float("inf"))
    return {
        "cut: longest gap between two scenes of one node (s)": round(max(gaps), 3),
        "cut: scenes missing": missing,
        "cut: all together again after (s)": round(max(back), 3),
    }


def wait_for_all(folder: Path) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            if all(sum(p["alive"] for p in status(folder, name)["peers"].values()) == 3 for name in NAMES):
                time.sleep(5)
                return
        except (OSError, ValueError):
            pass
        if time.monotonic() > end:
            raise TimeoutError("the nodes do not receive each other")
        time.sleep(0.2)


def status(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return content


def counted_by_nodes(folder: Path, name: str) -> dict[str, int]:
    """Frames and heartbeats that a node counts as sent; results have no listener here and do not travel."""
    sent = status(folder, name)
    kinds = ("frame", "alive")
    return {
        "bytes": sum(sent["bytes_sent"].get(kind, 0) for kind in kinds),
        "messages": sum(sent["messages_sent"].get(kind, 0) for kind in kinds),
    }


def kernel(i: int) -> int:
    """Bytes that a namespace's interface has sent."""
    command = ["ip", "-n", f"sw{i}", "-s", "-j", "link", "show", "eth0"]
    links = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return int(links[0]["stats64"]["tx"]["bytes"])


if __name__ == "__main__":
    main()

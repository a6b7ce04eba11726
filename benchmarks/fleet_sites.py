"""Two sites over two routers in network namespaces: the link between them is cut and heals, and a platform roams.

    OMP_NUM_THREADS=1 python benchmarks/fleet_sites.py --json sites.json      # as root

UAV_1 and UAV_2 are at the north router, UAV_3 at the south one, UAV_4 is on the way: it has a link to each site and is
told both addresses. All look at one crossing, with keys, over TLS, as clients of a router, with map tiles. First the
link between the sites is cut, and heals; then UAV_4 loses its northern link and goes on in the south. Every node writes
its scenes to a file. Counted are, by phase, the scenes that miss a peer within reach, those that miss one that was cut
off, and how long after each change all is whole again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from skyweave.fleet.link.certificate_authority import create_keys

NAMES = ("UAV_1", "UAV_2", "UAV_3", "UAV_4")
SITES = {"UAV_1": "north", "UAV_2": "north", "UAV_3": "south", "UAV_4": "way"}
GATES = {"north": "10.91.1.1", "south": "10.91.2.1"}
SKYWEAVE = [sys.executable, "-m", "skyweave"]
INTERVAL_S = 1.0
PREFIX = "sky91"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def namespaces() -> Iterator[None]:
    """Make three namespaces: north and south, joined by a link, and way, which has a link to each of them."""
    for name in ("north", "south", "way"):
        ip("netns", "add", PREFIX + name)
        ip("-n", PREFIX + name, "link", "set", "lo", "up")
    try:
        join("north", "10.91.0.1/24", "south", "10.91.0.2/24", "between")
        join("north", "10.91.1.1/24", "way", "10.91.1.2/24", "n")
        join("south", "10.91.2.1/24", "way", "10.91.2.2/24", "s")
        yield
    finally:
        for name in ("north", "south", "way"):
            ip("netns", "del", PREFIX + name)


def join(one: str, one_address: str, other: str, other_address: str, name: str) -> None:
    ends = [(one, one_address, f"{name}0"), (other, other_address, f"{name}1")]
    first, second = (end for _, _, end in ends)
    ip("link", "add", first, "netns", PREFIX + one, "type", "veth", "peer", "name", second, "netns", PREFIX + other)
    for site, address, end in ends:
        ip("-n", PREFIX + site, "address", "add", address, "dev", end)
        ip("-n", PREFIX + site, "link", "set", end, "up")


def switch(site: str, device: str, state: str) -> None:
    """Pull a cable, or plug it in again: ``down`` or ``up``. Who is at the other end is not told."""
    ip("-n", PREFIX + site, "link", "set", device, state)


def start(site: str, arguments: list[str], log: Path) -> "subprocess.Popen[bytes]":
    command = ["ip", "netns", "exec", PREFIX + site, *SKYWEAVE, *arguments]
    return subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT)


def start_all(folder: Path, stack: ExitStack) -> None:
    create_keys(folder / "keys", list(NAMES), relays=["north", "south"])
    world = Path(__file__).parents[1] / "configs" / "world" / "hidden.yaml"
    small = ["--scenes", "1", "--frames", "4", "--set", "traffic.cars=8", "--set", "scenery.trees=4"]
    subprocess.run([*SKYWEAVE, "simulate", world, "-o", folder / "recording", *small], check=True)
    for site, address in GATES.items():
        others = ["--connect", "tls/10.91.0.1:7447"] if site == "south" else []
        listen = [f"tls/{address}:7447", *(["tls/10.91.0.1:7447"] if site == "north" else [])]
        arguments = ["fleet", "router", "--fleet", "sites", "--name", site, "--keys", str(folder / "keys"), *others]
        arguments += [word for endpoint in listen for word in ("--listen", endpoint)]
        stack.callback(end, start(site, arguments, folder / f"{site}.log"))
    for name in NAMES:
        gates = list(GATES.values()) if SITES[name] == "way" else [GATES[SITES[name]]]
        node = {
            "name": name,
            "fleet": "sites",
            "source": {
                "kind": "recording",
                "path": str(folder / "recording"),
                "interval": INTERVAL_S,
                "platform": name,
            },
            "perceiver": {"kind": "ground_truth"},
            "transport": {"mode": "client", "listen": [], "connect": [f"tls/{gate}:7447" for gate in gates]},
            "options": {"tiles": [2048, 128], "max_wait": 0.6},
            "keys": str(folder / "keys"),
            "status_file": str(folder / f"{name}.log"),
            "sinks": ["scene", {"kind": "file", "path": str(folder / f"{name}.jsonl")}],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(node))
        stack.callback(end, start(SITES[name], ["node", str(folder / f"{name}.yaml")], folder / f"{name}.log"))


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def scenes(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def wait_until_whole(folder: Path, since: float, seconds: float = 150.0) -> float:
    """Return the seconds until the latest scene of every node has all three others."""
    while time.time() < since + seconds:
        latest = [(scenes(folder, name) or [{"peer_frames": {}, "time": 0.0}])[-1] for name in NAMES]
        if all(len(scene["peer_frames"]) == len(NAMES) - 1 and scene["time"] > since for scene in latest):
            return time.time() - since
        time.sleep(0.1)
    raise TimeoutError(f"not whole {seconds:.0f} s after: {[sorted(scene['peer_frames']) for scene in latest]}")


def phase(folder: Path, name: str, begin: float, finish: float, apart: dict[str, set[str]]) -> dict[str, Any]:
    """Count the scenes in a time, and those that miss a peer which was within reach, or one that was not."""
    near = far = count = 0
    longest, last = 0.0, None
    for node in NAMES:
        last = None
        for scene in scenes(folder, node):
            if not begin <= scene["time"] < finish:
                continue
            missing = set(NAMES) - {node} - set(scene["peer_frames"])
            count, near, far = count + 1, near + bool(missing - apart[node]), far + bool(missing & apart[node])
            longest = max(longest, 0.0 if last is None else scene["time"] - last)
            last = scene["time"]
    return {
        "phase": name,
        "seconds": round(finish - begin, 1),
        "scenes": count,
        "expected": round(len(NAMES) * (finish - begin) / INTERVAL_S),
        "without a peer that was within reach": near,
        "without one that was cut off": far,
        "longest gap of a node (s)": round(longest, 2),
    }


def measure(folder: Path, seconds: float) -> list[dict[str, Any]]:
    nobody: dict[str, set[str]] = {name: set() for name in NAMES}
    north = {"UAV_1", "UAV_2", "UAV_4"}
    split = {name: set(NAMES) - north if name in north else north for name in NAMES}
    wait_until_whole(folder, time.time())
    rows, settled = [], time.time()
    time.sleep(seconds)
    cut_at = time.time()
    switch("north", "between0", "down")
    time.sleep(seconds)
    healed_at = time.time()
    switch("north", "between0", "up")
    healed = wait_until_whole(folder, healed_at)
    whole_at = time.time()
    time.sleep(seconds)
    roams_at = time.time()
    switch("north", "n0", "down")
    time.sleep(4.0)  # the cut link is noticed after the lease of a session
    roamed = wait_until_whole(folder, roams_at)
    roamed_at = time.time()
    time.sleep(seconds)
    rows.append(phase(folder, "whole", settled, cut_at - 1, nobody))
    rows.append(phase(folder, "cut", cut_at + 1, healed_at, split))
    rows.append({"phase": "healed, until all is whole (s)", "seconds": round(healed, 1)})
    rows.append(phase(folder, "whole again", whole_at, roams_at - 1, nobody))
    moving = {name: {"UAV_4"} if name != "UAV_4" else set(NAMES) for name in NAMES}
    rows.append(phase(folder, "UAV_4 roams", roams_at, roamed_at, moving))
    rows.append({"phase": "roamed, until all is whole (s)", "seconds": round(roamed, 1)})
    rows.append(phase(folder, "whole after it", roamed_at, roamed_at + seconds - 1, nobody))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, namespaces(), ExitStack() as stack:
        try:
            start_all(Path(name), stack)
            rows = measure(Path(name), args.seconds)
        except BaseException:
            for log in sorted(Path(name).glob("*.log")):
                print(log.name, log.read_text()[-1500:])
            raise
    for row in rows:
        print(json.dumps(row))
    if args.json:
        args.json.write_text(json.dumps({"phases": rows, "load": os.getloadavg()[0]}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""SIGKILL at random instants: of nodes, of the processes they are forked from, of the supervisor, of a recorder.

    OMP_NUM_THREADS=1 python benchmarks/chaos_kill.py --kills 500 --runs kills.json --json results/fleet/kills.json

Several runs (`--seed`) may be added up: each appends what it saw to the file of `--runs`, and `--json` makes a table of
all that are in it. A fleet of three runs over Zenoh on this machine. After each kill: how long until every platform
publishes again; of the supervisor's, how long until no process of it is left and its ports are free (then it is started
again); of the recorder's, how much of the end is missing from what can be read.
"""

import argparse
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml
from result_file import append_report, write_result

from skyweave.fleet import FleetClient
from skyweave.fleet.sinks.mcap_reading import read_recorded_messages
from skyweave.fleet.supervisor.state import fleet_state

NAMES = ("UAV_1", "UAV_2", "UAV_3")
SKYWEAVE = [sys.executable, "-m", "skyweave"]
PATIENCE_S = 60.0
PERIOD_S = 0.5  # of frames: kills come at any instant of it
BACK_S = 3.0  # after which a fleet should be whole again
PROBE_S = 0.01


class StallProbe:
    """Measures for how long the machine runs nothing at this priority: what it does not run cannot be back."""

    def __init__(self) -> None:
        self._longest = 0.0
        threading.Thread(target=self._sleep, daemon=True).start()

    def take(self) -> float:
        """Return the longest stall since the last call, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def _sleep(self) -> None:
        while True:
            before = time.monotonic()
            time.sleep(PROBE_S)
            self._longest = max(self._longest, time.monotonic() - before - PROBE_S)


class Fleet:
    """A fleet that runs, and what it publishes."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.file = folder, port, folder / "fleet.yaml"
        world = Path(__file__).parents[1] / "configs" / "world" / "hidden.yaml"
        small = ["--scenes", "1", "--frames", "4", "--set", "traffic.cars=8", "--set", "scenery.trees=4"]
        subprocess.run([*SKYWEAVE, "simulate", world, "-o", folder / "recording", *small], check=True)
        node = {
            "source": {"kind": "recording", "path": str(folder / "recording"), "interval": PERIOD_S},
            "perceiver": {"kind": "ground_truth"},
            "sinks": ["scene"],
        }
        state = str(folder / "state")
        content = {"name": "kills", "platforms": list(NAMES), "port": port, "state": state, "node": node}
        self.file.write_text(yaml.safe_dump(content))
        self.up()
        self.processor_seconds: list[float] = []  # of nodes that were killed, until they publish again
        self.last_scene = dict.fromkeys(NAMES, 0.0)  # monotonic seconds
        self.client = FleetClient("kills", [f"tcp/127.0.0.1:{port + number}" for number in range(len(NAMES))])
        threading.Thread(target=self._listen, daemon=True).start()

    def up(self) -> None:
        subprocess.run([*SKYWEAVE, "fleet", "up", self.file, "--detach"], check=True, stdout=subprocess.DEVNULL)

    def state(self) -> dict[str, Any]:
        return fleet_state(self.folder / "state")

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all processes of its session: those whose parent was killed, too."""
        supervisor = psutil.Process(self.state()["supervisor"])
        session = os.getsid(supervisor.pid)
        others = [process for process in psutil.process_iter() if process.pid != supervisor.pid]
        return [supervisor, *(process for process in others if session_of(process.pid) == session)]

    def wait_for_scenes(self, since: float) -> float:
        """Return the seconds until every platform has published a scene after a time."""
        wait_until(lambda: min(self.last_scene.values()) > since, "every platform publishes")
        return max(self.last_scene.values()) - since

    def _listen(self) -> None:
        for scene in self.client.scenes():
            self.last_scene[scene["platform"]] = time.monotonic()


def wait_until(condition: Callable[[], bool], message: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {PATIENCE_S:.0f} s: {message}")
        time.sleep(0.01)


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def kill_node(fleet: Fleet, generator: random.Random) -> float:
    name = generator.choice(NAMES)
    pid = fleet.state()["nodes"][name]["pid"]
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    seconds = fleet.wait_for_scenes(killed)
    wait_until(lambda: fleet.state()["nodes"][name]["pid"] not in (pid, None), "the state names the new process")
    used = psutil.Process(fleet.state()["nodes"][name]["pid"]).cpu_times()
    fleet.processor_seconds.append(used.user + used.system)
    return seconds


def kill_fork_server(fleet: Fleet, generator: random.Random) -> float:
    nodes = {node["pid"] for node in fleet.state()["nodes"].values()}
    others = [process for process in fleet.processes()[1:] if process.pid not in nodes and not is_gone(process)]
    server = generator.choice([process for process in others if "forkserver" in str(process.cmdline())])
    killed = time.monotonic()
    server.kill()
    time.sleep(1.0)  # nodes are to go on, and are not to be started again a little later
    fleet.wait_for_scenes(killed)
    seconds = fleet.wait_for_scenes(time.monotonic())
    if nodes != {node["pid"] for node in fleet.state()["nodes"].values()}:
        raise AssertionError("nodes were started again")
    return seconds


def kill_supervisor(fleet: Fleet, generator: random.Random) -> float:
    processes = fleet.processes()
    killed = time.monotonic()
    processes[0].kill()
    wait_until(lambda: all(map(is_gone, processes)), "no process is left")
    wait_until(lambda: all(is_free(fleet.port + number) for number in range(len(NAMES))), "the ports are free")
    seconds = time.monotonic() - killed
    fleet.up()
    fleet.wait_for_scenes(time.monotonic())
    return seconds


def kill_recorder(fleet: Fleet, generator: random.Random) -> float:
    file = fleet.folder / "flight.mcap"
    with subprocess.Popen([*SKYWEAVE, "fleet", "record", fleet.file, "-o", file]) as process:
        partial = file.with_name("flight.partial.mcap")
        wait_until(lambda: partial.exists() and partial.stat().st_size > 20_000, "it records")
        time.sleep(generator.uniform(0, 2))
        killed = time.time()
        process.kill()
    times = [message.time for message in read_recorded_messages(partial)]
    partial.unlink()
    return killed - max(times) / 1e9


KILLS = {"node": kill_node, "fork server": kill_fork_server, "supervisor": kill_supervisor, "recorder": kill_recorder}
BACK = "until all three platforms publish again"
MEASURED = {
    "node": BACK, "fork server": BACK, "supervisor": "until no process and no port of it is left",
    "recorder": "missing from the end of what is readable",
}  # fmt: skip
NOTE = "Three nodes, 2 frames a second; a fork server is a process that nodes are forked from."
SHARES = (12, 2, 2, 1)  # of all kills


def measure(kills: int, port: int, seed: int, seconds_left: float, only: list[str] | None) -> list[dict[str, Any]]:
    names, shares = zip(*((n, s) for n, s in zip(KILLS, SHARES, strict=True) if n in (only or KILLS)), strict=True)
    generator, end = random.Random(seed), time.monotonic() + seconds_left
    seconds: dict[str, list[float]] = {name: [] for name in KILLS}
    stalls: dict[str, list[float]] = {name: [] for name in KILLS}
    probe = StallProbe()
    faults: dict[str, list[str]] = {name: [] for name in KILLS}
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder), port)
        try:
            fleet.wait_for_scenes(time.monotonic())
            for number in range(kills):
                if time.monotonic() > end:
                    break
                name = generator.choices(names, shares)[0] if number >= len(names) else names[number]
                time.sleep(generator.uniform(0, PERIOD_S))
                probe.take()
                try:
                    seconds[name].append(KILLS[name](fleet, generator))
                    stalls[name].append(probe.take())
                except Exception as error:
                    faults[name].append(f"kill {number}: {type(error).__name__}: {error}")
        finally:
            fleet.client.close()
            subprocess.run([*SKYWEAVE, "fleet", "down", fleet.file], check=False)
    rows: list[dict[str, Any]] = [
        {"killed": name, "seconds": times, "stalls": stalls[name], "faults": faults[name]}
        for name, times in seconds.items()
    ]
    return [{**row, "processor_seconds": fleet.processor_seconds} if row["killed"] == "node" else row for row in rows]


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what all runs saw together, a row for each kind of kill."""
    rows = []
    for name, measured in MEASURED.items():
        of_kind = [row for run in runs for row in run["kills"] if row["killed"] == name]
        times = [seconds for row in of_kind for seconds in row["seconds"]]
        stalls = [seconds for row in of_kind for seconds in row["stalls"]]
        if times:
            rows.append({
                "killed": name, "times": len(times), "failed": sum(len(row["faults"]) for row in of_kind),
                "measured (s)": measured, "median": f"{statistics.median(times):.2f}", "longest": f"{max(times):.2f}",
                f"above {BACK_S:.0f} s": sum(seconds > BACK_S for seconds in times),
                "longest stall of the machine (s)": f"{max(stalls):.2f}",
            })  # fmt: skip
    used = [seconds for run in runs for row in run["kills"] for seconds in row.get("processor_seconds", [])]
    if used:
        cells = ["", len(used), "", "processor time of the new process until then"]
        cells += [f"{statistics.median(used):.2f}", f"{max(used):.2f}", "", ""]
        rows.insert(1, dict(zip(rows[0], cells, strict=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--port", type=int, default=18450)
    parser.add_argument("--only", choices=KILLS, action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which it ends, whatever is left")
    parser.add_argument("--runs", type=Path, help="file to which what was seen is appended")
    parser.add_argument("--json", type=Path, help="file for a table of all runs in it")
    args = parser.parse_args()
    rows = measure(args.kills, args.port, args.seed, args.seconds, args.only)
    runs = append_report(args.runs, {"kills": rows}) if args.runs else [{"kills": rows}]
    if args.json:
        write_result(args.json, "SIGKILL at random instants", table(runs), NOTE)
    rows = [row for row in rows if row["seconds"] or row["faults"]]
    for row in rows:
        times = row["seconds"] or [float("nan")]
        print(
            f"{row['killed']}: {len(row['seconds'])} times; seconds: median {statistics.median(times):.2f}, most "
            f"{max(times):.2f}; longest stall of the machine {max(row['stalls'], default=0.0):.2f}; "
            f"failed: {len(row['faults'])} {row['faults'][:3]}; slow: "
            f"{[(round(t, 1), round(s, 1)) for t, s in zip(times, row['stalls'], strict=False) if t > BACK_S]}"
        )
    for used in filter(None, (row.get("processor_seconds") for row in rows)):
        print(f"processor time of a node until then: median {statistics.median(used):.2f} s, most {max(used):.2f} s")
    sys.exit(any(row["faults"] for row in rows))


if __name__ == "__main__":
    main()

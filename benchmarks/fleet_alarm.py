"""How soon the page's alarm says that a node is lost: three processes over Zenoh, and the page in a real browser.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 40
    OMP_NUM_THREADS=1 python benchmarks/fleet_alarm.py recordings/hidden --json results/fleet/alarm.json

For each way of losing a node (killed, ended, frozen): seconds from the signal until the alarm stands on the page in
Chromium, and from the node's return until the notice does. The bar is 2 s for the alarm.
"""

import argparse
import asyncio
import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from result_file import write_result

from skyweave.fleet.config import FleetConfig
from skyweave.fleet.dashboard.page_server import serve_in_background
from skyweave.fleet.dashboard.state import watch_fleet
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport
from skyweave.fleet.supervisor.state import fleet_state
from skyweave.fleet.supervisor.supervisor import Supervisor

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

Browser: Any = importlib.import_module("headless").Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOOK_S = 0.03  # between two looks at the page
NAMES = ["UAV_1", "UAV_2", "UAV_3"]
FROZEN_S = 4.0
TIMEOUT_S = 180.0
BAR_S = 2.0
NOTE = "Three processes over TCP, {:g} s between scenes; the page in headless Chromium on the same machine."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--port", type=int, default=18450)
    parser.add_argument("--interval", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args()
    node: dict[str, Any] = {
        "source": {"kind": "recording", "path": str(Path(args.recording).resolve()), "interval": args.interval},
        "perceiver": {"kind": "ground_truth"},
        "sinks": ["scene"],
        "options": {"max_wait": 0.6 * args.interval},
    }
    with tempfile.TemporaryDirectory() as state:
        supervisor = Supervisor(FleetConfig("alarm", NAMES, node, {}, args.port, state))
        stop = threading.Event()
        thread = threading.Thread(target=supervisor.run, args=(stop,))
        thread.start()
        try:
            rows = measure(state, args.port, args.rounds)
        finally:
            stop.set()
            thread.join()
    print("| fault | alarm after (s) | back after (s) |")
    print("| --- | --- | --- |")
    for fault, alarm, back in rows:
        print(f"| {fault} | {alarm:.2f} | {back:.2f} |")
    worst = max(alarm for _, alarm, _ in rows)
    kept = "kept" if worst <= BAR_S else "not kept"
    print(f"\nlargest {worst:.2f} s: the bar of {BAR_S:g} s is {kept}; load {os.getloadavg()[0]:.1f}")
    if args.json:
        cells = [
            {"how a node is lost": fault, "alarm after (s)": f"{alarm:.2f}", "back after (s)": f"{back:.2f}"}
            for fault, alarm, back in rows
        ]
        write_result(args.json, "The alarm of a lost node, in a browser", cells, NOTE.format(args.interval))


def measure(state: str, port: int, rounds: int) -> list[tuple[str, float, float]]:
    """Lose nodes and return (fault, seconds to the alarm, seconds to the notice that it is back)."""
    endpoints = [f"tcp/127.0.0.1:{port + number}" for number in range(len(NAMES))]
    transport = ZenohTransport(ZenohConfig(connect=endpoints))
    shown, close = watch_fleet("alarm", transport)
    rows = []
    with serve_in_background(shown) as address:
        page = ShownPage(address, Path(state) / "browser")
        page.wait(lambda: {event["platform"] for event in page.events if event["kind"] == "joined"} >= set(NAMES))
        time.sleep(5)  # so that usual gaps are known
        for _ in range(rounds):
            for fault, number, who in (
                ("kill -9", signal.SIGKILL, "UAV_2"),
                ("ended", signal.SIGTERM, "UAV_3"),
                (f"frozen for {FROZEN_S:g} s", signal.SIGSTOP, "UAV_1"),
            ):
                rows.append((fault, *lose(page, state, who, number)))
                time.sleep(3)
    close()
    transport.close()
    return rows


def lose(page: "ShownPage", state: str, who: str, number: signal.Signals) -> tuple[float, float]:
    """Send a node a signal; return seconds until the page has the alarm, and from its return until it is back."""
    process = fleet_state(state)["nodes"][who]["pid"]
    lost, back = (page.count(kind, who) for kind in ("lost", "back"))
    began = time.monotonic()
    os.kill(process, number)
    page.wait(lambda: page.count("lost", who) > lost and f"{who} is lost" in page.alarm)
    alarm = time.monotonic() - began
    if number == signal.SIGSTOP:
        time.sleep(max(FROZEN_S - alarm, 0))
        os.kill(process, signal.SIGCONT)
    resumed = time.monotonic()
    page.wait(lambda: page.count("back", who) > back)
    return alarm, time.monotonic() - resumed


class ShownPage:
    """The page in Chromium without a screen: what stands on it.

    Args:
        address: of the page.
        folder: for the browser's profile.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.alarm = ""
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
        threading.Thread(target=lambda: asyncio.run(self._watch(program, address, folder)), daemon=True).start()

    def count(self, kind: str, who: str) -> int:
        """Return how many events of a kind there were about a node."""
        return sum(event["kind"] == kind and event["platform"] == who for event in list(self.events))

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until something is so."""
        end = time.monotonic() + TIMEOUT_S
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("the page does not show it")
            time.sleep(0.01)

    async def _watch(self, program: str, address: str, folder: Path) -> None:
        shown = "({events: state?.events ?? [], alarm: $('alarm').hidden ? '' : $('alarm-text').textContent})"
        async with Browser(program, folder) as browser:
            await browser.open(address)
            while True:
                with contextlib.suppress(AssertionError):  # of a page that is loading
                    now = await browser.run(shown)
                    self.events, self.alarm = now["events"], now["alarm"]
                await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    main()

"""The processes of the demo's fleet, and its live page, with limits to every wait."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyweave.core.errors import DataError, FleetError
from skyweave.demo.ports import is_free
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.dashboard.page_server import serve_in_background
from skyweave.fleet.dashboard.state import DashboardState, watch_fleet
from skyweave.fleet.sinks.subscriber import open_subscriber_session
from skyweave.fleet.supervisor.supervisor import Supervisor

NAME = "demo"
PAGE_PORT = 8470
START_TIMEOUT_S = 90.0  # seconds for the nodes to come together
MAX_RESTARTS = 3  # times that a node may end before that is an error


@dataclass
class RunningFleet:
    """A fleet that runs.

    Attributes:
        config: of it. supervisor: that keeps it. state: of the live page. address: of that.
        starting: seconds until all heard all, or that was waited for.
    """

    config: FleetConfig
    supervisor: Supervisor
    state: DashboardState
    address: str
    starting: float = 0.0

    def watch(self, seconds: float) -> None:
        """Let the fleet run.

        Args:
            seconds: for which.

        Raises:
            DataError: a node does not stay up.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check()
            time.sleep(0.1)

    def come_together(self, within: float) -> None:
        """Wait until each platform has fused messages of all others.

        A machine that is too busy for that may go on after half the time, with whatever its nodes receive.

        Args:
            within: seconds.

        Raises:
            TimeoutError: a platform publishes no fused scene at all.
        """
        began, names = time.monotonic(), self.config.platforms
        silent, waiting = set(names), set(names)
        while waiting:
            self._check()
            scenes = json.loads(self.state.to_json())["platforms"]
            silent -= set(scenes)
            waiting -= {name for name, scene in scenes.items() if len(scene["peer_frames"]) == len(names) - 1}
            passed = time.monotonic() - began
            if passed > within / 2 and not silent:
                break
            self._check_time(passed, within, silent)
            time.sleep(0.1)
        self.starting = time.monotonic() - began

    def _check_time(self, passed: float, within: float, silent: set[str]) -> None:
        """Check that the time is not over."""
        if passed > within:
            missing = ", ".join(sorted(silent))
            raise TimeoutError(f"no fused scene of {missing} in {within:.0f} s. {self._last_words(*sorted(silent))}")

    def status(self, name: str) -> dict[str, Any]:
        """Return what a node says of itself.

        Args:
            name: of the platform.
        """
        content: dict[str, Any] = json.loads((Path(self.config.state) / f"{name}.status.json").read_text("utf-8"))
        return content

    def _check(self) -> None:
        for process in self.supervisor.processes:
            if len(process.exit_codes) >= MAX_RESTARTS:
                raise DataError(f"{process.name} does not stay up. {self._last_words(process.name)}")

    def _last_words(self, *names: str) -> str:
        words = []
        for name in names or self.config.platforms:
            words.append(f"{name} said last: {_last_line(Path(self.config.state) / f'{name}.log')}")
        return "; ".join(words)


def _last_line(log: Path) -> str:
    """Return the last line of a log, ``nothing`` where there is none."""
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "nothing"


@contextmanager
def run_fleet(config: FleetConfig, port: int | None = None, within: float = START_TIMEOUT_S) -> Iterator[RunningFleet]:
    """Run a fleet with its page, for as long as the context lasts.

    Args:
        config: of the fleet.
        port: of the page; None: the usual one, or any that is free.
        within: seconds in which all must have heard all.

    Raises:
        DataError: a node does not stay up, or the page's port is taken.
        TimeoutError: they do not come together.
    """
    supervisor, stop = Supervisor(config), threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,), name="supervisor", daemon=True)
    thread.start()
    try:
        endpoints = [f"tcp/127.0.0.1:{config.port + i}" for i in range(len(config.platforms))]
        state, close = watch_fleet(config.name, open_subscriber_session(config.name, endpoints, None, NAME))
        try:
            with contextlib.ExitStack() as stack:
                fleet = RunningFleet(config, supervisor, state, _serve_page(stack, state, port))
                fleet.come_together(within)
                yield fleet
        finally:
            close()
    finally:
        stop.set()
        thread.join()


def fleet_config(
    names: tuple[str, ...], folder: Path, kind: str, weights: str, pace: float, budget: int
) -> FleetConfig:
    """Return nodes that play ``folder/recording`` and save their fused scenes there, on ports that are free.

    Args:
        names: of the platforms.
        folder: with the recording.
        kind: of the perceiver.
        weights: of the model.
        pace: seconds between frames.
        budget: bytes a frame.
    """
    source = {"kind": "recording", "path": str(folder / "recording"), "interval": pace}
    options = {
        "max_wait": 0.9 * pace,
        "max_time_offset": 1.5 * pace,
        "budget": {"min_bytes": budget, "max_bytes": budget},
        "limits": {"max_age": max(2.0, 2 * pace)},
    }
    node = {"source": source, "perceiver": {"kind": kind, "weights": weights}, "options": options, "metrics": None}
    sinks = {
        name: {"sinks": ["scene", "cameras", {"kind": "file", "path": str(folder / f"{name}.jsonl")}]} for name in names
    }
    return FleetConfig(NAME, list(names), node, sinks, _free_ports(len(names)), str(folder / "state"))


def _serve_page(stack: contextlib.ExitStack, state: DashboardState, port: int | None) -> str:
    """Serve the page on a port (None: the usual one, or any that is free) until the stack closes; its address."""
    if port is None:
        try:
            return stack.enter_context(serve_in_background(state, PAGE_PORT))
        except FleetError:  # it is taken
            port = 0
    return stack.enter_context(serve_in_background(state, port))


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that are free."""
    for first in range(7450, 60_000, 16):
        if all(map(is_free, range(first, first + count))):
            return first
    raise DataError(f"there are no {count} free ports in a row on this machine")

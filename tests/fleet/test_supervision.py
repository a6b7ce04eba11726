"""Supervision under faults: full disks, frozen and stuck processes, failing sinks, a supervisor that is killed."""

import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import fabricated_fleet as fleet
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.scene_content import PublishedScene
from skyweave.fleet.supervisor import fork_server, node_process, process
from skyweave.fleet.supervisor.runtime import run_node
from skyweave.fleet.supervisor.state import fleet_state
from skyweave.fleet.supervisor.supervisor import Supervisor
from skyweave.fleet.supervisor.watchdog import STUCK_EXIT_CODE, Watchdog, WatchedStop
from skyweave.recordings.recording import Frame
from small_disk import failing_disk, fill, mounted_disk
from waiting import until

FORK = multiprocessing.get_context("fork")


def give_signs(writer: Connection, silent_after: float, log: str, on_start: Callable[[str], None]) -> None:
    """A node that does nothing but give signs of life, until it has none left."""
    on_start(log)
    end = time.monotonic() + silent_after
    while True:
        if time.monotonic() < end:
            os.write(writer.fileno(), b".")
        time.sleep(0.02)


def start_stand_in(
    silent_after: float = 1e9, on_start: Callable[[str], None] = lambda log: None
) -> Callable[[str, dict[str, Any], Path], tuple[BaseProcess, Connection]]:
    def start(name: str, content: dict[str, Any], log: Path) -> tuple[BaseProcess, Connection]:
        signs, writer = FORK.Pipe(duplex=False)
        os.set_blocking(signs.fileno(), False)
        process = FORK.Process(target=give_signs, args=(writer, silent_after, str(log), on_start), daemon=True)
        process.start()
        writer.close()
        return process, signs

    return start


def fleet_config(state: Path) -> FleetConfig:
    node = {"source": {"path": "nothing"}, "perceiver": {"kind": "ground_truth"}}
    return FleetConfig("x", ["A", "B"], node, {}, 9000, str(state))


@pytest.fixture
def run_supervisor() -> Iterator[Callable[..., list[str]]]:
    stop, threads = threading.Event(), []

    def run(supervisor: Supervisor, on_event: Callable[[str], None] | None = None) -> list[str]:
        events: list[str] = []
        thread = threading.Thread(target=supervisor.run, args=(stop, on_event or events.append))
        thread.start()
        threads.append(thread)
        until(lambda: all(process.pid() for process in supervisor.processes), "all nodes run")
        return events

    yield run
    stop.set()
    for thread in threads:
        thread.join(20)


def test_a_full_disk_for_the_state_ends_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_supervisor: Callable[..., list[str]]
) -> None:
    monkeypatch.setattr(node_process, "start_process", start_stand_in())
    with mounted_disk(tmp_path / "disk", 200_000) as disk:
        supervisor = Supervisor(fleet_config(disk / "state"))
        log = (disk / "supervisor.log").open("w", buffering=1)
        run_supervisor(supervisor, lambda text: print(text, file=log, flush=True))
        pids = [process.pid() for process in supervisor.processes]
        until((disk / "state" / "fleet.json").exists, "the state is written")
        filler = fill(disk)
        first = pids[0]
        assert first is not None
        os.kill(first, signal.SIGKILL)  # so that there is something to write
        until(lambda: supervisor.processes[0].starts == 2 and supervisor.processes[0].pid(), "started again")
        assert supervisor.processes[1].pid() == pids[1], "the other goes on"
        filler.unlink()
        until(lambda: fleet_state(disk / "state")["nodes"]["A"]["starts"] == 2, "the state is written after all")
        log.close()


@pytest.mark.parametrize("fault", ["hang", "turn_read_only", "fail"])
def test_a_disk_that_fails_stops_neither_the_others_nor_a_new_start(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, run_supervisor: Callable[..., list[str]]
) -> None:
    """The supervisor waited for the disk of its log, and a node that was started again for its own and its YAML."""
    start = start_stand_in(on_start=process._open_log)
    monkeypatch.setattr(node_process, "start_process", start)
    with failing_disk(tmp_path / "failing") as disk, ExitStack() as until_checked:
        supervisor = Supervisor(fleet_config(disk.path / "state"))
        log = (disk.path / "supervisor.log").open("w", buffering=1)
        run_supervisor(supervisor, lambda text: print(text, file=log, flush=True))
        pids = [process.pid() for process in supervisor.processes]
        until(lambda: all(process.log.exists() for process in supervisor.processes), "the nodes have their logs")
        if fault == "hang":
            until_checked.enter_context(disk.hang())
        else:
            getattr(disk, fault)()
        os.kill(pids[0] or 0, signal.SIGKILL)
        first = supervisor.processes[0]
        until(lambda: first.starts == 2 and first._last_sign is not None, "started again, and it works")
        assert supervisor.processes[1].pid() == pids[1], "the other goes on"


def test_no_file_decides_whether_a_node_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_supervisor: Callable[..., list[str]]
) -> None:
    monkeypatch.setattr(node_process, "start_process", start_stand_in())
    monkeypatch.setattr(node_process, "SILENT_AFTER_S", 5.0)
    supervisor = Supervisor(fleet_config(tmp_path / "state"))
    status = tmp_path / "state" / "A.status.json"
    status.write_text("{}")
    os.utime(status, (0, 0))  # as if the clock had been set forward, or as if it could not be written
    events = run_supervisor(supervisor)
    time.sleep(0.8)
    assert not any("killed" in event for event in events)


def test_a_node_that_gives_no_sign_of_life_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_supervisor: Callable[..., list[str]]
) -> None:
    monkeypatch.setattr(node_process, "start_process", start_stand_in(silent_after=0.2))
    monkeypatch.setattr(node_process, "SILENT_AFTER_S", 0.3)
    supervisor = Supervisor(fleet_config(tmp_path / "state"))
    events = run_supervisor(supervisor)
    until(lambda: supervisor.processes[0].starts == 2, "started again")
    assert "A gives no sign of life: killed" in events


class DiesWhenLookedAt:
    """A process that is killed between two looks at it."""

    def __init__(self, looks: int) -> None:
        self.looks, self.pid = looks, 1
        self.exitcode: int | None = None

    def is_alive(self) -> bool:
        self.looks -= 1
        self.exitcode = -9 if self.looks < 0 else None
        return self.looks >= 0

    def close(self) -> None:
        pass


@pytest.mark.parametrize("looks", range(3))
def test_a_node_that_is_killed_at_any_instant_is_not_taken_for_one_without_its_fork_server(
    looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    node = node_process.NodeProcess("A", {}, tmp_path / "log")
    signs, writer = FORK.Pipe(duplex=False)
    os.set_blocking(signs.fileno(), False)
    monkeypatch.setattr(node_process, "start_process", lambda *_: (DiesWhenLookedAt(looks), signs))
    for _ in range(4):
        node.supervise(events.append)
    writer.close()
    assert events == ["A started as process 1", "A ended with -9; starting it again in 0.1 s"]


def test_a_node_that_keeps_ending_is_started_again_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now: list[float] = [0.0]
    starts: list[float] = []
    node = node_process.NodeProcess("A", {}, tmp_path / "log")
    monkeypatch.setattr(node_process, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def start(*_: object) -> tuple[DiesWhenLookedAt, Connection]:
        starts.append(now[0])
        return DiesWhenLookedAt(0), FORK.Pipe(duplex=False)[0]

    monkeypatch.setattr(node_process, "start_process", start)
    while now[0] < 10:
        node.supervise(lambda event: None)
        now[0] += 0.01
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert pauses[0] < 0.2 and pauses[0] < pauses[1] < pauses[2] and max(pauses) < 1.1


def test_a_node_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_supervisor: Callable[..., list[str]]
) -> None:
    attempts, start = [], start_stand_in()

    def fail_first(name: str, content: dict[str, Any], log: Path) -> tuple[BaseProcess, Connection]:
        attempts.append(name)
        if len(attempts) < 3:
            raise OSError(24, "Too many open files")
        return start(name, content, log)

    monkeypatch.setattr(node_process, "start_process", fail_first)
    events = run_supervisor(Supervisor(fleet_config(tmp_path / "state")))
    assert any("A cannot be started" in event for event in events) and len(attempts) == 4


class Failing(SinkConfig):
    """A sink whose disk is full."""

    def build(self, node: object) -> "Failing":
        return self

    def write(self, published: PublishedScene) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        raise OSError(28, "No space left on device")


class Blocked(Failing):
    """A sink whose disk has gone away."""

    def write(self, published: PublishedScene) -> None:
        threading.Event().wait(60)


class Kept(Failing):
    """A sink that works."""

    def __init__(self) -> None:
        self.sequences: list[int] = []

    def write(self, published: PublishedScene) -> None:
        self.sequences.append(published.scene.sequence)

    def close(self) -> None:
        self.sequences.append(-1)


def test_a_sink_that_fails_or_blocks_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyweave.fleet.sinks.sink_worker.CLOSE_TIMEOUT_S", 0.2)
    node = fleet.node("UAV_1", LoopbackNetwork().join(), fleet.HandClock())
    kept = Kept()
    publisher = ScenePublisher(node, [Failing(), Blocked(), kept])
    started = time.monotonic()
    for number in range(12):
        publisher.publish(node.fuse(node.observe_and_send(fleet.frame(number % 4, "UAV_1"))))
    publisher.close()
    assert time.monotonic() - started < 5
    assert len(kept.sequences) == 13 and kept.sequences[-1] == -1, "everything, and the end"
    faults = node.statistics.sink_faults
    assert faults["Failing", "failed"] == 13 and faults["Blocked", "dropped"] == 12 - 8 - 1


def test_looks_at_the_end_are_signs_of_life() -> None:
    watchdog, stop = Watchdog(1.0, 1.0), threading.Event()
    watched = WatchedStop(stop, lambda: watchdog.sign("source"))
    watched.wait(0.05)
    assert not watchdog.stuck_threads()
    time.sleep(1.1)
    assert set(watchdog.stuck_threads()) == {"source"}
    assert not watched.is_set() and not watchdog.stuck_threads()
    stop.set()
    assert watched.is_set() and watched.wait(5)
    watchdog.dismiss("source")
    time.sleep(1.1)
    assert not watchdog.stuck_threads()


STUCK = """
import os
from skyweave.fleet.supervisor.logs import set_up_logging
from skyweave.fleet.supervisor.watchdog import Watchdog, watched

def block():
    {block}

set_up_logging(True)
watchdog = Watchdog(0.5)
watchdog.begin_work()
with watched(watchdog):
    watchdog.sign("work")
    block()
"""


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("open(os.environ['PIPE']).read()", STUCK_EXIT_CODE),  # a pipe among the images
        ("import ctypes; ctypes.PyDLL(None).sleep(60)", 1),  # a library that holds the interpreter's lock
    ],
)
def test_a_call_that_blocks_for_ever_ends_the_node_and_says_where(block: str, code: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    program = STUCK.format(block=block)
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PIPE": str(tmp_path / "pipe")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert "in block" in result.stderr, "where it is stuck"
    if code == STUCK_EXIT_CODE:
        event = json.loads(result.stderr.splitlines()[0])
        assert event["event"].startswith("stuck") and "work" in event["threads"]
    assert time.monotonic() - started < 30


def test_a_source_that_blocks_is_noticed_and_one_that_waits_is_not() -> None:
    release = threading.Event()

    class Camera:
        world_frame = WorldFrame()

        def __init__(self, blocks: bool) -> None:
            self.blocks = blocks

        def frames(self, clock: object, stop: threading.Event) -> Iterator[Frame]:
            yield fleet.frame(0, "UAV_1", wall_clock())
            if self.blocks:
                release.wait(30)
            stop.wait(30)

    stop, watchdogs = threading.Event(), {blocks: Watchdog(0.8) for blocks in (True, False)}
    threads = []
    for blocks, watchdog in watchdogs.items():
        watchdog.begin_work()
        node = fleet.node("UAV_1", LoopbackNetwork().join(), wall_clock)
        arguments = (node, Camera(blocks), lambda scene: None, stop, None, watchdog)
        threads.append(threading.Thread(target=run_node, args=arguments))
        threads[-1].start()
    until(lambda: watchdogs[True].stuck_threads(), "it is noticed")
    assert set(watchdogs[True].stuck_threads()) == {"source"} and not watchdogs[False].stuck_threads()
    stop.set()
    release.set()
    for thread in threads:
        thread.join(20)


def test_a_status_that_cannot_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptors, a full disk: the thread that writes the status goes on."""
    from skyweave.fleet.sinks import node_status
    from skyweave.fleet.supervisor import process

    monkeypatch.setattr(process, "STATUS_INTERVAL_S", 0.02)
    write, attempts = node_status.write_node_status, []

    def fail_first(path: Path, node: object) -> None:
        attempts.append(path)
        if len(attempts) < 3:
            raise OSError(24, "Too many open files")
        write(path, node)  # type: ignore[arg-type]

    monkeypatch.setattr(node_status, "write_node_status", fail_first)
    node, stop = fleet.node("UAV_1", LoopbackNetwork().join(), fleet.HandClock()), threading.Event()
    file = tmp_path / "status.json"
    thread = threading.Thread(target=process._write_statuses, args=(node, str(file), stop))
    thread.start()
    until(file.exists, "the status is there")
    stop.set()
    thread.join()
    assert len(attempts) >= 3 and json.loads(file.read_text())["monotonic"] > 0


ORPHAN = """
import multiprocessing, os, sys, threading, time
from skyweave.fleet.supervisor import process

process.END_TIMEOUT_S = 0.5

def work():
    process._stop_with_parent(threading.Event())
    open(os.environ["PIPE"]).read()

child = multiprocessing.get_context("fork").Process(target=work)
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_node_that_is_stuck_ends_with_its_supervisor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    environment = {**os.environ, "PIPE": str(tmp_path / "pipe")}
    with subprocess.Popen([sys.executable, "-c", ORPHAN], env=environment, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        orphan = int(supervisor.stdout.readline())
        time.sleep(0.3)
        supervisor.kill()

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{orphan}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    until(is_gone, "the stuck node has ended")


FORK_SERVER = """
import atexit, os, sys, time
atexit.register(lambda: time.sleep(300 if os.getpid() == server else 0))  # taking the libraries apart
server = os.getpid()
import skyweave.fleet.supervisor.preload
if os.fork() == 0:
    atexit._run_exitfuncs()
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) != 7)
"""


def test_the_fork_server_ends_at_once_with_its_supervisor_and_nodes_by_themselves() -> None:
    """It took six seconds to take all libraries apart, while `fleet up` was refused."""
    assert subprocess.run([sys.executable, "-c", FORK_SERVER], timeout=120, check=False).returncode == 0


def test_a_fork_server_is_ready_however_often_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was killed soon after the server took 16 to 19 s to be back: all libraries were imported again."""
    imported = tmp_path / "imported"
    (tmp_path / "counted.py").write_text(f"open({str(imported)!r}, 'a').write('.')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(fork_server, "PRELOADED_MODULES", ["counted"])
    monkeypatch.setattr(fork_server, "SERVERS", (fork_server.ForkServer(), fork_server.ForkServer()))
    processes = []
    for _ in range(4):
        process = fork_server.process_context().Process(target=time.sleep, args=(60,), daemon=True)
        process.start()
        processes.append(process)
        fork_server.keep_ready()
        running = [server for server in fork_server.SERVERS if server.is_running()]
        assert len(running) == 2
        os.kill(psutil.Process(process.pid).ppid(), signal.SIGKILL)
        until(lambda running=running: not all(server.is_running() for server in running), "it is noticed")
    assert imported.read_text() == ".", "by the first one alone"
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)


LOGGING = """
import os, sys, threading, time
from skyweave.fleet.supervisor import process
process.MAX_LOG_BYTES = 1000
opened = threading.Event()
threading.Thread(target=process._keep_log, args=(sys.argv[1], opened, 0.01), daemon=True).start()
opened.wait()
for number in range(1000):
    os.write(2, b"%06d a line of a library that writes by itself\\n" % number)
    time.sleep(0.001)
process.MAX_LOG_BYTES = 1 << 30
while not os.path.exists(sys.argv[1]):  # it is being begun anew just now
    time.sleep(0.01)
"""


def test_a_long_log_is_begun_anew_while_the_node_goes_on(tmp_path: Path) -> None:
    """It was only when a node was started again: one that ran for months filled the disk."""
    log = tmp_path / "UAV_1.log"
    subprocess.run([sys.executable, "-c", LOGGING, str(log)], timeout=120, check=True)
    lines = (log.with_suffix(".log.1").read_text() + log.read_text()).splitlines()
    numbers = [int(line[:6]) for line in lines]
    assert numbers == list(range(numbers[0], 1000)) and numbers[0] > 0, "nothing is lost but what is oldest"
    assert len(lines) < 500 and sorted(path.name for path in tmp_path.iterdir()) == ["UAV_1.log", "UAV_1.log.1"]


IMPORTING = """
import subprocess, sys
code = "import skyweave.fleet.supervisor.parent_watch, time; print('importing', flush=True); time.sleep(300)"
subprocess.Popen([sys.executable, "-c", code]).wait()
"""


def test_a_fork_server_that_still_imports_ends_with_its_supervisor() -> None:
    """It went on for twelve seconds, until it had imported all."""
    with subprocess.Popen([sys.executable, "-c", IMPORTING], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None and supervisor.stdout.readline() == b"importing\n"
        supervisor.kill()
        assert supervisor.stdout.read() == b"", "the other end is closed when it has ended"

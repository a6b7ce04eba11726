"""Workers as processes of this machine, so that a scene that ends its process ends nothing else."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType

from skyweave.inference.archive.job import SceneJob, SceneOutcome, SceneWork, attempt_job
from skyweave.inference.archive.pools import WorkerReport

SECONDS_TO_END = 10.0
SECONDS_BETWEEN_SHARES = 1.0


@dataclass
class _Worker:
    """One process.

    Attributes:
        process: that works.
        connection: to it.
        is_busy: it has a scene.
    """

    process: SpawnProcess
    connection: Connection
    is_busy: bool = False


class ProcessPool:
    """Processes that are started anew, not forked: libraries of rasters and of tensors do not survive that.

    Args:
        work: to do.
        size: number of processes; None: one, which uses all cores.
        address: none.
        cpus: that the work itself takes account of.
        gpus: the same.
    """

    def __init__(self, work: SceneWork, size: int | None = None, address: str = "", cpus: int = 1, gpus: int = 0):
        self._work, self._size = work, size or 1
        self._workers: dict[int, _Worker] = {}
        self._context = multiprocessing.get_context("spawn")

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join(SECONDS_TO_END)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def idle(self) -> list[int]:
        """Return the workers without a scene, started or not; see `WorkerPool`."""
        return [n for n in range(self._size) if n not in self._workers or not self._workers[n].is_busy]

    def start(self, worker: int, job: SceneJob) -> None:
        """Give a worker a scene; see `WorkerPool`.

        Args:
            worker: number.
            job: of the scene.
        """
        if worker not in self._workers:
            self._workers[worker] = self._start_process()
        self._workers[worker].is_busy = True
        with contextlib.suppress(OSError):  # it has died meanwhile, which `wait` sees
            self._workers[worker].connection.send(job)

    def wait(self) -> list[tuple[int, WorkerReport]]:
        """Return what has become of scenes; see `WorkerPool`."""
        while True:
            busy = {worker.connection: number for number, worker in self._workers.items() if worker.is_busy}
            outcomes: list[tuple[int, WorkerReport]] = []
            for connection in wait(list(busy)):
                number = busy[connection]  # type: ignore[index]
                outcomes += self._receive(number)
            if outcomes:
                return outcomes

    def _receive(self, number: int) -> list[tuple[int, WorkerReport]]:
        """Return what a worker reports; nothing where it has loaded the model."""
        worker = self._workers[number]
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            del self._workers[number]
            worker.connection.close()
            worker.process.join()
            return [(number, None)]
        if isinstance(message, Exception):
            raise message
        worker.is_busy = not isinstance(message, SceneOutcome)
        return [] if message is None else [(number, message)]

    def _start_process(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._work, there), daemon=True)
        process.start()
        there.close()
        return _Worker(process, here)


def _serve(work: SceneWork, connection: Connection) -> None:
    """Load the model and work on scenes until there are no more, or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the parent ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        process = work.load()
    except Exception as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(attempt_job(process, job, _throttle(connection)))


def _throttle(connection: Connection) -> Callable[[float], None]:
    """Return what sends how far a scene is, now and then."""
    sent = time.monotonic()

    def report(share: float) -> None:
        nonlocal sent
        if time.monotonic() - sent >= SECONDS_BETWEEN_SHARES:
            sent = time.monotonic()
            connection.send(share)

    return report


def _end_with_parent() -> None:
    """End this process at once when its parent is gone: the same command, run again, must find its files unclaimed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)

"""A sink in a thread of its own: one that is slow, broken or blocked for ever costs its own output and nothing else."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

from skyweave.fleet.node.statistics import NodeStatistics
from skyweave.fleet.sinks.base import Sink
from skyweave.fleet.sinks.scene_content import PublishedScene

MAX_WAITING_SCENES = 8  # of one sink; the oldest are dropped
LOG_INTERVAL_S = 10.0  # between two lines about a sink that fails
CLOSE_TIMEOUT_S = 2.0  # for what waits to be written

log = logging.getLogger("skyweave.fleet")


class SinkWorker:
    """Writes scenes to a sink, in order, as fast as the sink takes them.

    Args:
        sink: that takes them.
        statistics: of the node; counts what is dropped and what fails.
    """

    def __init__(self, sink: Sink, statistics: NodeStatistics) -> None:
        self._sink, self._statistics = sink, statistics
        self._name = type(sink).__name__
        self._waiting: queue.Queue[tuple[PublishedScene, Callable[[], None]] | None] = queue.Queue(MAX_WAITING_SCENES)
        self._logged_at = -LOG_INTERVAL_S
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def put(self, published: PublishedScene, on_written: Callable[[], None]) -> None:
        """Take a scene, in place of the oldest that waits where there are too many; return at once.

        Args:
            published: the scene.
            on_written: called when the sink has it.
        """
        while True:
            try:
                self._waiting.put_nowait((published, on_written))
                return
            except queue.Full:
                self._drop_oldest()

    def close(self) -> None:
        """Write what waits and close the sink; give up where it is blocked."""
        end = time.monotonic() + CLOSE_TIMEOUT_S
        try:
            self._waiting.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(max(end - time.monotonic(), 0))

    def _drop_oldest(self) -> None:
        try:
            self._waiting.get_nowait()
        except queue.Empty:
            return
        self._statistics.count_sink_fault(self._name, "dropped")

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            published, on_written = item
            if self._attempt(partial(self._sink.write, published)):
                on_written()
        self._attempt(self._sink.close)

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do something with the sink; return whether it worked. Whatever it raises is logged now and then."""
        try:
            action()
        except Exception as error:
            self._statistics.count_sink_fault(self._name, "failed")
            now = time.monotonic()
            if now - self._logged_at >= LOG_INTERVAL_S:
                self._logged_at = now
                log.exception("a sink failed", extra={"data": {"sink": self._name, "error": str(error)}})
            return False
        return True

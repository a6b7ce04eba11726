"""Counts of a node: time by stage, bytes by kind, frames. `skyweave.fleet.sinks.prometheus` serves them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)


class Histogram:
    """Durations in seconds, counted by bucket.

    Attributes:
        counts: by bucket: up to each of `BUCKET_BOUNDS_S`, and beyond.
        total: seconds, of all.
        largest: seconds, of the longest.
        last: seconds, of the latest.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKET_BOUNDS_S) + 1)
        self.total = 0.0
        self.largest = 0.0
        self.last = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration.

        Args:
            seconds: its length.
        """
        bucket = next((index for index, bound in enumerate(BUCKET_BOUNDS_S) if seconds <= bound), len(BUCKET_BOUNDS_S))
        self.counts[bucket] += 1
        self.total += seconds
        self.largest = max(self.largest, seconds)
        self.last = seconds

    @property
    def count(self) -> int:
        """Number of durations that were counted."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Mean in seconds; 0 of none."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the seconds below which a share of the durations lies, as if they were even in a bucket; 0 of none.

        Args:
            share: 0 to 1.
        """
        needed, cumulative, lower = share * self.count, 0, 0.0
        for bound, count in zip((*BUCKET_BOUNDS_S, self.largest), self.counts, strict=True):
            upper = min(bound, self.largest)
            if count and cumulative + count >= needed:
                return lower + (upper - lower) * max(needed - cumulative, 0) / count
            cumulative, lower = cumulative + count, bound
        return 0.0


class NodeStatistics:
    """Everything that a node counts about itself; what it rejects is counted at each peer.

    Attributes:
        stages: durations by stage.
        latency: from capture to fused scene.
        published: from capture to published scene.
        frames: fused.
        peer_counts: frames by number of peers that were fused into them.
        dropped_frames: own captures that were not worked on, by reason.
        sink_faults: scenes that a sink did not take, by sink and what became of them: ``dropped`` or ``failed``.
        bytes: published, envelopes included, by kind of message.
        messages: published, by kind.
        longest_gap: seconds between two fused scenes.
    """

    def __init__(self) -> None:
        self.stages: dict[str, Histogram] = {}
        self.latency = Histogram()
        self.published = Histogram()
        self.frames = 0
        self.peer_counts = Counter[int]()
        self.dropped_frames: Counter[str] = Counter()
        self.sink_faults: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.longest_gap = 0.0
        self._finished_at = 0.0  # monotonic seconds
        self._lock = threading.Lock()

    @contextmanager
    def time_stage(self, name: str) -> Iterator[None]:
        """Measure how long the context lasts.

        Args:
            name: of the stage.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self.stages.setdefault(name, Histogram()).observe(seconds)

    def count_scene(self, latency: float, peers: int) -> None:
        """Count a fused scene.

        Args:
            latency: seconds from capture to result.
            peers: number of peers that were fused into it.
        """
        now = time.monotonic()
        with self._lock:
            self.frames += 1
            self.peer_counts[peers] += 1
            self.latency.observe(latency)
            if self._finished_at:
                self.longest_gap = max(self.longest_gap, now - self._finished_at)
            self._finished_at = now

    def count_published(self, seconds: float) -> None:
        """Count a scene that all sinks have.

        Args:
            seconds: from its capture.
        """
        with self._lock:
            self.published.observe(seconds)

    def count_sink_fault(self, sink: str, reason: str) -> None:
        """Count a scene that a sink did not take.

        Args:
            sink: name of it.
            reason: ``dropped``: newer ones took its place; ``failed``: the sink raised an error.
        """
        with self._lock:
            self.sink_faults[sink, reason] += 1

    def count_message(self, kind: str, size: int) -> None:
        """Count a published message.

        Args:
            kind: of the message, as in its topic.
            size: bytes, envelope included.
        """
        with self._lock:
            self.bytes[kind] += size
            self.messages[kind] += 1

    def count_dropped_frames(self, reason: str, count: int = 1) -> None:
        """Count own captures that were not worked on.

        Args:
            reason: ``superseded`` by a newer one, or ``expired``.
            count: number of captures.
        """
        with self._lock:
            self.dropped_frames[reason] += count

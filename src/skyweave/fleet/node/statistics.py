"""What a node counts about itself: time by stage, bytes by kind, frames. Plain numbers; `metrics` shows them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)


class Histogram:
    """Seconds, counted by size."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKET_BOUNDS_S) + 1)
        self.total = 0.0
        self.last = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        place = next((i for i, bound in enumerate(BUCKET_BOUNDS_S) if seconds <= bound), len(BUCKET_BOUNDS_S))
        self.counts[place] += 1
        self.total += seconds
        self.last = seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Of all; 0 of none."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The bound below which that share of them lies; 0 of none."""
        wanted, passed = share * self.count, 0
        for bound, count in zip((*BUCKET_BOUNDS_S, float("inf")), self.counts, strict=True):
            passed += count
            if passed and passed >= wanted:
                return bound
        return 0.0


class NodeStatistics:
    """Everything a node counts itself; what it refuses is counted at each peer."""

    def __init__(self) -> None:
        self.stages: dict[str, Histogram] = {}
        self.latency = Histogram()
        self.frames = 0  # finished
        self.fused_with = Counter[int]()  # frames by number of peers that went in
        self.late: Counter[str] = Counter()  # own moments that were dropped, by reason
        self.bytes: Counter[str] = Counter()  # published, envelopes included, by kind
        self.messages: Counter[str] = Counter()
        self.finished_at = 0.0  # monotonic seconds
        self.longest_gap = 0.0  # seconds between two results
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self.stages.setdefault(name, Histogram()).add(seconds)

    def finished(self, latency: float, peers: int) -> None:
        """A picture is done."""
        now = time.monotonic()
        with self._lock:
            self.frames += 1
            self.fused_with[peers] += 1
            self.latency.add(latency)
            if self.finished_at:
                self.longest_gap = max(self.longest_gap, now - self.finished_at)
            self.finished_at = now

    def published(self, kind: str, size: int) -> None:
        """A message is out."""
        with self._lock:
            self.bytes[kind] += size
            self.messages[kind] += 1

    def dropped(self, reason: str, count: int = 1) -> None:
        """Own moments that were not worked on."""
        with self._lock:
            self.late[reason] += count

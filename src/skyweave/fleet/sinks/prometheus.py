"""A node's counters for Prometheus, and as a status for people and scripts."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from skyweave.core.errors import FleetError
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.statistics import BUCKET_BOUNDS_S, Histogram
from skyweave.fleet.sinks.publish import pose_content


class NodeCollector(Collector):
    """Reads a node whenever Prometheus asks."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def collect(self) -> Iterator[Metric]:
        """All metrics; named in docs/fleet.md."""
        node, statistics = self.node, self.node.statistics
        now = node.clock()
        yield CounterMetricFamily("skyweave_frames", "Pictures made.", value=statistics.frames)
        late = CounterMetricFamily("skyweave_moments_dropped", "Own moments not worked on.", labels=["reason"])
        for reason, count in sorted(dict(statistics.late).items()):
            late.add_metric([reason], count)
        yield late
        stages = HistogramMetricFamily("skyweave_stage_seconds", "Time by stage.", labels=["stage"])
        for stage, histogram in sorted(dict(statistics.stages).items()):
            _add(stages, [stage], histogram)
        yield stages
        latency = HistogramMetricFamily("skyweave_latency_seconds", "From capture to result.", labels=[])
        _add(latency, [], statistics.latency)
        yield latency
        sent = CounterMetricFamily("skyweave_sent_bytes", "Published, envelopes included.", labels=["kind"])
        for kind, size in sorted(dict(statistics.bytes).items()):
            sent.add_metric([kind], size)
        yield sent
        received = CounterMetricFamily("skyweave_received_bytes", "Taken, by peer.", labels=["peer"])
        messages = CounterMetricFamily("skyweave_received_messages", "Taken, by peer.", labels=["peer"])
        age = GaugeMetricFamily("skyweave_age_of_information_seconds", "Since the newest capture.", labels=["peer"])
        offset = GaugeMetricFamily("skyweave_clock_offset_seconds", "Its clock minus ours.", labels=["peer"])
        metres = GaugeMetricFamily("skyweave_pose_error_metres", "That is undone on what it tells.", labels=["peer"])
        degrees = GaugeMetricFamily("skyweave_pose_error_degrees", "That is undone on what it tells.", labels=["peer"])
        trusted = GaugeMetricFamily("skyweave_pose_trusted", "Whether its poses can be used.", labels=["peer"])
        for peer in node.peers.all():
            received.add_metric([peer.name], peer.bytes)
            messages.add_metric([peer.name], peer.messages)
            offset.add_metric([peer.name], peer.clock.offset / 1e9)
            if peer.last_frame:
                age.add_metric([peer.name], (now - peer.last_frame) / 1e9)
            error = node.pose_error(peer)
            if error is not None:
                metres.add_metric([peer.name], error.translation_m)
                degrees.add_metric([peer.name], math.degrees(error.rotation_rad))
                trusted.add_metric([peer.name], float(error.trusted))
        yield from (received, messages, age, offset, metres, degrees, trusted)
        drops = CounterMetricFamily("skyweave_refused_messages", "Refused.", labels=["peer", "reason"])
        for name, reasons in sorted(node.drops().items()):
            for reason, count in sorted(reasons.items()):
                drops.add_metric([name, reason], count)
        yield drops
        yield GaugeMetricFamily("skyweave_budget_bytes", "Bytes a frame may take.", value=node.budget.frame)


def serve_metrics(node: Node, address: str) -> Any:
    """Serve them on ``host:port`` in a thread; returns a function that ends it.

    Raises:
        ValueError: an address that cannot be served on.
    """
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    try:
        server, thread = start_http_server(int(port), host or "127.0.0.1", registry)
    except (OSError, ValueError) as error:
        raise FleetError(f"metrics cannot be served on {address}: {error}") from None

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def node_status(node: Node) -> dict[str, Any]:
    """How a node is, plain JSON types; times in seconds."""
    statistics, now = node.statistics, node.clock()
    return {
        "name": node.name,
        "fleet": node.fleet,
        "pid": os.getpid(),
        "time": now / 1e9,
        "up": (now - node.started) / 1e9,
        "frames": statistics.frames,
        "told": statistics.stages["send"].count if "send" in statistics.stages else 0,
        "dropped": dict(statistics.late),
        "latency": {
            "mean": round(statistics.latency.mean, 4),
            "p50": statistics.latency.quantile(0.5),
            "p99": _finite(statistics.latency.quantile(0.99)),
            "last": round(statistics.latency.last, 4),
        },
        "longest_gap": round(statistics.longest_gap, 3),
        "stages": {name: round(one.mean, 5) for name, one in sorted(dict(statistics.stages).items())},
        "sent": dict(statistics.bytes),
        "messages": dict(statistics.messages),
        "budget": node.budget.frame,
        "peers": {
            peer.name: {
                "alive": bool(peer.beat_heard) and now - peer.beat_heard <= node.options.alive * 1e9,
                "bytes": peer.bytes,
                "age": round((now - peer.last_frame) / 1e9, 3) if peer.last_frame else None,
                "offset": round(peer.clock.offset / 1e9, 4),
                "pose": pose_content(node.pose_error(peer)),
                "refused": dict(peer.refused()),
            }
            for peer in node.peers.all()
        },
        "strangers": dict(node.peers.strangers),
    }


def write_node_status(path: str | Path, node: Node) -> None:
    """Write the status, whole or not at all. It is not flushed to the disk: it is worth nothing after a power cut."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(node_status(node)), "utf-8")
    os.replace(aside, path)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets, passed = [], 0
    for bound, count in zip((*map(str, BUCKET_BOUNDS_S), "+Inf"), histogram.counts, strict=True):
        passed += count
        buckets.append((bound, passed))
    family.add_metric(labels, buckets, histogram.total)


def _finite(value: float) -> float | None:
    return value if value != float("inf") else None

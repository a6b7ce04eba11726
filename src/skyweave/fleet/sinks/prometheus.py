"""A node's counters for Prometheus; docs/fleet.md names them."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from skyweave.core.errors import FleetError
from skyweave.core.http_server import HEADERS, LOCAL_HOST, check_open, serve_in_thread
from skyweave.fleet.link.clocks import NS_PER_S
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.statistics import BUCKET_BOUNDS_S, Histogram


class NodeCollector(Collector):
    """Reads a node's counters whenever Prometheus asks.

    Args:
        node: that runs.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of the node."""
        yield from self._work_metrics()
        yield from self._peer_metrics()
        yield from self._pose_metrics()
        rejected = CounterMetricFamily("skyweave_rejected_messages", "Rejected.", labels=["peer", "reason"])
        for name, reasons in sorted(self.node.peers.rejection_counts().items()):
            for reason, count in sorted(reasons.items()):
                rejected.add_metric([name, reason], count)
        yield rejected
        budget = self.node.rate_controller.frame_bytes
        yield GaugeMetricFamily("skyweave_budget_bytes", "Bytes a frame may take.", value=budget)

    def _work_metrics(self) -> Iterator[Metric]:
        statistics = self.node.statistics
        yield CounterMetricFamily("skyweave_frames", "Scenes fused.", value=statistics.frames)
        dropped = CounterMetricFamily("skyweave_frames_dropped", "Own captures not worked on.", labels=["reason"])
        for reason, count in sorted(dict(statistics.dropped_frames).items()):
            dropped.add_metric([reason], count)
        yield dropped
        faults = CounterMetricFamily("skyweave_sink_faults", "Scenes a sink did not take.", labels=["sink", "reason"])
        for (sink, reason), count in sorted(dict(statistics.sink_faults).items()):
            faults.add_metric([sink, reason], count)
        yield faults
        stages = HistogramMetricFamily("skyweave_stage_seconds", "Time by stage.", labels=["stage"])
        for stage, histogram in sorted(dict(statistics.stages).items()):
            _add_histogram(stages, [stage], histogram)
        yield stages
        latency = HistogramMetricFamily("skyweave_latency_seconds", "From capture to fused scene.", labels=[])
        _add_histogram(latency, [], statistics.latency)
        yield latency
        published = HistogramMetricFamily("skyweave_published_seconds", "From capture to published scene.", labels=[])
        _add_histogram(published, [], statistics.published)
        yield published
        sent = CounterMetricFamily("skyweave_sent_bytes", "Published, envelopes included.", labels=["kind"])
        for kind, size in sorted(dict(statistics.bytes).items()):
            sent.add_metric([kind], size)
        yield sent

    def _peer_metrics(self) -> Iterator[Metric]:
        received = CounterMetricFamily("skyweave_received_bytes", "Taken, by peer.", labels=["peer"])
        messages = CounterMetricFamily("skyweave_received_messages", "Taken, by peer.", labels=["peer"])
        age = GaugeMetricFamily("skyweave_age_of_information_seconds", "Since the newest capture.", labels=["peer"])
        offset = GaugeMetricFamily("skyweave_clock_offset_seconds", "Peer's clock minus the node's.", labels=["peer"])
        now = self.node.clock()
        for peer in self.node.peers.all():
            received.add_metric([peer.name], peer.bytes)
            messages.add_metric([peer.name], peer.messages)
            offset.add_metric([peer.name], peer.clock.offset / NS_PER_S)
            seconds = peer.age_of_information(now)
            if seconds is not None:
                age.add_metric([peer.name], seconds)
        yield from (received, messages, age, offset)

    def _pose_metrics(self) -> Iterator[Metric]:
        metres = GaugeMetricFamily("skyweave_pose_error_metres", "Undone on what the peer sends.", labels=["peer"])
        degrees = GaugeMetricFamily("skyweave_pose_error_degrees", "Undone on what the peer sends.", labels=["peer"])
        trusted = GaugeMetricFamily("skyweave_pose_trusted", "Whether its poses can be used.", labels=["peer"])
        for peer in self.node.peers.all():
            error = self.node.pose_error(peer)
            if error is not None:
                metres.add_metric([peer.name], error.translation_m)
                degrees.add_metric([peer.name], math.degrees(error.rotation_rad))
                trusted.add_metric([peer.name], float(error.trusted))
        yield from (metres, degrees, trusted)


def serve_metrics(node: Node, address: str, allow_open: bool = False) -> Callable[[], None]:
    """Serve a node's metrics in a thread; return what ends it.

    Args:
        node: that runs.
        address: ``host:port``.
        allow_open: serve to other machines.

    Raises:
        FleetError: an address that cannot be served on, or that others could reach.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or LOCAL_HOST
    check_open(host, allow_open, "read the metrics", "say allow_open: true")
    serving = ExitStack()
    try:
        serving.enter_context(serve_in_thread(metrics_app(node), host, int(port)))
    except (OSError, ValueError, OverflowError) as error:
        raise FleetError(f"metrics cannot be served on {address}: {error}") from None
    return serving.close


def metrics_app(node: Node) -> web.Application:
    """Return what answers ``/metrics`` (and ``/``) with a node's metrics.

    Args:
        node: that runs.
    """
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))

    async def get_metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST, **HEADERS})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/", get_metrics)
    return app


def _add_histogram(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets, cumulative = [], 0
    for bound, count in zip((*map(str, BUCKET_BOUNDS_S), "+Inf"), histogram.counts, strict=True):
        cumulative += count
        buckets.append((bound, cumulative))
    family.add_metric(labels, buckets, histogram.total)

"""The status of a node, for people and scripts."""

import json
import os
import time
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.peer import Peer
from skyweave.fleet.node.statistics import Histogram
from skyweave.fleet.sinks.scene_content import NS_PER_S, pose_error_content


def node_status(node: Node) -> dict[str, Any]:
    """Return how a node is, plain JSON types; times in seconds.

    Args:
        node: that runs.
    """
    statistics, now = node.statistics, node.clock()
    sending = statistics.stages.get("send")
    return {
        "name": node.name,
        "fleet": node.fleet,
        "pid": os.getpid(),
        "time": now / NS_PER_S,
        "monotonic": time.monotonic(),  # the same for all processes of a machine
        "uptime": (now - node.started) / NS_PER_S,
        "frames": statistics.frames,
        "frames_sent": 0 if sending is None else sending.count,
        "frames_dropped": dict(statistics.dropped_frames),
        "sink_faults": {" ".join(key): count for key, count in dict(statistics.sink_faults).items()},
        "latency": _durations(statistics.published),
        "latency_fused": _durations(statistics.latency),
        "longest_gap": round(statistics.longest_gap, 3),
        "stages": {name: round(stage.mean, 5) for name, stage in sorted(dict(statistics.stages).items())},
        "bytes_sent": dict(statistics.bytes),
        "messages_sent": dict(statistics.messages),
        "budget": node.rate_controller.frame_bytes,
        "peers": {peer.name: _peer_status(node, peer, now) for peer in node.peers.all()},
        "unknown_senders": dict(node.peers.unknown_senders),
    }


def write_node_status(path: str | Path, node: Node) -> None:
    """Write the status of a node to a file, whole or not at all.

    Args:
        path: of the file.
        node: that runs.

    Raises:
        OSError: it cannot be written.
    """
    with write_aside(path, durable=False) as temporary:
        temporary.write_text(json.dumps(node_status(node)), "utf-8")


def _durations(histogram: Histogram) -> dict[str, float]:
    return {
        "mean": round(histogram.mean, 4),
        "p50": round(histogram.quantile(0.5), 4),
        "p99": round(histogram.quantile(0.99), 4),
        "last": round(histogram.last, 4),
    }


def _peer_status(node: Node, peer: Peer, now: int) -> dict[str, Any]:
    age = peer.age_of_information(now)
    return {
        "alive": peer.is_alive(now, node.options.peer_timeout),
        "bytes": peer.bytes,
        "age": None if age is None else round(age, 3),
        "clock_offset": round(peer.clock.offset / NS_PER_S, 4),
        "pose": pose_error_content(node.pose_error(peer)),
        "rejected": dict(peer.rejection_counts()),
    }

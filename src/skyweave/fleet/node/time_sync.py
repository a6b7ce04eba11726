"""Time synchronisation: which frame of each peer belongs to a capture of this node.

As in ROS's ``message_filters.ApproximateTimeSynchronizer``: the nearest in capture time, within a window, clock offsets
accounted for.
"""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.fleet.link.clocks import NS_PER_S
from skyweave.fleet.node.peer import Peer
from skyweave.fleet.node.peers import Peers
from skyweave.fleet.perceivers.base import remap_classes
from skyweave.wire import FrameContent, ReceivedFrame

MAX_PEER_BOXES = 400  # of one frame that are fused


@dataclass(frozen=True)
class SynchronizedFrame:
    """A peer's frame that is fused into a scene.

    Attributes:
        peer: name of the peer.
        content: what arrived of the frame; capture time by the local clock, classes numbered as this node's.
        time_offset: seconds from this node's capture to the peer's.
        complete: whether nothing of it is missing.
    """

    peer: str
    content: FrameContent
    time_offset: float
    complete: bool


def synchronize_frames(
    peers: Peers, time: int, max_time_offset: float, categories: tuple[str, ...]
) -> list[SynchronizedFrame]:
    """Return the frame of each peer that is nearest to a time, by name of the peer.

    Args:
        peers: of the node.
        time: UTC nanoseconds by the local clock.
        max_time_offset: seconds; peers without a frame that near are left out.
        categories: names of this node's classes.
    """
    synchronized = []
    for peer in peers.active():
        with peers.contained(peer.name):
            nearest = _nearest_frame(peers.frames(peer), time, max_time_offset)
            if nearest is not None:
                content = _with_local_classes(peer, nearest.frame, categories)
                time_offset = (nearest.frame.time - time) / NS_PER_S
                synchronized.append(SynchronizedFrame(peer.name, content, time_offset, nearest.complete))
    return synchronized


def _nearest_frame(frames: list[ReceivedFrame], time: int, max_time_offset: float) -> ReceivedFrame | None:
    """Return the frame that is nearest to a time; None where none is near."""
    near = [received for received in frames if abs(received.frame.time - time) <= max_time_offset * NS_PER_S]
    return min(near, key=lambda received: abs(received.frame.time - time), default=None)


def _with_local_classes(peer: Peer, content: FrameContent, categories: tuple[str, ...]) -> FrameContent:
    """Number the classes as this node does. Before its first heartbeat a peer is taken to have the same list."""
    peer_categories = categories if peer.heartbeat is None else peer.heartbeat.categories
    return remap_classes(_with_best_boxes(content), peer_categories, categories)


def _with_best_boxes(content: FrameContent) -> FrameContent:
    """Leave out the boxes of the lowest scores where there are many: merging takes time with their square."""
    boxes = content.boxes
    if boxes is None or len(boxes) <= MAX_PEER_BOXES:
        return content
    return replace(content, boxes=boxes.select(np.sort(np.argsort(-boxes.scores, kind="stable")[:MAX_PEER_BOXES])))

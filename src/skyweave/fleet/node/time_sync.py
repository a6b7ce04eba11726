"""Which frames of others belong to a moment of ours: nearest in capture time, within a window, clocks accounted for."""

from dataclasses import dataclass

from skyweave.fleet.node.peers import Peer, Peers
from skyweave.fleet.perceivers.base import remap_classes
from skyweave.wire import FrameContent


@dataclass(frozen=True)
class SynchronizedFrame:
    """A peer's frame that goes into a picture.

    Attributes:
        peer: its name.
        content: what came of it; capture time by our clock, classes of boxes numbered as ours.
        apart: seconds from our capture to its.
        complete: whether nothing of it is missing.
    """

    peer: str
    content: FrameContent
    apart: float
    complete: bool


def synchronize_frames(peers: Peers, time: int, window: float, categories: tuple[str, ...]) -> list[SynchronizedFrame]:
    """For each peer its frame nearest to a time (UTC nanoseconds, our clock), by name; none that is farther than
    ``window`` seconds.
    """
    found = []
    for peer in peers.all():
        frames = [one for one in peers.frames(peer) if abs(one.frame.time - time) <= window * 1e9]
        if not frames:
            continue
        nearest = min(frames, key=lambda one: abs(one.frame.time - time))
        content = _understood(peer, nearest.frame, categories)
        apart = (nearest.frame.time - time) / 1e9
        found.append(SynchronizedFrame(peer.name, content, apart, nearest.complete))
    return found


def _understood(peer: Peer, content: FrameContent, categories: tuple[str, ...]) -> FrameContent:
    """With our class numbers. Before its first heartbeat a peer is taken to have our list."""
    theirs = categories if peer.heartbeat is None else peer.heartbeat.categories
    return remap_classes(content, theirs, categories)

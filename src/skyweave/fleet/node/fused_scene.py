"""What a node makes of one capture: first its observation, then the scene fused with the peers' frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skyweave.fleet.link.clocks import NS_PER_S
from skyweave.fleet.node.time_sync import SynchronizedFrame
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.recordings.recording import Frame


@dataclass(frozen=True)
class PendingFrame:
    """A capture that was observed and published, and waits for the peers' frames.

    Attributes:
        frame: what was captured.
        observation: what the perceiver made of it.
        sequence: number of the frame.
        started: nanoseconds by the local clock when work began.
        bytes: that were published.
    """

    frame: Frame
    observation: Any
    sequence: int
    started: int
    bytes: int


@dataclass(frozen=True)
class FusedScene:
    """Everything that a node knows of one time (the common operating picture).

    Attributes:
        platform: name of the platform that fused it.
        sequence: number of its frame.
        time: capture, UTC nanoseconds by the local clock.
        finished: when it was ready, nanoseconds by the local clock.
        prediction: objects, trajectories and maps.
        peer_frames: that were fused into it.
        frame: what the platform itself captured.
        ego_detections: what the platform detected by itself.
    """

    platform: str
    sequence: int
    time: int
    finished: int
    prediction: ScenePrediction
    peer_frames: tuple[SynchronizedFrame, ...]
    frame: Frame
    ego_detections: Detections

    @property
    def latency(self) -> float:
        """Seconds from capture to result."""
        return (self.finished - self.time) / NS_PER_S


def peer_names(frames: Sequence[SynchronizedFrame]) -> list[str]:
    """Return the names of the peers whose frames these are.

    Args:
        frames: of peers.
    """
    return [synchronized.peer for synchronized in frames]

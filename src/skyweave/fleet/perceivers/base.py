"""The seam between a node and what perceives. A node knows nothing of models, a perceiver nothing of networks.

`BoxPerceiver` (`skyweave.fleet.perceivers.late_fusion`) sends boxes; one that sends features does the same three things.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np

from skyweave.collaboration.cache import platform_pose
from skyweave.collaboration.pose_alignment import PoseError
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.perception.prediction import ScenePrediction
from skyweave.perception.results import Detections
from skyweave.recordings.recording import Frame
from skyweave.wire import EntropyTables, FrameContent

Own = TypeVar("Own")
SCORE_DECAY_S = 2.0  # seconds in which the certainty of a box falls to 1/e, when it is moved on by its velocity


@dataclass(frozen=True)
class WorldFrame:
    """Where a fleet works.

    Attributes:
        crs: of the world frame; None for a local frame.
        ground: in it.
    """

    crs: str | None = None
    ground: Ground = field(default_factory=GroundPlane)


class Perceiver(Protocol[Own]):
    """What a node runs.

    Attributes:
        categories: names of the classes, in the order of their numbers on the wire.
        fingerprint: of its feature space, below 2**32; 0: it sends boxes only.
        tables: for reading others' features.
        interleave: chunks among which neighbouring cells are shared out (`skyweave.wire.encode_frame`).
        resolution: metres a cell of its maps.
        interval: seconds between frames that it expects.
    """

    categories: tuple[str, ...]
    fingerprint: int
    tables: Sequence[EntropyTables]
    interleave: int
    resolution: float
    interval: float

    @property
    def pose_errors(self) -> Mapping[int, PoseError]:
        """Of peers, by platform number, as far as they are estimated."""

    def observe(self, frame: Frame, place: WorldFrame) -> Own:
        """What this platform sees at one moment; ``frame`` has its own captures only."""

    def ego_detections(self, own: Own) -> Detections:
        """What it found by itself."""

    def compose(self, own: Own, budget_bytes: int) -> FrameContent:
        """What to tell others, the most useful first. Platform and sequence are filled in by the node."""

    def fuse(self, own: Own, received: Sequence[FrameContent]) -> ScenePrediction:
        """The picture from what is our own and what came, which may be nothing, or a part.

        Capture times are by our clock; things have been moved to our capture time by ``compensate``; classes of boxes
        are numbered as ours.
        """

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """The content as it would be at another time, UTC nanoseconds."""


def set_header(content: FrameContent, number: int, sequence: int, frame: Frame) -> FrameContent:
    """What a perceiver has to say, as it goes on the wire: with the platform's number, the frame's, and a pose."""
    first = next(iter(frame.captures.values()), None)
    pose = platform_pose(first.geometry) if content.pose is None and first is not None else content.pose
    return replace(content, platform=number, sequence=sequence, pose=pose)


def extrapolate_with_decay(content: FrameContent, time: int) -> FrameContent:
    """Boxes moved on by their velocities, and less certain the farther they are moved; everything else as it is."""
    boxes = content.boxes
    if boxes is None or boxes.velocities is None or time == content.time:
        return content
    seconds = (time - content.time) / 1e9
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * seconds
    scores = boxes.scores * np.exp(-abs(seconds) / SCORE_DECAY_S)
    return replace(content, boxes=replace(boxes, centres=centres, scores=scores))


def remap_classes(content: FrameContent, theirs: Sequence[str], ours: Sequence[str]) -> FrameContent:
    """Boxes with the class numbers of our list instead of the sender's; classes that we do not have are left out."""
    boxes = content.boxes
    if boxes is None or tuple(theirs) == tuple(ours):
        return content
    table = np.full(64, -1)
    for number, name in enumerate(theirs[:64]):
        if name in ours:
            table[number] = list(ours).index(name)
    classes = table[boxes.classes]
    kept = np.flatnonzero(classes >= 0)
    return replace(content, boxes=replace(boxes.select(kept), classes=classes[kept]))

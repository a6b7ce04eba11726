"""The seam between a node and what perceives: a node knows nothing of models, a perceiver nothing of networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from skyweave.core.geometry.grid import check_metres
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.recordings.recording import Frame
from skyweave.wire import EntropyTables, FrameContent

if TYPE_CHECKING:
    from skyweave.collaboration.pose_alignment import PoseError

EgoState = TypeVar("EgoState")
SCORE_DECAY_S = 2.0  # in which the score of a box falls to 1/e, when it is moved on by its velocity
MAX_CLASSES = 64  # whose numbers travel


@dataclass(frozen=True)
class WorldFrame:
    """Where a fleet works.

    Attributes:
        crs: of the world frame; None for a local frame.
        ground: in it.
    """

    crs: str | None = None
    ground: Ground = field(default_factory=GroundPlane)

    def __post_init__(self) -> None:
        if self.crs is not None:
            check_metres(self.crs)


class Perceiver(Protocol[EgoState]):
    """What a node runs.

    Attributes:
        categories: names of the classes, in the order of their numbers on the wire.
        fingerprint: of its feature space, below 2**32; 0: it sends boxes only.
        tables: for reading others' features.
        sort_window: chunks among which cells are sorted so that neighbours travel together (`encode_frame`).
        resolution: metres a cell of its maps.
        interval: seconds between frames that it expects.
    """

    categories: tuple[str, ...]
    fingerprint: int
    tables: Sequence[EntropyTables]
    sort_window: int
    resolution: float
    interval: float

    @property
    def pose_errors(self) -> "Mapping[int, PoseError]":
        """Return the errors of peers' poses, by platform number, as far as they are estimated."""

    def observe(self, frame: Frame, place: WorldFrame) -> EgoState:
        """Return what this platform sees in one frame.

        Args:
            frame: with its own captures only; frames come in order of their time.
            place: where the fleet works.
        """

    def ego_detections(self, ego: EgoState) -> Detections:
        """Return what it detected by itself.

        Args:
            ego: of `observe`.
        """

    def compose(self, ego: EgoState, budget_bytes: int) -> FrameContent:
        """Return what is sent to others, the most salient first; the node fills in platform and sequence.

        Args:
            ego: of `observe`.
            budget_bytes: of the frame on the wire.
        """

    def fuse(self, ego: EgoState, received: Sequence[FrameContent]) -> ScenePrediction:
        """Return the scene from what the platform sees and what came.

        Args:
            ego: of `observe`.
            received: what came, which may be nothing, or a part. Times are by the node's clock, boxes were moved to
                the ego's time by `compensate`, and classes are numbered as here.
        """

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """Return a frame as it would be at another time.

        Args:
            content: as received.
            time: UTC nanoseconds.
        """


def encode_ego(
    perceiver: Perceiver[EgoState],
    ego: EgoState,
    frame: Frame,
    number: int,
    sequence: int,
    budget_bytes: int,
    mtu: int,
) -> list[bytes]:
    """Compose what a perceiver sends and encode it as chunks within a budget.

    Args:
        perceiver: of the platform.
        ego: what it observed.
        frame: that it observed.
        number: of the platform.
        sequence: number of the frame.
        budget_bytes: of all chunks together.
        mtu: bytes of the largest chunk.
    """
    from skyweave.collaboration.messages import encode_message  # with torch, which configurations do without

    message = set_header(perceiver.compose(ego, budget_bytes), number, sequence, frame)
    return encode_message(message, perceiver.tables, budget_bytes, mtu, perceiver.sort_window)


def set_header(content: FrameContent, number: int, sequence: int, frame: Frame) -> FrameContent:
    """Return a message with the numbers of platform and frame, and with a pose if it has none.

    Args:
        content: as composed.
        number: of the platform.
        sequence: number of the frame.
        frame: whose first camera gives the pose.
    """
    from skyweave.collaboration.observer import platform_pose

    first = next(iter(frame.captures.values()), None)
    pose = platform_pose(first.geometry) if content.pose is None and first is not None else content.pose
    return replace(content, platform=number, sequence=sequence, pose=pose)


def extrapolate_with_decay(content: FrameContent, time: int) -> FrameContent:
    """Move boxes on by their velocities, with lower scores the farther they are moved.

    Args:
        content: as received; all but its boxes stays.
        time: to which the boxes are moved, UTC nanoseconds.
    """
    boxes = content.boxes
    if boxes is None or boxes.velocities is None or time == content.time:
        return content
    from skyweave.collaboration.boxes import extrapolate_boxes  # with torch, which configurations do without

    seconds = (time - content.time) / 1e9
    scores = boxes.scores * np.exp(-abs(seconds) / SCORE_DECAY_S)
    return replace(content, boxes=replace(extrapolate_boxes(boxes, seconds), scores=scores))


def remap_classes(content: FrameContent, sender: Sequence[str], receiver: Sequence[str]) -> FrameContent:
    """Give boxes the class numbers of the receiver; boxes of classes that it does not have are left out.

    Args:
        content: as received.
        sender: names of the sender's classes, in the order of their numbers.
        receiver: names of the receiver's classes.
    """
    boxes = content.boxes
    if boxes is None or tuple(sender) == tuple(receiver):
        return content
    table = np.full(MAX_CLASSES, -1)
    for number, name in enumerate(sender[:MAX_CLASSES]):
        if name in receiver:
            table[number] = list(receiver).index(name)
    classes = table[boxes.classes]
    kept = np.flatnonzero(classes >= 0)
    return replace(content, boxes=replace(boxes.select(kept), classes=classes[kept]))

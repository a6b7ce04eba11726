"""What a collaborative model is made of, as read from ``configs/collaboration/*.yaml``."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class CodecConfig:
    """The dual-branch codec.

    Attributes:
        low: channels of the coarse branch; 0: no such branch.
        high: channels of the full-resolution branch.
        factor: cells along a side of a block; divides `skyweave.collaboration.observer.SNAP_CELLS`.
        contexts: sets of entropy tables a branch, of which a cell names its cheapest.
        levels: largest number with a symbol of its own; larger ones escape.
    """

    low: int = 8
    high: int = 16
    factor: int = 8
    contexts: int = 4
    levels: int = 15


@dataclass(frozen=True)
class ImpairmentConfig:
    """Impairments of links and poses that training covers, each drawn anew for every sample and peer.

    Attributes:
        budget: smallest and largest bytes a frame, log-uniform.
        position_std: standard deviation of a peer's position error east and north, metres, in half of the samples.
        heading_std: standard deviation of its heading error, degrees, likewise.
        delayed: share of peers whose message is one frame old.
        packet_loss: largest share of chunks lost.
        dropped: share of peers of which nothing comes.
        ego_only: share of samples without any peer.
        boxes_only: share of peers that send boxes only.
        irrelevant: share of peers whose features belong to another place and time.
    """

    budget: tuple[float, float] = (200.0, 200_000.0)
    position_std: float = 0.25
    heading_std: float = 0.5
    delayed: float = 0.15
    packet_loss: float = 0.3
    dropped: float = 0.15
    ego_only: float = 0.05
    boxes_only: float = 0.1
    irrelevant: float = 0.0


@dataclass(frozen=True)
class CollaborationLossConfig:
    """What training minimises.

    Attributes:
        tasks: weight of the heads' losses.
        distillation: of the distance between the fused map and the one that all features, uncoded, give (the teacher
            of DiscoNet, arXiv 2111.00643).
        rate: of the bits that a sent cell takes, per bit.
        visible: of the cross-entropy of a peer's visibility, as its coarse cells say it.
        active_tasks: whose losses count; empty: all of the perception model.
    """

    tasks: float = 1.0
    distillation: float = 1.0
    rate: float = 0.005
    visible: float = 0.05
    active_tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CollaborationConfig:
    """A strategy and its codec; kept in the card beside the weights.

    Attributes:
        strategy: a name in `skyweave.collaboration.strategies.STRATEGIES`.
        codec: of the features.
    """

    strategy: str = "dual_branch"
    codec: CodecConfig = field(default_factory=CodecConfig)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, for the card."""
        return asdict(self)

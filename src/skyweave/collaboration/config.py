"""What a collaborative model is made of, as read from ``configs/collaboration/*.yaml``."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class CodecConfig:
    """The dual-branch codec.

    Attributes:
        low: channels of the coarse branch; 0: no such branch.
        high: channels of the full-resolution branch.
        factor: cells along a side of a coarse one; divides `skyweave.collaboration.cache.SNAP`.
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
    """Imperfections that training covers, each drawn anew for every sample and peer.

    Attributes:
        budget: smallest and largest bytes a frame, log-uniform.
        position: spread of a peer's position error east and north, metres, in half of the samples.
        heading: spread of its heading error, degrees, likewise.
        late: share of peers whose message is one frame old.
        lost: largest share of chunks lost.
        absent: share of peers that are not there.
        alone: share of samples without any peer.
        boxes_only: share of peers that send boxes only.
        useless: share of peers whose features belong to another place and time.
    """

    budget: tuple[float, float] = (200.0, 200_000.0)
    position: float = 0.25
    heading: float = 0.5
    late: float = 0.15
    lost: float = 0.3
    absent: float = 0.15
    alone: float = 0.05
    boxes_only: float = 0.1
    useless: float = 0.0


@dataclass(frozen=True)
class Losses:
    """What is minimised.

    Attributes:
        tasks: weight of the heads' losses.
        match: of the distance between the fused map and the one that all features, uncoded, give (the teacher of
            DiscoNet, arXiv 2111.00643).
        rate: of the bits that a sent cell takes, per bit.
        visible: of guessing what a peer sees from its coarse cells.
        use: tasks whose losses count; empty: all of the perception model.
    """

    tasks: float = 1.0
    match: float = 1.0
    rate: float = 0.005
    visible: float = 0.05
    use: tuple[str, ...] = ()


@dataclass(frozen=True)
class CollaborationConfig:
    """A strategy and its codec; kept in the card beside the weights.

    Attributes:
        strategy: a name in `skyweave.collaboration.strategies.STRATEGIES`.
    """

    strategy: str = "ours"
    codec: CodecConfig = field(default_factory=CodecConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the card."""
        return asdict(self)

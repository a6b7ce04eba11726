"""Impairments of links and of poses as objects: training draws them, evaluation and emulated networks set them.

Each has a ``sample`` that draws what happens to one peer or chunk, or an ``apply`` that does it, or both. Nothing is
drawn but from the generator that is given, so that a sample is a function of its seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.config import ImpairmentConfig
from skyweave.core.geometry.grid import MapGrid
from skyweave.wire import BoxList, FrameContent

Chunk = TypeVar("Chunk")
IMPAIRED_SHARE = 0.5  # of the samples that have errors of poses, and that lose chunks
MAX_POSE_ERROR_FACTOR = 2.0  # on the standard deviations of an impaired sample, uniform from 0


@dataclass(frozen=True)
class RigidPoseError:
    """A peer maps with a pose that is wrong by a shift and a turn in the plane.

    Attributes:
        offset: metres east and north.
        turn: radians counter-clockwise, about the middle of the map.
    """

    offset: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0

    def __bool__(self) -> bool:
        """Return whether there is an error at all."""
        return bool(self.turn or any(self.offset))

    def apply_to_map(self, maps: Tensor, visible: Tensor, resolution: float) -> tuple[Tensor, Tensor]:
        """Warp a map as the peer places it.

        Args:
            maps: (channels, rows, columns).
            visible: (rows, columns) bool.
            resolution: metres a cell.
        """
        rows, columns = visible.shape
        row, column = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        x = column - columns / 2 - self.offset[0] / resolution
        y = rows / 2 - row - self.offset[1] / resolution
        cosine, sine = float(np.cos(self.turn)), float(np.sin(self.turn))
        from_x, from_y = cosine * x + sine * y, -sine * x + cosine * y
        r, c = (rows / 2 - from_y).floor().long(), (from_x + columns / 2).floor().long()
        inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
        r, c = r.clamp(0, rows - 1), c.clamp(0, columns - 1)
        return maps[:, r, c] * inside, visible[r, c] & inside

    def apply_to_boxes(self, boxes: BoxList, grid: MapGrid) -> BoxList:
        """Move and turn boxes as the peer places them.

        Args:
            boxes: in the world.
            grid: of the map, about whose middle the error turns.
        """
        middle = np.array([grid.west + grid.columns / 2, grid.north - grid.rows / 2]) * grid.resolution
        rotation = np.array([[np.cos(self.turn), -np.sin(self.turn)], [np.sin(self.turn), np.cos(self.turn)]])
        centres = boxes.centres.copy()
        centres[:, :2] = (centres[:, :2] - middle) @ rotation.T + middle + self.offset
        velocities = None if boxes.velocities is None else boxes.velocities @ rotation.T
        return replace(boxes, centres=centres, yaws=boxes.yaws + self.turn, velocities=velocities)


@dataclass(frozen=True)
class PoseNoise:
    """Errors of poses, normally distributed.

    Attributes:
        position_std: metres east and north.
        heading_std: degrees.
    """

    position_std: float
    heading_std: float

    def sample(self, generator: np.random.Generator, factor: float = 1.0) -> RigidPoseError:
        """Draw the error of one peer.

        Args:
            generator: of all randomness.
            factor: on the standard deviations.
        """
        x, y, turn = generator.normal(0, 1, 3) * factor
        offset = (float(x) * self.position_std, float(y) * self.position_std)
        return RigidPoseError(offset, np.deg2rad(self.heading_std) * float(turn))


@dataclass(frozen=True)
class PacketLoss:
    """Chunks are lost, each by itself.

    Attributes:
        rate: share of chunks that are lost, 0 to 1.
    """

    rate: float

    def sample(self, generator: np.random.Generator) -> bool:
        """Draw whether one chunk is lost.

        Args:
            generator: of all randomness.
        """
        return bool(generator.random() < self.rate)

    def apply(self, chunks: Sequence[Chunk], generator: np.random.Generator) -> list[Chunk]:
        """Return the chunks that arrive.

        Args:
            chunks: in the order in which they are sent.
            generator: of all randomness.
        """
        return [chunk for chunk in chunks if not self.sample(generator)] if self.rate else list(chunks)


@dataclass(frozen=True)
class Delay:
    """Messages arrive late, and nobody waits for them.

    Attributes:
        seconds: from capture to arrival, beyond what a frame allows.
    """

    seconds: float

    def newest_arrived(self, times: Sequence[int], frame: int) -> int | None:
        """Return the newest frame whose message has arrived by the time of a frame; None before the first.

        Args:
            times: of all frames, UTC nanoseconds, ascending.
            frame: index of the frame that is perceived.
        """
        deadline = times[frame] - round(self.seconds * 1e9)
        return next((index for index in range(frame, -1, -1) if times[index] <= deadline), None)


@dataclass(frozen=True)
class BoxesOnly:
    """A peer sends no features, such as one with another model."""

    def apply(self, frame: FrameContent) -> FrameContent:
        """Return the frame without its cells.

        Args:
            frame: as received.
        """
        return replace(frame, low=None, high=None)


@dataclass(frozen=True)
class IrrelevantPeer:
    """A peer's features belong to another scene: they lie on its grid and show something else."""

    def apply(self, frame: FrameContent, other: FrameContent | None) -> FrameContent:
        """Return the other scene's cells on the frame's grid, and no boxes.

        Args:
            frame: as received.
            other: frame of another scene; None where there is none: nothing comes but the header.
        """
        if other is None:
            return replace(frame, low=None, high=None, boxes=None)
        return replace(other, grid=frame.grid, platform=frame.platform, boxes=None)


@dataclass(frozen=True)
class PeerImpairments:
    """What happens to one peer in one sample of training.

    Attributes:
        budget_bytes: of its frame.
        pose_error: of all that it sends.
        delayed: whether its messages are one frame old.
        packet_loss: of its chunks.
        dropped: whether nothing comes of it.
        boxes_only: whether it sends no features.
        irrelevant: whether its features belong to another place and time.
    """

    budget_bytes: float
    pose_error: RigidPoseError
    delayed: bool
    packet_loss: PacketLoss
    dropped: bool
    boxes_only: bool
    irrelevant: bool


def sample_impairments(config: ImpairmentConfig, peers: int, generator: np.random.Generator) -> list[PeerImpairments]:
    """Draw what happens to each peer of one sample; budget, loss and strength of pose errors are those of the sample.

    Args:
        config: shares and sizes.
        peers: how many there are.
        generator: of all randomness.
    """
    budget = float(np.exp(generator.uniform(*np.log(config.budget))))
    loss = PacketLoss(generator.uniform(0, config.packet_loss) if generator.random() < IMPAIRED_SHARE else 0.0)
    noisy, ego_only = generator.random() < IMPAIRED_SHARE, generator.random() < config.ego_only
    factor = generator.uniform(0, MAX_POSE_ERROR_FACTOR) if noisy else 0.0
    noise = PoseNoise(config.position_std, config.heading_std)
    shares = config.delayed, config.dropped, config.boxes_only, config.irrelevant
    result = []
    for _ in range(peers):
        error = noise.sample(generator, factor)
        delayed, dropped, boxes_only, irrelevant = (bool(generator.random() < share) for share in shares)
        result.append(
            PeerImpairments(budget, error, delayed, loss, dropped or bool(ego_only), boxes_only, irrelevant)
        )  # fmt: skip
    return result

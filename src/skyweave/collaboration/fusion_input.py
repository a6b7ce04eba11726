"""What a fusion strategy receives: the ego's map and what came of the others' maps, all on the ego's grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PeerMap:
    """What came of one peer's map, on the ego's grid.

    Attributes:
        features: (channels, rows, columns); zero where nothing came.
        visible: (rows, columns) 0 to 1: how sure it is that the peer sees a cell and sent it.
        exact: (rows, columns) 1 where a cell came in full.
        boxes: (box channels, rows, columns) as `skyweave.collaboration.boxes.rasterize_boxes`.
        age: seconds from the peer's capture to the ego's.
    """

    features: Tensor
    visible: Tensor
    exact: Tensor
    boxes: Tensor
    age: float


@dataclass(frozen=True)
class FusionInput:
    """One frame of a batch.

    Attributes:
        ego: (batch, channels, rows, columns).
        ego_visible: (batch, rows, columns) bool.
        features: (batch, peers, channels, rows, columns) decoded; zero where nothing came.
        visible: (batch, peers, rows, columns) 0 to 1: how sure it is that the peer sees a cell and sent it.
        exact: (batch, peers, rows, columns) 1 where a cell came in full.
        boxes: (batch, peers, box channels, rows, columns) as `skyweave.collaboration.boxes.rasterize_boxes`.
        age: (batch, peers) seconds.
    """

    ego: Tensor
    ego_visible: Tensor
    features: Tensor
    visible: Tensor
    exact: Tensor
    boxes: Tensor
    age: Tensor

    @classmethod
    def from_peers(cls, ego: Tensor, ego_visible: Tensor, peers: Sequence[PeerMap], box_channels: int) -> "FusionInput":
        """Gather a batch of one frame from what came of each peer.

        Args:
            ego: (channels, rows, columns).
            ego_visible: (rows, columns) bool.
            peers: in any order; may be none.
            box_channels: of the rasterised boxes.
        """
        shape = ego_visible.shape

        def stack(tensors: list[Tensor], size: tuple[int, ...]) -> Tensor:
            stacked = torch.stack(tensors) if tensors else torch.zeros(0, *size)
            return stacked[None].to(ego.device)

        return cls(
            ego[None],
            ego_visible[None],
            stack([peer.features for peer in peers], ego.shape),
            stack([peer.visible for peer in peers], shape),
            stack([peer.exact for peer in peers], shape),
            stack([peer.boxes for peer in peers], (box_channels, *shape)),
            torch.tensor([peer.age for peer in peers], dtype=torch.float32, device=ego.device)[None],
        )

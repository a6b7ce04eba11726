"""What a platform knows when it fuses: its own map and what came of the others', all on its own grid."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FusionInput:
    """One moment of a batch.

    Attributes:
        own: (batch, channels, rows, columns).
        own_visible: (batch, rows, columns) bool.
        features: (batch, peers, channels, rows, columns) decoded; zero where nothing came.
        visible: (batch, peers, rows, columns) 0 to 1: how sure it is that the peer sees a cell and told about it.
        exact: (batch, peers, rows, columns) 1 where a cell came in full.
        boxes: (batch, peers, channels, rows, columns) as `skyweave.collaboration.boxes.rasterize_boxes`.
        age: (batch, peers) seconds.
    """

    own: Tensor
    own_visible: Tensor
    features: Tensor
    visible: Tensor
    exact: Tensor
    boxes: Tensor
    age: Tensor

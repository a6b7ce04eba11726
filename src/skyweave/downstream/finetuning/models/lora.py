"""Low-rank adaptation: frozen matrices with small trained additions (Hu et al. 2021, arXiv 2106.09685)."""

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.core.errors import ConfigError

TARGETS = {"attention": ("qkv", "proj"), "all": ("qkv", "proj", "fc1", "fc2")}
"""Names of the linear layers inside blocks, as in published ViTs."""


class LowRankLinear(nn.Module):
    """``W x + b + (alpha / rank) B A x``: A random, B zero, so that nothing has changed at the start.

    Args:
        linear: W and b, which stay as they are.
        rank: rows of A and columns of B.
        alpha: scale of the addition.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, values: Tensor) -> Tensor:
        """Return (..., outputs).

        Args:
            values: (..., inputs).
        """
        low = functional.linear(functional.linear(values, self.down), self.up)
        outputs: Tensor = self.linear(values) + self.scale * low
        return outputs

    def merged(self) -> nn.Linear:
        """Return one ordinary layer of the same function; its weight is changed in place."""
        with torch.no_grad():
            self.linear.weight += self.scale * self.up @ self.down
        return self.linear


def add_low_rank(network: nn.Module, rank: int, alpha: float, targets: Literal["attention", "all"]) -> list[str]:
    """Put additions beside the linear layers of all blocks, in place; everything else of the network is frozen.

    Args:
        network: with blocks of attention.
        rank: of the additions.
        alpha: scale of the additions, divided by the rank.
        targets: ``attention``: its two matrices; ``all``: those of the feed-forward part too.

    Returns:
        Names of the layers.

    Raises:
        ConfigError: the network has no blocks with such layers.
    """
    network.requires_grad_(False)
    names = _layer_names(network, TARGETS[targets])
    if not names:
        raise ConfigError(
            f"{type(network).__name__} has no blocks with layers named {', '.join(TARGETS[targets])}, so there is "
            "nothing to add low-rank matrices to; use the method full or last"
        )
    for name in names:
        parent, _, child = name.rpartition(".")
        linear = network.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(network.get_submodule(parent), child, LowRankLinear(linear, rank, alpha))
    return names


def merge_low_rank(network: nn.Module) -> None:
    """Turn every addition into a part of its matrix, in place: the same function in the original layout.

    Args:
        network: that `add_low_rank` changed.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, LowRankLinear):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, module.merged())


def _layer_names(network: nn.Module, targets: Collection[str]) -> list[str]:
    """Return the names of the blocks' linear layers that are called as one of ``targets``."""
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and "blocks." in name and name.rpartition(".")[2] in targets
    ]

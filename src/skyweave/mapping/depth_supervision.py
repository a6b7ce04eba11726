"""Supervision of the lift where depths are known: targets over the bins and their loss (BEVDepth, 2206.10092)."""

import torch
from torch import Tensor


def depth_targets(depths: Tensor, truth: Tensor, soft: bool = True) -> tuple[Tensor, Tensor]:
    """Return the distribution over the bins that a network should predict where the depth is known.

    Args:
        depths: (..., bins) depths of the nodes in metres, from `Bins.depths`.
        truth: (...) metric depths along the optical axis; NaN or infinity where unknown.
        soft: share between the two nodes around the truth, so that the expected depth is exact; else the nearest.

    Returns:
        targets (..., bins) that sum to 1, and a mask (...): false where the truth is unknown or more than half a bin
        outside the nodes (above the ceiling, below the ground) or the ray has no nodes; targets are 0 there.
    """
    shape, bins = truth.shape, depths.shape[-1]
    depths, truth = depths.reshape(-1, bins), truth.reshape(-1, 1).to(depths.dtype)
    if bins == 1:
        mask = torch.isfinite(depths) & torch.isfinite(truth)
        return mask.to(depths.dtype).reshape(*shape, 1), mask.reshape(shape)
    sign = torch.where(depths[:, 1:2] < depths[:, :1], -1.0, 1.0).to(depths.dtype)  # so that nodes rise
    nodes = (depths * sign).nan_to_num(nan=torch.inf).contiguous()
    position = (truth * sign).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=torch.inf)
    upper = torch.searchsorted(nodes, position)
    low, high = (upper - 1).clamp(0, bins - 1), upper.clamp(0, bins - 1)
    below, above = nodes.gather(1, low), nodes.gather(1, high)
    share = torch.where(high > low, (position - below) / (above - below), 0.0)
    last = torch.isfinite(nodes).sum(1, keepdim=True).sub_(1).clamp_(min=1)
    past_end = high > last  # between the last node and one that is not in front of the camera, or after the end
    mask = _within_nodes(nodes, position, last)
    share = torch.where(past_end, 0.0, share)
    if not soft:
        share = (share > 0.5).to(share.dtype)
    share = torch.where(mask, share, 0.0)
    targets = torch.zeros_like(nodes)
    targets.scatter_add_(1, low, (1 - share) * mask)
    targets.scatter_add_(1, high.where(~past_end, low), share * mask)
    return targets.reshape(*shape, bins), mask.reshape(shape)


def depth_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the mean cross-entropy of depth logits where the depth is known; 0 where it is nowhere.

    Args:
        logits: (cameras, bins, rows, columns).
        targets: (cameras, rows, columns, bins) from `depth_targets`.
        mask: (cameras, rows, columns) bool.
    """
    entropy = -(targets.to(logits.dtype) * logits.log_softmax(1).permute(0, 2, 3, 1)).sum(-1)
    return torch.where(mask, entropy, 0).sum() / mask.sum().clamp(min=1)


def _within_nodes(nodes: Tensor, position: Tensor, last: Tensor) -> Tensor:
    """(pixels, 1) bool: the truth is known and at most half a bin outside the nodes of its ray."""
    margin_first = (nodes[:, 1:2] - nodes[:, :1]) / 2
    margin_last = (nodes.gather(1, last) - nodes.gather(1, last - 1)) / 2
    return (
        torch.isfinite(position)
        & torch.isfinite(nodes[:, 1:2])
        & (position >= nodes[:, :1] - margin_first)
        & (position <= nodes.gather(1, last) + margin_last)
    )

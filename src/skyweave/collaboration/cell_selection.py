"""What fits into a frame's budget: the packer of the wire format as training sees it, with a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.wire import BoxList
from skyweave.wire.sizes import BOX_BYTES, CHUNK_PAYLOAD_BYTES, HEADER_BYTES, POSE_BYTES

LOW_INDEX_BITS, HIGH_INDEX_BITS = 2.0, 5.0  # to say which block or cell it is
THRESHOLD_TEMPERATURE = 0.5  # of the soft threshold, in units of saliency
BLOCK_PRIORITY = 100.0  # by which blocks are more salient than cells: a block stands for about 64 of them
MAX_BOX_BUDGET_SHARE = 0.6  # that boxes may take where features travel too and there is room for both
MIN_BOX_SCORE = 0.15  # score threshold beside features, as `perception.heads.trajectories.MIN_FORECAST_SCORE`
MIN_SHARED_BUDGET_BYTES = 500  # below which boxes may take all


@dataclass(frozen=True)
class SelectionMask:
    """What arrives of each map.

    Attributes:
        low: (batch, rows / factor, columns / factor) 0 or 1.
        high: (batch, rows, columns) 0 or 1, with the gradient of a soft threshold.
        bytes: (batch,) on the wire, before losses.
    """

    low: Tensor
    high: Tensor
    bytes: Tensor


def select_boxes(boxes: BoxList, budget_bytes: float, features: bool) -> BoxList:
    """Select the boxes that travel in a frame: those with the largest scores.

    Args:
        boxes: of a platform, sorted by falling score.
        budget_bytes: of the frame; may be infinite.
        features: whether these travel too: then boxes get their part of the budget, and those with a score below
            MIN_BOX_SCORE are left out, since they cost bytes and blur what the features say.
    """
    share = MAX_BOX_BUDGET_SHARE if features and budget_bytes >= MIN_SHARED_BUDGET_BYTES else 1.0
    candidates = int((boxes.scores >= MIN_BOX_SCORE).sum()) if features else len(boxes)
    room = (budget_bytes * share - HEADER_BYTES - POSE_BYTES) / BOX_BYTES
    return boxes.select(slice(0, int(max(0.0, min(candidates, room)))))


def select_cells(
    saliency: Tensor,
    low_bits: Tensor | None,
    high_bits: Tensor,
    low_valid: Tensor,
    high_valid: Tensor,
    room_bytes: Tensor,
    packet_loss: Tensor | None = None,
) -> SelectionMask:
    """Fill the room with blocks, then cells, the most salient first; then chunks are lost.

    Args:
        saliency: (batch, rows, columns) of cells.
        low_bits: (batch, rows / factor, columns / factor) of blocks; None without a low branch.
        high_bits: (batch, rows, columns) of cells.
        low_valid: (batch, rows / factor, columns / factor) bool: which blocks there are.
        high_valid: (batch, rows, columns) bool: which cells there are.
        room_bytes: (batch,) for features.
        packet_loss: (batch,) share of chunks that are lost; None: none.
    """
    cells = high_valid[0].numel()
    score, cost = _ranked_scores(saliency, low_bits, high_bits, low_valid, high_valid)
    order = score.argsort(1, descending=True)
    there = torch.isfinite(score.gather(1, order))
    size = torch.where(there, cost.gather(1, order), 0).cumsum(1) / 8
    size = size * (1 + HEADER_BYTES / CHUNK_PAYLOAD_BYTES)
    fits = there & (size <= room_bytes[:, None])
    used = torch.where(fits, size, 0).amax(1)
    arrives = fits if packet_loss is None else fits & _surviving(size, fits, packet_loss)
    sent = torch.zeros_like(fits).scatter(1, order, arrives)
    chosen = torch.zeros_like(fits).scatter(1, order, fits)[:, :cells]
    hard = sent[:, :cells].view_as(high_valid).to(saliency.dtype)
    soft = _soft_selection(saliency, score[:, :cells], chosen) * high_valid
    high = hard + soft - soft.detach() if soft.requires_grad else hard
    low = sent[:, cells:].view_as(low_valid) if low_bits is not None else torch.zeros_like(low_valid)
    return SelectionMask(low.to(saliency.dtype), high, used)


def _ranked_scores(
    saliency: Tensor, low_bits: Tensor | None, high_bits: Tensor, low_valid: Tensor, high_valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (batch, cells + blocks) saliency, -inf where there is nothing, and the bits that each takes."""
    score = saliency.detach().float().masked_fill(~high_valid, -torch.inf).flatten(1)
    cost = (high_bits.detach().float() + HIGH_INDEX_BITS).flatten(1)
    if low_bits is None:
        return score, cost
    factor = high_valid.shape[-1] // low_valid.shape[-1]
    pooled = functional.max_pool2d(saliency.detach().float()[:, None], factor)[:, 0]
    blocks = pooled.masked_fill(~low_valid, -torch.inf).flatten(1) + BLOCK_PRIORITY
    block_cost = (low_bits.detach().float() + LOW_INDEX_BITS).flatten(1)
    return torch.cat([score, blocks], 1), torch.cat([cost, block_cost], 1)


def _surviving(size: Tensor, fits: Tensor, packet_loss: Tensor) -> Tensor:
    """Return (batch, cells) bool: whether the chunk that a cell travels in arrives."""
    chunk = (size / (CHUNK_PAYLOAD_BYTES + HEADER_BYTES)).long()
    count = int(chunk[fits].max()) + 1 if bool(fits.any()) else 1
    survives = torch.rand(len(size), count, device=size.device) >= packet_loss[:, None]
    return survives.gather(1, chunk.clamp(max=count - 1))


def _soft_selection(saliency: Tensor, score: Tensor, chosen: Tensor) -> Tensor:
    """Return (batch, rows, columns) the soft step at the saliency of the last cell that fits, for its gradient."""
    threshold = score.masked_fill(~chosen, torch.inf).amin(1)
    threshold = torch.where(torch.isfinite(threshold), threshold, score.amax(1).nan_to_num(0, 0, 0))
    return torch.sigmoid((saliency - threshold[:, None, None].to(saliency.dtype)) / THRESHOLD_TEMPERATURE)

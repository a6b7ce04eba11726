"""What fits into a frame's budget: the packer of the wire format as training sees it, with a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.wire import BoxList

HEADER, POSE, CHUNK = 38, 16, 1150  # bytes; what a chunk of 1200 bytes holds besides its header
BOX = 11.5  # bytes
LOW_INDEX_BITS, HIGH_INDEX_BITS = 2.0, 5.0  # bits to say which cell it is
THRESHOLD_TEMPERATURE = 0.5  # of the threshold's slope, in units of usefulness
BLOCK_PRIORITY = 100.0  # by which blocks are more useful than cells: one tells about 64
MAX_BOX_BUDGET_SHARE = 0.6  # of the budget that boxes may take where features travel too and there is room for both
MIN_BOX_SCORE = (
    0.15  # score of a box that travels beside features: as `skyweave.perception.prediction.MIN_FORECAST_SCORE`
)
MIN_SHARED_BUDGET_BYTES = 500  # bytes of a budget below which boxes may take all


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


def select_boxes(boxes: BoxList, budget: float, features: bool) -> BoxList:
    """Of a platform's boxes, the most certain first, those that travel in a frame.

    Args:
        budget: bytes of the frame; may be infinite.
        features: whether these travel too: then boxes get their part of the budget, and those that are likely none
            are left out, since they cost bytes and blur what the features say.
    """
    share = MAX_BOX_BUDGET_SHARE if features and budget >= MIN_SHARED_BUDGET_BYTES else 1.0
    worth = int((boxes.scores >= MIN_BOX_SCORE).sum()) if features else len(boxes)
    return boxes.select(slice(0, int(max(0.0, min(worth, (budget * share - HEADER - POSE) / BOX)))))


def select_cells(
    usefulness: Tensor,
    low_bits: Tensor | None,
    high_bits: Tensor,
    low_valid: Tensor,
    high_valid: Tensor,
    room: Tensor,
    lost: Tensor | None = None,
) -> SelectionMask:
    """Blocks, then cells, the most useful first, until the room is full; then chunks are lost.

    Args:
        usefulness: (batch, rows, columns) of cells.
        low_bits: (batch, rows / factor, columns / factor) of blocks; None without a low branch.
        high_bits: (batch, rows, columns).
        low_valid, high_valid: which there are.
        room: (batch,) bytes for features.
        lost: (batch,) share of chunks that are lost.
    """
    batch, cells = len(usefulness), high_valid[0].numel()
    factor = high_valid.shape[-1] // low_valid.shape[-1]
    score = usefulness.detach().float().masked_fill(~high_valid, -torch.inf).flatten(1)
    cost = (high_bits.detach().float() + HIGH_INDEX_BITS).flatten(1)
    if low_bits is not None:
        pooled = functional.max_pool2d(usefulness.detach().float()[:, None], factor)[:, 0]
        blocks = pooled.masked_fill(~low_valid, -torch.inf).flatten(1) + BLOCK_PRIORITY
        score = torch.cat([score, blocks], 1)
        cost = torch.cat([cost, (low_bits.detach().float() + LOW_INDEX_BITS).flatten(1)], 1)
    order = score.argsort(1, descending=True)
    there = torch.isfinite(score.gather(1, order))
    size = torch.where(there, cost.gather(1, order), 0).cumsum(1) / 8
    size = size * (1 + HEADER / CHUNK)
    fits = there & (size <= room[:, None])
    used = torch.where(fits, size, 0).amax(1)
    arrives = fits
    if lost is not None:
        chunk = (size / (CHUNK + HEADER)).long()
        count = int(chunk[fits].max()) + 1 if bool(fits.any()) else 1
        survives = torch.rand(batch, count, device=score.device) >= lost[:, None]
        arrives = fits & survives.gather(1, chunk.clamp(max=count - 1))
    sent = torch.zeros_like(fits).scatter(1, order, arrives)
    chosen = torch.zeros_like(fits).scatter(1, order, fits)[:, :cells]
    hard = sent[:, :cells].view_as(high_valid).to(usefulness.dtype)
    threshold = score[:, :cells].masked_fill(~chosen, torch.inf).amin(1)
    threshold = torch.where(torch.isfinite(threshold), threshold, score[:, :cells].amax(1).nan_to_num(0, 0, 0))
    soft = (
        torch.sigmoid((usefulness - threshold[:, None, None].to(usefulness.dtype)) / THRESHOLD_TEMPERATURE) * high_valid
    )
    high = hard + soft - soft.detach() if soft.requires_grad else hard
    low = sent[:, cells:].view_as(low_valid) if low_bits is not None else torch.zeros_like(low_valid)
    return SelectionMask(low.to(usefulness.dtype), high, used)

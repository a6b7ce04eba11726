"""What a platform sends in one frame, from its map to bytes within a budget.

The codec's modules are those of the training, around `skyweave.wire`. The sender encodes once for all receivers.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import SCORE_CHANNEL, centres_on_map, rasterize_boxes
from skyweave.collaboration.cell_selection import BLOCK_PRIORITY, select_boxes
from skyweave.collaboration.entropy import select_contexts
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import EgoMaps
from skyweave.collaboration.precision import module_device
from skyweave.collaboration.requests import make_request
from skyweave.core.errors import WeightsError
from skyweave.core.geometry.grid import MapGrid
from skyweave.wire import BoxList, Cells, EntropyTables, FrameContent, Pose, WireGrid, encode_frame

MIN_REQUEST_BUDGET_BYTES = 1000  # from which a request travels
MIN_CELL_BITS = 8  # that a cell takes: what a budget cannot hold is not worked out
SORT_WINDOW_CHUNKS = 4  # among which cells are sorted so that neighbours travel together


@torch.inference_mode()
def build_message(
    model: CollaborativeModel,
    ego: EgoMaps,
    budget_bytes: int | None = None,
    request: np.ndarray | None = None,
    pose: Pose | None = None,
    platform: int = 0,
    sequence: int = 0,
) -> FrameContent:
    """Build what a platform sends in one frame, the most salient first.

    Args:
        model: with frozen tables, where features travel.
        ego: the platform's maps, on a grid that is snapped to the codec's blocks.
        budget_bytes: of the frame; what cannot fit is not worked out. None: everything.
        request: (rows, columns) 0 to 1, what others asked for (`skyweave.collaboration.requests.request_map`).
        pose: to be sent along; None: none.
        platform: number of the platform.
        sequence: number of the frame.

    Raises:
        WeightsError: a model whose tables are not frozen.
        ValueError: a grid that is not snapped.
    """
    _check_snapped(ego.grid, model.config.codec.factor)
    limit = float("inf") if budget_bytes is None else float(budget_bytes)
    strategy = model.strategy
    boxes = _sent_boxes(ego, limit, strategy.sends_features) if strategy.sends_boxes else None
    with_request = strategy.sends_request and limit >= MIN_REQUEST_BUDGET_BYTES
    frame = FrameContent(
        platform, sequence, ego.time, WireGrid.from_map(ego.grid), pose=pose, boxes=boxes,
        request=make_request(ego.visible.cpu().numpy(), ego.grid) if with_request else None,
    )  # fmt: skip
    return _with_features(frame, model, ego, limit, request) if model.sends_features else frame


def encode_message(
    frame: FrameContent,
    tables: Sequence[EntropyTables],
    budget_bytes: int | None = None,
    mtu: int = 1200,
    sort_window: int = SORT_WINDOW_CHUNKS,
) -> list[bytes]:
    """Encode a message as chunks within a budget.

    Args:
        frame: with its header's numbers.
        tables: of all models that the sender has; those of the frame's are used.
        budget_bytes: of all chunks together; None: everything is sent.
        mtu: bytes of the largest chunk.
        sort_window: chunks among which cells are sorted so that neighbours travel together.

    Raises:
        WireError: a budget below one header, or a value that cannot be sent.
    """
    model = frame.fingerprint, frame.codec, frame.quality
    matching = next((one for one in tables if one.model == model), None)
    return encode_frame(frame, matching, mtu, budget_bytes, sort_window=sort_window)


def _check_snapped(grid: MapGrid, factor: int) -> None:
    if any(value % factor for value in (grid.west, grid.north, grid.rows, grid.columns)):
        raise ValueError(f"the grid {grid} must start and end on multiples of {factor} cells")


def _sent_boxes(ego: EgoMaps, limit_bytes: float, features: bool) -> BoxList:
    boxes = select_boxes(ego.boxes, limit_bytes, features)
    return boxes.select(np.flatnonzero(centres_on_map(boxes, ego.grid)))  # wire coordinates reach little beyond the map


def _with_features(
    frame: FrameContent, model: CollaborativeModel, ego: EgoMaps, limit_bytes: float, request: np.ndarray | None
) -> FrameContent:
    """Return the frame with the cells of both branches that may fit."""
    tables, device, factor = model.tables, module_device(model), model.config.codec.factor
    if tables is None:
        raise WeightsError(
            "the codec's tables are not frozen; train it, or call `skyweave.collaboration.entropy_tables.freeze_tables`"
        )
    maps, seen = ego.features[None].float().to(device), ego.visible[None].to(device)
    latents = model.codec.quantise(model.codec.encode(maps, seen), noisy=False)
    asked_for = torch.zeros(seen.shape) if request is None else torch.from_numpy(request)[None].float()
    box_scores = rasterize_boxes(ego.boxes, ego.grid, len(model.perception.config.categories))[None, SCORE_CHANNEL]
    saliency = model.strategy.saliency_map(maps, seen, asked_for.to(device), box_scores.to(device))[0].cpu().numpy()
    max_cells = limit_bytes * 8 / MIN_CELL_BITS
    high = _rank_cells(latents.high[0], latents.high_valid[0], saliency, tables, "high", max_cells)
    low = None
    if latents.low is not None:
        blocks = saliency.reshape(saliency.shape[0] // factor, factor, -1, factor).max((1, 3)) + BLOCK_PRIORITY
        low = _rank_cells(latents.low[0], latents.low_valid[0], blocks, tables, "low", np.inf)
    fingerprint, codec, quality = tables.model
    return replace(frame, fingerprint=fingerprint, codec=codec, quality=quality, low=low, high=high)


def _rank_cells(
    levels: Tensor, valid: Tensor, saliency: np.ndarray, tables: EntropyTables, branch: str, max_cells: float
) -> Cells:
    """Return the valid cells of levels (channels, rows, columns), those with the largest saliency if there are many."""
    indices = np.flatnonzero(valid.cpu().numpy())
    scores = saliency.ravel()[indices]
    if len(indices) > max_cells:
        best = np.argpartition(-scores, int(max_cells))[: int(max_cells)]
        indices, scores = indices[best], scores[best]
    numbers = levels.cpu().flatten(1)[:, torch.from_numpy(indices)].T.numpy().astype(np.int16)
    return Cells(indices, numbers, select_contexts(tables, branch, numbers), scores)

"""One platform's frame to bytes within a budget, and bytes to what the receiver knows of it.

These are the codec's modules of the training, around `skyweave.wire`: ``build_message`` and ``decode_received`` are all that a node
needs. The sender encodes once for all receivers; a receiver decodes on the sender's grid and cuts out its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import SCORE_CHANNEL, centres_on_map, rasterize_boxes
from skyweave.collaboration.cache import translate_map
from skyweave.collaboration.cell_selection import BLOCK_PRIORITY, select_boxes
from skyweave.collaboration.codec import DecodedFeatures, Latents
from skyweave.collaboration.entropy import select_contexts
from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.pose_alignment import PoseCorrection, PoseError
from skyweave.core.errors import ConfigError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList, Cells, EntropyTables, FrameContent, Pose, Request, WireGrid, encode_frame

REQUEST_FACTOR = 16  # cells of the map along a side of a request's
REQUEST_LEVELS = 3
MIN_REQUEST_BUDGET_BYTES = 1000  # bytes of a budget from which a request travels
MIN_CELL_BITS = 8  # bits that a cell takes at least: what a budget cannot hold is not worked out
INTERLEAVED_CHUNKS = 4  # chunks among which neighbours travel together
NANOSECONDS = 1e9
MIN_COVERED_SHARE = 0.8  # of a box's cells that came in full, from which the fused map says more than the box


@torch.inference_mode()
def build_message(
    model: CollaborativeModel,
    features: Tensor,
    visible: Tensor,
    grid: MapGrid,
    time: int,
    boxes: BoxList | None = None,
    budget: int | None = None,
    wanted: np.ndarray | None = None,
    pose: Pose | None = None,
    platform: int = 0,
    sequence: int = 0,
) -> FrameContent:
    """What a platform tells in one frame, the most useful first.

    Args:
        model: with frozen tables, where features travel.
        features: (channels, rows, columns) of its own map; visible: (rows, columns) bool.
        grid: of the map, snapped to the codec's coarse cells.
        boxes: that it found alone, the most certain first.
        budget: bytes; what cannot fit is not worked out. None: everything.
        wanted: (rows, columns) 0 to 1, what others asked for (`request_map`).

    Raises:
        ValueError: a model whose tables are not frozen, or a grid that is not snapped.
    """
    factor = model.config.codec.factor
    if any(value % factor for value in (grid.west, grid.north, grid.rows, grid.columns)):
        raise ConfigError(f"the grid {grid} must start and end on multiples of {factor} cells")
    limit = float("inf") if budget is None else float(budget)
    shares = model.strategy.shares
    told: BoxList | None = None
    if boxes is not None and shares in ("boxes", "both"):
        told = select_boxes(boxes, limit, shares == "both")
        told = told.select(np.flatnonzero(centres_on_map(told, grid)))  # the wire's places reach little beyond the map
    request = None
    if shares == "both" and limit >= MIN_REQUEST_BUDGET_BYTES:
        request = make_request(visible.numpy(), grid)
    frame = FrameContent(
        platform, sequence, time, WireGrid.from_map(grid), pose=pose, boxes=told, request=request
    )  # fmt: skip
    if not model.sends_features:
        return frame
    tables = model.tables
    if tables is None:
        raise ConfigError(
            "the codec's tables are not frozen; train it, or call `skyweave.collaboration.entropy_tables.freeze_tables`"
        )
    maps, seen = features[None].float(), visible[None]
    levels = model.codec.quantised(model.codec.encode(maps, seen), noisy=False)
    asked = torch.zeros(1, *visible.shape) if wanted is None else torch.from_numpy(wanted)[None].float()
    certain = rasterize_boxes(boxes, grid, len(model.perception.config.categories))[None, SCORE_CHANNEL]
    useful = model.strategy.usefulness(maps, seen, asked, certain)[0].numpy()
    high = _cells(levels.high[0], levels.high_valid[0].numpy(), useful, tables, "high", limit * 8 / MIN_CELL_BITS)
    low = None
    if levels.low is not None:
        pooled = useful.reshape(useful.shape[0] // factor, factor, -1, factor).max((1, 3)) + BLOCK_PRIORITY
        low = _cells(levels.low[0], levels.low_valid[0].numpy(), pooled, tables, "low", np.inf)
    fingerprint, codec, quality = tables.model
    return replace(frame, fingerprint=fingerprint, codec=codec, quality=quality, low=low, high=high)


def encode_message(
    model: CollaborativeModel, frame: FrameContent, budget: int | None = None, mtu: int = 1200
) -> list[bytes]:
    """A frame as chunks within a budget. Raises ``ValueError`` for a budget below one header."""
    return encode_frame(frame, model.tables, mtu, budget, sort_window=INTERLEAVED_CHUNKS)


@torch.inference_mode()
def decode_features(model: CollaborativeModel, frame: FrameContent) -> DecodedFeatures | None:
    """What a frame, whole or in part, says about the sender's map, on the sender's grid; None without features."""
    tables = model.tables
    known = tables is not None and (frame.fingerprint, frame.codec, frame.quality) == tables.model
    if not known or (frame.low is None and frame.high is None):
        return None
    grid, factor, codec = frame.grid, model.codec.config.factor, model.codec
    if any(value % factor for value in (grid.west, grid.north, grid.rows, grid.columns)):
        return None  # no sender of ours
    coarse = grid.coarser(factor)
    high, exact = _placed(frame.high, grid, codec.config.high)
    low, came = (None, torch.zeros(1, coarse.rows, coarse.columns))
    if codec.config.low:
        low, came = _placed(frame.low, coarse, codec.config.low)
    return codec.decode(Latents(low, came > 0, high, exact > 0), came, exact)


@dataclass(frozen=True)
class ReceivedFeatures:
    """What came at one moment.

    Attributes:
        told: for the strategies to fuse.
        boxes: of each peer, put where they belong; without those whose place the peer told in full: the fused map
            shows that better than one platform alone could.
    """

    told: FusionInput
    boxes: list[BoxList]


def decode_received(
    model: CollaborativeModel,
    own: Tensor,
    own_visible: Tensor,
    grid: MapGrid,
    frames: Sequence[FrameContent],
    time: int,
    errors: Sequence[PoseError] = (),
    ground: Ground | None = None,
) -> ReceivedFeatures:
    """What is known at one moment.

    Args:
        own: (channels, rows, columns) on ``grid``; own_visible: (rows, columns) bool.
        frames: of others, one each; boxes were moved to ``time`` by their velocities already.
        time: of the moment, UTC nanoseconds.
        errors: of each frame's pose (`skyweave.collaboration.pose_alignment`); none: all are believed. What comes from a pose
            that is not to be trusted is left out.
        ground: on which maps lie; needed where there are errors.
    """
    classes, nowhere = len(model.perception.config.categories), torch.zeros(grid.shape)
    came: list[tuple[Tensor, Tensor, Tensor]] = []
    drawings: list[Tensor] = []
    ages, lists = [], []
    for number, frame in enumerate(frames):
        error = errors[number] if errors else PoseError()
        if not error.trusted:
            continue
        correction = error.at(None if frame.pose is None else frame.pose.position)
        parts, boxes = _on_own_grid(model, frame, grid, correction, ground), frame.boxes
        if boxes is not None and correction is not None:
            boxes = correction.boxes(boxes)
        parts = parts or (torch.zeros_like(own), nowhere, nowhere)
        came.append(parts)
        shares = model.strategy.shares in ("boxes", "both")
        drawings.append(rasterize_boxes(boxes if shares else None, grid, classes))
        ages.append(max(time - frame.time, 0) / NANOSECONDS)
        if boxes is not None:
            lists.append(_left(boxes, _share(boxes, parts[2].numpy(), grid) >= MIN_COVERED_SHARE, grid))
    channels = model.strategy.box_channels
    told = FusionInput(
        own[None],
        own_visible[None],
        _stack([parts[0] for parts in came], own.shape)[None],
        _stack([parts[1] for parts in came], grid.shape)[None],
        _stack([parts[2] for parts in came], grid.shape)[None],
        _stack(drawings, (channels, *grid.shape))[None],
        torch.tensor(ages, dtype=torch.float32)[None],
    )
    return ReceivedFeatures(told, lists)


def _on_own_grid(
    model: CollaborativeModel,
    frame: FrameContent,
    grid: MapGrid,
    correction: PoseCorrection | None,
    ground: Ground | None,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Features, visibility and exactness of a frame on the receiver's grid; None without features."""
    known = decode_features(model, frame)
    if known is None:
        return None
    offset = frame.grid.to_map().offset_to(grid)
    parts = tuple(translate_map(part[0], *offset, grid.shape) for part in (known.features, known.visible, known.exact))
    if correction is not None:
        if ground is None:
            raise ConfigError(
                "maps told from a wrong pose are put right on the ground; give `decode_received` its `ground`"
            )
        heights = ground.height(grid.cell_centres())
        parts = tuple(correction.maps(part, grid, heights) for part in parts)
    return parts  # type: ignore[return-value]


def make_request(visible: np.ndarray, grid: MapGrid) -> Request:
    """What a platform that sees ``visible`` (rows, columns) of its grid wants to know: the parts it does not see."""
    f, wire = REQUEST_FACTOR, WireGrid.from_map(grid)
    coarse = wire.coarser(f)
    counted = np.zeros((2, coarse.rows * f, coarse.columns * f), np.float32)
    top, left = coarse.north * f - wire.north, wire.west - coarse.west * f
    counted[0, top : top + wire.rows, left : left + wire.columns] = visible
    counted[1, top : top + wire.rows, left : left + wire.columns] = 1
    seen, there = counted.reshape(2, coarse.rows, f, coarse.columns, f).sum((2, 4))
    return Request(np.rint((1 - seen / np.maximum(there, 1)) * REQUEST_LEVELS).astype(np.uint8), f)


def request_map(requests: Sequence[FrameContent], grid: MapGrid) -> np.ndarray:
    """(rows, columns) 0 to 1: the most that any of these frames asks for, on a platform's own grid."""
    wanted = np.zeros(grid.shape, np.float32)
    for frame in requests:
        if frame.request is None:
            continue
        theirs, factor = frame.grid, frame.request.factor
        coarse = theirs.coarser(factor)
        levels = np.minimum(frame.request.levels / REQUEST_LEVELS, 1).astype(np.float32)
        full = torch.from_numpy(levels.repeat(factor, 0).repeat(factor, 1))
        whole = replace(theirs, west=coarse.west * factor, north=coarse.north * factor, rows=full.shape[0],
                        columns=full.shape[1])  # fmt: skip
        wanted = np.maximum(wanted, translate_map(full, *whole.to_map().offset_to(grid), grid.shape).numpy())
    return wanted


def _cells(
    levels: Tensor, valid: np.ndarray, useful: np.ndarray, tables: EntropyTables, branch: str, most: float
) -> Cells:
    indices = np.flatnonzero(valid)
    worth = useful.ravel()[indices]
    if len(indices) > most:
        best = np.argpartition(-worth, int(most))[: int(most)]
        indices, worth = indices[best], worth[best]
    numbers = levels.flatten(1)[:, torch.from_numpy(indices)].T.numpy().astype(np.int16)
    return Cells(indices, numbers, select_contexts(tables, branch, numbers), worth)


def _placed(cells: Cells | None, grid: WireGrid, channels: int) -> tuple[Tensor, Tensor]:
    """(1, channels, rows, columns) numbers and (1, rows, columns) 1 where some came."""
    if cells is None:
        return torch.zeros(1, channels, grid.rows, grid.columns), torch.zeros(1, grid.rows, grid.columns)
    levels, valid = cells.placed(grid)
    return torch.from_numpy(levels.astype(np.float32))[None], torch.from_numpy(valid.astype(np.float32))[None]


def _share(boxes: BoxList, exact: np.ndarray, grid: MapGrid) -> np.ndarray:
    """(n,) the share of each box's cells that came in full."""
    if not exact.any():
        return np.zeros(len(boxes))
    footprints = Boxes(boxes.centres, boxes.sizes, boxes.yaws).footprints()
    owner = rasterise(footprints, np.arange(1, len(boxes) + 1), grid)
    cells = np.bincount(owner.ravel(), minlength=len(boxes) + 1)[1:]
    told = np.bincount(owner.ravel(), exact.ravel() > 0.5, minlength=len(boxes) + 1)[1:]
    return np.asarray(told / np.maximum(cells, 1))


def _left(boxes: BoxList, in_full: np.ndarray, grid: MapGrid) -> BoxList:
    """The boxes whose place did not come in full: on the map, the more came, the less certain, since a sender's most
    useful places come first, and on the fused map only clutter is left to tell.
    """
    on = centres_on_map(boxes, grid)
    share = in_full[on].mean() if on.any() else 0.0
    left = replace(boxes, scores=boxes.scores * np.where(on, 1 - share, 1.0))
    return left.select(np.flatnonzero(~in_full))


def _stack(parts: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return torch.stack(parts) if parts else torch.zeros(0, *shape)

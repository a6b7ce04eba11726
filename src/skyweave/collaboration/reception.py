"""What a receiver makes of others' frames: their features and boxes on its own grid, errors of their poses undone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import centres_on_map, rasterize_boxes
from skyweave.collaboration.codec import DecodedFeatures, Latents
from skyweave.collaboration.fusion_input import FusionInput, PeerMap
from skyweave.collaboration.map_memory import NANOSECONDS, translate_map
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.pose_alignment import PoseCorrection, PoseError
from skyweave.collaboration.precision import module_device
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.model import PlatformMaps
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList, Cells, EntropyTables, FrameContent, WireGrid

MIN_COVERED_SHARE = 0.8  # of a box's cells that came in full, from which the fused map says more than the box


@dataclass(frozen=True)
class ReceivedFeatures:
    """What came of all peers in one frame.

    Attributes:
        inputs: for the strategy to fuse.
        boxes: of each peer, put where they belong; without those whose place came in full: the fused map shows that
            better than one platform alone could.
        base_maps: features of imagery that came (`skyweave.collaboration.ground_station`); None where none did.
    """

    inputs: FusionInput
    boxes: list[BoxList]
    base_maps: PlatformMaps | None = None


@torch.inference_mode()
def decode_features(
    model: CollaborativeModel, frame: FrameContent, tables: EntropyTables | None = None
) -> DecodedFeatures | None:
    """Decode what a frame, whole or in part, holds of the sender's map, on the sender's grid.

    Args:
        model: of the receiver.
        frame: as received.
        tables: of the features' space; default those of platforms.

    Returns:
        a batch of one on the model's device; None without features, or with those of another model.
    """
    tables = tables or model.tables
    readable = tables is not None and (frame.fingerprint, frame.codec, frame.quality) == tables.model
    if not readable or (frame.low is None and frame.high is None):
        return None
    grid, codec, device = frame.grid, model.codec, module_device(model)
    factor = codec.config.factor
    if _is_shifted(grid, factor):
        return None  # it was not sent by this codec
    coarse = grid.coarser(factor)
    high, exact = (part.to(device) for part in _cells_on_grid(frame.high, grid, codec.config.high))
    low, low_sent = None, torch.zeros(1, coarse.rows, coarse.columns, device=device)
    if codec.config.low:
        low, low_sent = (part.to(device) for part in _cells_on_grid(frame.low, coarse, codec.config.low))
    return codec.decode(Latents(low, low_sent > 0, high, exact > 0), low_sent, exact)


def _is_shifted(grid: WireGrid, factor: int) -> bool:
    """Return whether a grid does not begin and end with coarse cells."""
    return any(value % factor for value in (grid.west, grid.north, grid.rows, grid.columns))


def decode_received(
    model: CollaborativeModel,
    ego: Tensor,
    ego_visible: Tensor,
    grid: MapGrid,
    frames: Sequence[FrameContent],
    time: int,
    errors: Sequence[PoseError] = (),
    ground: Ground | None = None,
    imagery: EntropyTables | None = None,
) -> ReceivedFeatures:
    """Decode others' frames and bring them onto the ego's grid.

    Args:
        model: of the ego.
        ego: (channels, rows, columns) the ego's map on ``grid``.
        ego_visible: (rows, columns) bool.
        grid: of the ego.
        frames: of others, one each; boxes were moved to ``time`` by their velocities already.
        time: of the ego's frame, UTC nanoseconds.
        errors: of each frame's pose (`skyweave.collaboration.pose_alignment`); none: all poses are believed. What
            comes from a pose that is not trusted is left out.
        ground: on which maps lie; needed where there are errors.
        imagery: tables by which features of imagery are read; None: they are not.

    Raises:
        ValueError: there are errors of poses, and no ground.
    """
    peers, boxes_of_peers, base_maps = [], [], []
    for number, frame in enumerate(frames):
        if imagery is not None and (frame.fingerprint, frame.codec, frame.quality) == imagery.model:
            base_maps.append(_base_map(model, frame, grid, imagery))
            continue
        error = errors[number] if errors else PoseError()
        if not error.trusted:
            continue
        correction = error.correction(None if frame.pose is None else frame.pose.position)
        boxes = frame.boxes
        if boxes is not None and correction is not None:
            boxes = correction.correct_boxes(boxes)
        peer = _peer_map(model, ego, frame, grid, boxes, time, correction, ground)
        peers.append(peer)
        if boxes is not None:
            covered = _covered_share(boxes, peer.exact.cpu().numpy(), grid) >= MIN_COVERED_SHARE
            boxes_of_peers.append(_uncovered_boxes(boxes, covered, grid))
    inputs = FusionInput.from_peers(ego, ego_visible, peers, model.strategy.box_channels)
    return ReceivedFeatures(inputs, boxes_of_peers, _stack_base_maps(base_maps))


def _base_map(
    model: CollaborativeModel, frame: FrameContent, grid: MapGrid, imagery: EntropyTables
) -> tuple[Tensor, Tensor] | None:
    """Return features and visibility of imagery on the ego's grid; None where nothing of it came."""
    decoded = decode_features(model, frame, imagery)
    if decoded is None:
        return None
    features, visible, _ = _on_ego_grid(decoded, frame.grid, grid, None, None)
    return features, visible > 0


def _stack_base_maps(base_maps: Sequence[tuple[Tensor, Tensor] | None]) -> PlatformMaps | None:
    """Return base maps as those of one sample."""
    came = [one for one in base_maps if one is not None]
    if not came:
        return None
    features, visible = (torch.stack(part)[None] for part in zip(*came, strict=True))
    return PlatformMaps(features, visible, [])


def _peer_map(
    model: CollaborativeModel,
    ego: Tensor,
    frame: FrameContent,
    grid: MapGrid,
    boxes: BoxList | None,
    time: int,
    correction: PoseCorrection | None,
    ground: Ground | None,
) -> PeerMap:
    nothing = torch.zeros(grid.shape, device=ego.device)
    decoded = decode_features(model, frame)
    features, visible, exact = torch.zeros_like(ego), nothing, nothing
    if decoded is not None:
        features, visible, exact = _on_ego_grid(decoded, frame.grid, grid, correction, ground)
    classes = len(model.perception.config.categories)
    raster = rasterize_boxes(boxes if model.strategy.sends_boxes else None, grid, classes).to(ego.device)
    return PeerMap(features, visible, exact, raster, max(time - frame.time, 0) / NANOSECONDS)


def _on_ego_grid(
    decoded: DecodedFeatures,
    sender_grid: WireGrid,
    grid: MapGrid,
    correction: PoseCorrection | None,
    ground: Ground | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, visibility and exactness of a frame on the ego's grid."""
    offset = sender_grid.to_map().offset_to(grid)
    maps = [translate_map(part[0], *offset, grid.shape) for part in (decoded.features, decoded.visible, decoded.exact)]
    if correction is not None:
        if ground is None:
            raise ValueError("maps from a wrong pose are corrected on the ground; give `decode_received` its `ground`")
        heights = ground.height(grid.cell_centres())
        maps = [correction.correct_map(part, grid, heights) for part in maps]
    features, visible, exact = maps
    return features, visible, exact


def _cells_on_grid(cells: Cells | None, grid: WireGrid, channels: int) -> tuple[Tensor, Tensor]:
    """Return (1, channels, rows, columns) numbers and (1, rows, columns) 1 where some came."""
    if cells is None:
        return torch.zeros(1, channels, grid.rows, grid.columns), torch.zeros(1, grid.rows, grid.columns)
    levels, valid = cells.placed(grid)
    return torch.from_numpy(levels.astype(np.float32))[None], torch.from_numpy(valid.astype(np.float32))[None]


def _covered_share(boxes: BoxList, exact: np.ndarray, grid: MapGrid) -> np.ndarray:
    """Return (n,) the share of each box's cells that came in full."""
    if not exact.any():
        return np.zeros(len(boxes))
    footprints = Boxes(boxes.centres, boxes.sizes, boxes.yaws).footprints()
    owner = rasterise(footprints, np.arange(1, len(boxes) + 1), grid)
    cells = np.bincount(owner.ravel(), minlength=len(boxes) + 1)[1:]
    covered = np.bincount(owner.ravel(), exact.ravel() > 0.5, minlength=len(boxes) + 1)[1:]
    return np.asarray(covered / np.maximum(cells, 1))


def _uncovered_boxes(boxes: BoxList, covered: np.ndarray, grid: MapGrid) -> BoxList:
    """Return the boxes whose place did not come in full.

    Those on the map have the smaller scores the larger the share of covered ones: a sender's most salient places come
    first, so that only clutter is left.
    """
    on = centres_on_map(boxes, grid)
    share = covered[on].mean() if on.any() else 0.0
    remaining = replace(boxes, scores=boxes.scores * np.where(on, 1 - share, 1.0))
    return remaining.select(np.flatnonzero(~covered))

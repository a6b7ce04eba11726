"""Batches for training: maps of all platforms on the ego's grid, with their past and the peers' impairments."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skyweave.collaboration.boxes import extrapolate_boxes, rasterize_boxes
from skyweave.collaboration.cache import platform_names
from skyweave.collaboration.cell_selection import select_boxes
from skyweave.collaboration.config import ImpairmentConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.impairments import PeerImpairments, sample_impairments
from skyweave.collaboration.observer import SNAP_CELLS, EgoMaps, crop_to_grid
from skyweave.collaboration.requests import coarse_request
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.batch import PerceptionSample
from skyweave.wire import BoxList
from skyweave.wire.sizes import BOX_BYTES

MAX_SHIFT_BLOCKS = 2  # by which a training map is moved


@dataclass(frozen=True)
class PeerTensors:
    """One peer in one frame, on the ego's grid; stacked, all peers in all frames.

    Attributes:
        peers: (channels, rows, columns) as the peer sends it, errors of its pose included.
        peer_visible: (rows, columns) bool.
        clean: (channels, rows, columns) without impairments, for the teacher.
        clean_visible: (rows, columns) bool.
        boxes: (box channels, rows, columns) rasterised, as they arrive.
        box_bytes: that its boxes take.
        budget: bytes of its frame.
        packet_loss: share of its chunks that are lost.
        request: (rows, columns) 0 to 1: what was asked for.
        age: seconds.
    """

    peers: Tensor
    peer_visible: Tensor
    clean: Tensor
    clean_visible: Tensor
    boxes: Tensor
    box_bytes: Tensor
    budget: Tensor
    packet_loss: Tensor
    request: Tensor
    age: Tensor


PEER_FIELDS = tuple(field.name for field in fields(PeerTensors))


@dataclass(frozen=True)
class CollaborationBatch:
    """A batch for training; peers are those of the ego, in any order.

    Attributes:
        ego: (batch, frames, channels, rows, columns), the oldest frame first.
        ego_visible: (batch, frames, rows, columns) bool.
        peers: (batch, frames, peers, channels, rows, columns); this and the following as in `PeerTensors`.
        peer_visible: (batch, frames, peers, rows, columns) bool.
        clean: (batch, frames, peers, channels, rows, columns).
        clean_visible: (batch, frames, peers, rows, columns) bool.
        boxes: (batch, frames, peers, box channels, rows, columns).
        box_bytes: (batch, frames, peers).
        budget: (batch, frames, peers) bytes.
        packet_loss: (batch, frames, peers) share.
        request: (batch, frames, peers, rows, columns) 0 to 1.
        age: (batch, frames, peers) seconds.
        present: (batch, frames) bool: whether there is such a frame.
        samples: with their objects.
    """

    ego: Tensor
    ego_visible: Tensor
    peers: Tensor
    peer_visible: Tensor
    clean: Tensor
    clean_visible: Tensor
    boxes: Tensor
    box_bytes: Tensor
    budget: Tensor
    packet_loss: Tensor
    request: Tensor
    age: Tensor
    present: Tensor
    samples: list[PerceptionSample]


class CollaborationDataset(Dataset[CollaborationBatch]):
    """Batches of one, with all impairments drawn from the seed and the number.

    Args:
        samples: of the training scenes.
        impairments: how often and how much goes wrong.
        features: whether features travel beside boxes.
        peers: how many a sample has at most.
        seed: of everything random.
        cells: along a side of the part of the map that a step sees, a multiple of 8; None: all.
    """

    def __init__(
        self,
        samples: CachedDataset,
        impairments: ImpairmentConfig,
        features: bool,
        peers: int = 3,
        seed: int = 0,
        cells: int | None = None,
    ) -> None:
        self.samples, self.impairments, self.features = samples, impairments, features
        self.peers, self.seed, self.cells = peers, seed, cells

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> CollaborationBatch:
        generator = np.random.default_rng([self.seed, number])
        number %= len(self.samples)
        sample = self._sample(number, generator)
        others = [name for name in sample.platforms if name != sample.ego]
        generator.shuffle(others)
        others = others[: self.peers]
        drawn = dict(zip(others, sample_impairments(self.impairments, len(others), generator), strict=True))
        helpful = [sample.ego, *(name for name, one in drawn.items() if _is_helpful(one))]
        platforms = np.array([sample.platforms.index(name) for name in helpful])
        sample = replace(sample, objects=sample.objects.observed_by(platforms))
        return self._batch(number, sample, drawn, generator)

    def _sample(self, number: int, generator: np.random.Generator) -> PerceptionSample:
        """Return the sample as a random platform sees it, its map moved at random by whole blocks."""
        s, f = self.samples.index[number]
        names = platform_names(self.samples.scenes[s].frames[f])
        ego = names[int(generator.integers(len(names)))]
        side = self.samples.config.map.cells
        blocks = MAX_SHIFT_BLOCKS + (side - (self.cells or side)) // (2 * SNAP_CELLS)
        shift = generator.integers(-blocks, blocks + 1, 2) * SNAP_CELLS
        return self.samples.sample(number, ego, (int(shift[0]), int(shift[1])), self.cells)

    def _batch(
        self,
        number: int,
        sample: PerceptionSample,
        peers: dict[str, PeerImpairments],
        generator: np.random.Generator,
    ) -> CollaborationBatch:
        cache, channels = self.samples.cache, self.samples.config.lift.channels
        ego_keys = self.samples.keys(number, sample.ego)
        ego_maps = [crop_to_grid(cache.get(key), sample.grid, channels) for key in ego_keys]
        frames: list[list[PeerTensors]] = []
        for step, (_, visible) in enumerate(ego_maps):
            request = torch.from_numpy(coarse_request([visible.numpy()]))
            frames.append([
                self._peer(number, step, name, impairments, sample.grid, request, generator)
                for name, impairments in peers.items()
            ])  # fmt: skip
        return CollaborationBatch(
            torch.stack([features for features, _ in ego_maps])[None],
            torch.stack([visible for _, visible in ego_maps])[None],
            present=torch.tensor([[key is not None for key in ego_keys]]),
            samples=[sample],
            **_stack_peers(frames),
        )

    def _peer(
        self,
        number: int,
        step: int,
        name: str,
        impairments: PeerImpairments,
        grid: MapGrid,
        request: Tensor,
        generator: np.random.Generator,
    ) -> PeerTensors:
        """Return one peer in one frame."""
        cache, channels = self.samples.cache, self.samples.config.lift.channels
        key = self.samples.keys(number, name)[step]
        helpful = not (impairments.dropped or impairments.irrelevant)
        clean, clean_visible = crop_to_grid(cache.get(key) if helpful else None, grid, channels)
        sent, age = self._sent(number, step, name, impairments, grid, generator)
        maps, visible = crop_to_grid(sent, grid, channels)
        boxes = None if sent is None else extrapolate_boxes(sent.boxes, age)
        if impairments.pose_error:
            maps, visible = impairments.pose_error.apply_to_map(maps, visible, grid.resolution)
            boxes = None if boxes is None else impairments.pose_error.apply_to_boxes(boxes, grid)
        if impairments.boxes_only:
            visible = torch.zeros_like(visible)
        boxes, box_bytes = self._arrived_boxes(boxes, impairments, generator)
        return PeerTensors(
            maps, visible, clean, clean_visible,
            rasterize_boxes(boxes, grid, len(self.samples.config.categories)),
            torch.tensor(box_bytes), torch.tensor(impairments.budget_bytes),
            torch.tensor(float(impairments.packet_loss.rate)), request, torch.tensor(age),
        )  # fmt: skip

    def _sent(
        self,
        number: int,
        step: int,
        name: str,
        impairments: PeerImpairments,
        grid: MapGrid,
        generator: np.random.Generator,
    ) -> tuple[EgoMaps | None, float]:
        """Return the maps that a peer's message of one frame holds, and their age in seconds."""
        keys, cache = self.samples.keys(number, name), self.samples.cache
        key, age = keys[step], 0.0
        if impairments.delayed and step > 0:
            key, age = keys[step - 1], self.samples.config.interval
        if impairments.irrelevant:
            scene = self.samples.scenes[int(generator.integers(len(self.samples.scenes)))]
            other = (scene.name, int(generator.integers(len(scene.frames))), name)
            key = other if other in cache else None
        sent = None if impairments.dropped else cache.get(key)
        if sent is not None and impairments.irrelevant:
            sent = replace(sent, grid=centre_grid_on(sent.grid, grid))
        return sent, age

    def _arrived_boxes(
        self, boxes: BoxList | None, impairments: PeerImpairments, generator: np.random.Generator
    ) -> tuple[BoxList | None, float]:
        """Return the boxes that arrive, and the bytes that were spent on boxes; they travel in the first chunk."""
        if boxes is None:
            return None, 0.0
        boxes = select_boxes(boxes, impairments.budget_bytes, self.features and not impairments.boxes_only)
        lost = impairments.packet_loss.sample(generator)
        return None if lost else boxes, BOX_BYTES * len(boxes)


def _is_helpful(one: PeerImpairments) -> bool:
    """Return whether a peer sends what helps."""
    return not (one.dropped or one.irrelevant)


def _stack_peers(frames: Sequence[Sequence[PeerTensors]]) -> dict[str, Tensor]:
    """Return each field of all peers in all frames as (1, frames, peers, ...)."""
    return {
        name: torch.stack([torch.stack([getattr(peer, name) for peer in peers]) for peers in frames])[None]
        for name in PEER_FIELDS
    }


def collate_batches(batches: Sequence[CollaborationBatch]) -> CollaborationBatch:
    """Join batches of one to one batch.

    Args:
        batches: all with the same number of peers.
    """
    names = ("ego", "ego_visible", "present", *PEER_FIELDS)
    joined = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in names}
    return CollaborationBatch(samples=[sample for batch in batches for sample in batch.samples], **joined)


def centre_grid_on(grid: MapGrid, other: MapGrid) -> MapGrid:
    """Move a grid so that its middle is that of another.

    Args:
        grid: whose shape is kept.
        other: whose middle and reference system are taken.
    """
    west = other.west + (other.columns - grid.columns) // 2
    north = other.north - (other.rows - grid.rows) // 2
    return replace(grid, west=west, north=north, crs=other.crs)

"""What a model is trained and scored on: cached maps of all platforms on the ego's grid, with their past."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skyweave.collaboration.boxes import extrapolate_boxes, rasterize_boxes
from skyweave.collaboration.cache import SNAP_CELLS, EgoMaps, FeatureCache, Key, platform_names, translate_map
from skyweave.collaboration.cell_selection import select_boxes
from skyweave.collaboration.config import ImpairmentConfig
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.batch import PerceptionSample
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.recordings.recording import RecordedScene
from skyweave.wire import BoxList

MAX_SHIFT_BLOCKS = 2  # coarse cells by which a training map is moved at most


class CachedDataset(PerceptionDataset):
    """Samples without pictures, on snapped grids: what `skyweave.perception.evaluation.evaluate` scores on.

    The ego is the platform ``frame mod platforms``, so that all take turns.
    """

    def __init__(
        self,
        scenes: Sequence[RecordedScene],
        config: PerceptionConfig,
        cache: FeatureCache,
        platforms: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__(scenes, config, None, platforms, seed)
        self.cache = cache

    def __getitem__(self, number: int) -> PerceptionSample:
        s, f = self.index[number]
        names = platform_names(self.scenes[s].frames[f])
        return self.sample(number, names[f % len(names)])

    def sample(
        self, number: int, ego: str, shift: tuple[int, int] = (0, 0), cells: int | None = None
    ) -> PerceptionSample:
        """One moment as seen by a platform, its map moved by so many cells south and east, and of so many a side."""
        s, f = self.index[number]
        scene, frame = self.scenes[s], self.scenes[s].frames[f]
        names = [ego, *(name for name in platform_names(frame) if name != ego)][: self.platforms]
        whole = self.cache[scene.name, f, ego].grid
        cells, (rows, columns) = cells or self.config.map.cells, whole.shape
        north = whole.north - (rows - cells) // 2 - shift[0]
        west = whole.west + (columns - cells) // 2 + shift[1]
        grid = MapGrid(west, north, whole.resolution, cells, cells, whole.crs)
        objects = self.timelines[s].objects_at(f, grid, names)
        moments: list[list[object]] = [[] for _ in range(self.config.history)]
        return PerceptionSample(moments, grid, scene.ground, objects, scene.name, f, ego, tuple(names), frame.time)  # type: ignore[arg-type]

    def keys(self, number: int, platform: str) -> list[Key | None]:
        """For each of the model's frames, the oldest first, where the cache has a platform's map; None: nowhere."""
        s, f = self.index[number]
        scene = self.scenes[s]
        keys: list[Key | None] = []
        for past in self.timelines[s].past_frames(scene.frames[f].time):
            key = (scene.name, past, platform) if past is not None else None
            keys.append(key if key is not None and key in self.cache else None)
        return keys


@dataclass(frozen=True)
class CollaborationBatch:
    """A batch for training; peers are those of the ego, in any order.

    Attributes:
        own: (batch, frames, channels, rows, columns), the oldest frame first; own_visible: (batch, frames, rows,
            columns) bool.
        peers: (batch, frames, peers, channels, rows, columns) as they see them, errors of pose included; peer_visible.
        clean: the same without errors, for the teacher; clean_visible.
        boxes: (batch, frames, peers, box channels, rows, columns) drawn.
        box_bytes, budget, lost: (batch, frames, peers) bytes, bytes and share of chunks.
        wanted: (batch, frames, peers, rows, columns) 0 to 1: what was asked for.
        age: (batch, frames, peers) seconds.
        present: (batch, frames) bool: whether there is such a frame.
        samples: with their objects.
    """

    own: Tensor
    own_visible: Tensor
    peers: Tensor
    peer_visible: Tensor
    clean: Tensor
    clean_visible: Tensor
    boxes: Tensor
    box_bytes: Tensor
    budget: Tensor
    lost: Tensor
    wanted: Tensor
    age: Tensor
    present: Tensor
    samples: list[PerceptionSample]


class CollaborationDataset(Dataset[CollaborationBatch]):
    """Batches of one, with everything imperfect drawn from the seed and the number.

    Args:
        samples: of the training scenes.
        impairments: how imperfect.
        features: whether features travel beside boxes.
        peers: how many a sample has at most.
        cells: side of the part of the map that a step sees, a multiple of 8; None: all.
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
        s, f = self.samples.index[number]
        names = platform_names(self.samples.scenes[s].frames[f])
        ego = names[int(generator.integers(len(names)))]
        free = (self.samples.config.map.cells - (self.cells or self.samples.config.map.cells)) // (2 * SNAP_CELLS)
        shift = generator.integers(-MAX_SHIFT_BLOCKS - free, MAX_SHIFT_BLOCKS + free + 1, 2) * SNAP_CELLS
        sample = self.samples.sample(number, ego, (int(shift[0]), int(shift[1])), self.cells)
        others = [name for name in sample.platforms if name != ego]
        generator.shuffle(others)
        others = others[: self.peers]
        flaws = _drawn(self.impairments, len(others), generator)
        there = [ego, *(name for name, peer in zip(others, flaws, strict=True) if not (peer.absent or peer.useless))]
        platforms = np.array([sample.platforms.index(name) for name in there])
        sample = replace(sample, objects=sample.objects.observed_by(platforms))
        return _moments(self.samples, number, sample, others, flaws, generator, self.features)


@dataclass(frozen=True)
class _Peer:
    """What is wrong with one peer."""

    budget: float
    offset: tuple[float, float]
    turn: float
    late: bool
    lost: float
    absent: bool
    boxes_only: bool
    useless: bool


def _drawn(impairments: ImpairmentConfig, peers: int, generator: np.random.Generator) -> list[_Peer]:
    budget = float(np.exp(generator.uniform(*np.log(impairments.budget))))
    lost = generator.uniform(0, impairments.packet_loss) if generator.random() < 0.5 else 0.0
    noisy, alone = generator.random() < 0.5, generator.random() < impairments.ego_only
    strength = generator.uniform(0, 2) if noisy else 0.0
    result = []
    for _ in range(peers):
        x, y, turn = generator.normal(0, 1, 3) * strength
        late, absent, only, useless = generator.random(4) < (
            impairments.delayed, impairments.absent, impairments.boxes_only, impairments.irrelevant,
        )  # fmt: skip
        offset = (float(x) * impairments.position_std, float(y) * impairments.position_std)
        turned = np.deg2rad(impairments.heading_std) * float(turn)
        result.append(_Peer(budget, offset, turned, bool(late), lost, bool(absent) or alone, bool(only), bool(useless)))
    return result


def _moments(
    samples: CachedDataset,
    number: int,
    sample: PerceptionSample,
    others: Sequence[str],
    peers: Sequence[_Peer],
    generator: np.random.Generator,
    features: bool,
) -> CollaborationBatch:
    cache, grid, config = samples.cache, sample.grid, samples.config
    classes = len(config.categories)
    mine = [None if key is None else cache[key] for key in samples.keys(number, sample.ego)]
    columns: dict[str, list[list[Tensor]]] = {name: [] for name in _STACKED}
    own, seen = [], []
    for step, own_moment in enumerate(mine):
        maps, visible = crop_to_grid(own_moment, grid, config.lift.channels)
        own.append(maps)
        seen.append(visible)
        wanted = coarse_request([visible.numpy()])
        rows: dict[str, list[Tensor]] = {name: [] for name in _STACKED}
        for name, peer in zip(others, peers, strict=True):
            keys = samples.keys(number, name)
            key = keys[step]
            known = None if key is None or peer.absent or peer.useless else cache[key]
            clean, clean_visible = crop_to_grid(known, grid, config.lift.channels)
            age = 0.0
            if peer.late and step > 0:
                key, age = keys[step - 1], config.interval
            if peer.useless:
                scene = samples.scenes[int(generator.integers(len(samples.scenes)))]
                at = (scene.name, int(generator.integers(len(scene.frames))), name)
                key = at if at in cache else None
            told = None if key is None or peer.absent else cache[key]
            if told is not None and peer.useless:
                told = replace(told, grid=centre_grid_on(told.grid, grid))
            maps, visible = crop_to_grid(told, grid, config.lift.channels)
            boxes = None if told is None else extrapolate_boxes(told.boxes, age)
            if peer.turn or any(peer.offset):
                maps, visible = rigid_warp(maps, visible, peer.offset, peer.turn, grid.resolution)
                boxes = None if boxes is None else rigid_warp_boxes(boxes, peer.offset, peer.turn, grid)
            if boxes is not None:
                boxes = select_boxes(boxes, peer.budget, features and not peer.boxes_only)
            kept = 0 if boxes is None else len(boxes)
            if boxes is not None and generator.random() < peer.lost:  # the first chunk
                boxes = None
            if peer.boxes_only:
                visible = torch.zeros_like(visible)
            values = {
                "peers": maps, "peer_visible": visible, "clean": clean, "clean_visible": clean_visible,
                "boxes": rasterize_boxes(boxes, grid, classes), "wanted": torch.from_numpy(wanted),
                "box_bytes": torch.tensor(11.5 * kept), "budget": torch.tensor(peer.budget),
                "lost": torch.tensor(peer.lost), "age": torch.tensor(age),
            }  # fmt: skip
            for field, value in values.items():
                rows[field].append(value.float() if value.dtype == torch.float64 else value)
        for field in _STACKED:
            columns[field].append(rows[field])
    stacked = {name: torch.stack([torch.stack(row) for row in rows])[None] for name, rows in columns.items()}
    present = torch.tensor([[moment is not None for moment in mine]])
    return CollaborationBatch(
        torch.stack(own)[None], torch.stack(seen)[None], present=present, samples=[sample], **stacked
    )


_STACKED = (
    "peers", "peer_visible", "clean", "clean_visible", "boxes", "box_bytes", "budget", "lost", "wanted", "age"
)  # fmt: skip


def collate_batches(moments: Sequence[CollaborationBatch]) -> CollaborationBatch:
    """Batches of one as one batch; all with the same number of peers."""
    names = ("own", "own_visible", "present", *_STACKED)
    joined = {name: torch.cat([getattr(one, name) for one in moments]) for name in names}
    return CollaborationBatch(samples=[sample for one in moments for sample in one.samples], **joined)


def crop_to_grid(own: EgoMaps | None, grid: MapGrid, channels: int) -> tuple[Tensor, Tensor]:
    """A platform's map (channels, rows, columns) and visibility (rows, columns) on another grid."""
    if own is None:
        return torch.zeros(channels, *grid.shape), torch.zeros(grid.shape, dtype=torch.bool)
    offset = own.grid.offset_to(grid)
    features = translate_map(torch.from_numpy(own.features), *offset, grid.shape)
    return features, translate_map(torch.from_numpy(own.visible), *offset, grid.shape)


def coarse_request(seen: Sequence[np.ndarray], factor: int = 16) -> np.ndarray:
    """(rows, columns) float32, 0 to 1: what others, who see (rows, columns) bool each, want to know; constant in
    blocks, as the request that travels is.
    """
    rows, columns = seen[0].shape
    shape = (-(-rows // factor), factor, -(-columns // factor), factor)
    wanted = np.zeros((shape[0], shape[2]), np.float32)
    for visible in seen:
        whole = np.ones((shape[0] * factor, shape[2] * factor), np.float32)
        whole[:rows, :columns] = visible
        wanted = np.maximum(wanted, np.round((1 - whole.reshape(shape).mean((1, 3))) * 3) / 3)
    return np.asarray(wanted.repeat(factor, 0).repeat(factor, 1)[:rows, :columns], np.float32)


def centre_grid_on(own: MapGrid, grid: MapGrid) -> MapGrid:
    """A grid of one's shape whose middle is where the other's is."""
    west = grid.west + (grid.columns - own.columns) // 2
    north = grid.north - (grid.rows - own.rows) // 2
    return replace(own, west=west, north=north, crs=grid.crs)


def rigid_warp(
    maps: Tensor, visible: Tensor, offset: tuple[float, float], turn: float, resolution: float
) -> tuple[Tensor, Tensor]:
    """A map as a platform draws it that errs by ``offset`` metres (east, north) and ``turn`` radians."""
    rows, columns = visible.shape
    row, column = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    x = column - columns / 2 - offset[0] / resolution
    y = rows / 2 - row - offset[1] / resolution
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    from_x, from_y = cosine * x + sine * y, -sine * x + cosine * y
    r, c = (rows / 2 - from_y).floor().long(), (from_x + columns / 2).floor().long()
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
    r, c = r.clamp(0, rows - 1), c.clamp(0, columns - 1)
    return maps[:, r, c] * inside, visible[r, c] & inside


def rigid_warp_boxes(boxes: BoxList, offset: tuple[float, float], turn: float, grid: MapGrid) -> BoxList:
    """Boxes likewise."""
    middle = np.array([grid.west + grid.columns / 2, grid.north - grid.rows / 2]) * grid.resolution
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centres = boxes.centres.copy()
    centres[:, :2] = (centres[:, :2] - middle) @ rotation.T + middle + offset
    velocities = None if boxes.velocities is None else boxes.velocities @ rotation.T
    return replace(boxes, centres=centres, yaws=boxes.yaws + turn, velocities=velocities)
